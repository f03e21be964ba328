use super::*;
use crate::relay::container::ContainerError;

/// A machine that has everything.
fn everything() -> Facts {
    Facts {
        embedded: Ok("/tmp".into()),
        lab: Ok(Duration::from_millis(11)),
        clock: Some(Ok(true)),
        kernel: Kernel::default(),
        relays: vec![Relay {
            name: "our-relay".to_owned(),
            root: Some("/roots/our-relay".into()),
            looked_for: "no prepared root in /roots/our-relay, and no /usr/sbin/our-relay on this machine"
                .to_owned(),
            command: Some("ci/relay-roots.sh ./our-relay.yaml".to_owned()),
            version: Some("1.2".to_owned()),
            is_up_to_date: Some(true),
        }],
        mmdebstrap: Program::Answers("mmdebstrap 1.3.5".to_owned()),
        is_root: true,
        containers: Containers {
            engine: Ok("28.2.2 at unix:///run/engine.sock".to_owned()),
            container: Some(Ok(Duration::from_millis(412))),
            images: vec![Image {
                relay: "our-relay".to_owned(),
                choice: "container:our-relay".to_owned(),
                image: "our/relay:1.2".to_owned(),
                found: Ok(()),
            }],
        },
        subordinate_ids: true,
        newuidmap: Some("/usr/bin/newuidmap".into()),
    }
}

/// One that has nothing, and tells all of it.
fn nothing() -> Facts {
    let here = everything();
    let relays = [
        ("nowhere", None, Some("ci/relay-roots.sh nowhere")),
        ("own", None, None),
        ("old", Some("/roots/old"), Some("ci/relay-roots.sh old")),
    ];
    Facts {
        embedded: Err("no socket on loopback: Permission denied (os error 13)".to_owned()),
        lab: Err(NoLab {
            why: "making the lab's namespaces: Operation not permitted (os error 1)".to_owned(),
            mend: Some("the right SYS_ADMIN is missing: run as root".to_owned()),
        }),
        clock: None,
        kernel: Kernel {
            rights: Some(1 << 12),
            namespaces: Some(["mnt", "net", "pid", "uts"].map(str::to_owned).to_vec()),
            overlayfs: None,
            tmpfs: Some(true),
            veth: Some(false),
            ipv6: Some(false),
        },
        relays: relays
            .map(|(name, root, command)| Relay {
                name: name.to_owned(),
                root: root.map(PathBuf::from),
                command: command.map(str::to_owned),
                version: None,
                is_up_to_date: root.map(|_| false),
                ..here.relays[0].clone()
            })
            .to_vec(),
        mmdebstrap: Program::Missing,
        is_root: false,
        containers: Containers {
            engine: Err(no_engine()),
            container: None,
            images: vec![Image { found: Err(no_engine()), ..here.containers.images[0].clone() }],
        },
        subordinate_ids: false,
        newuidmap: None,
    }
}

#[test]
fn what_is_here_is_told_with_where_it_is() {
    let page = Diagnosis::of(&everything()).page();
    let expected = "\
built-in relays
  ok            reference    runs keep their files in /tmp

labs, for real relays
  ok            a lab        one was made and taken away in 11 ms
  ok            rights       NET_ADMIN, SYS_ADMIN
  ok            namespaces   ipc, mnt, net, pid, uts
  ok            overlayfs    files over a root that is only read
  ok            tmpfs        files in memory
  ok            veth         the wire between relay and Internet
  ok            IPv6         addresses of both families
  ok            clock        virtual: a day passes in a lab when all wait for it
  ok            order        a relay's programs run in turn: each run has one order

real relays
  ok            our-relay    1.2, in /roots/our-relay

to prepare roots of real relays
  ok            mmdebstrap   mmdebstrap 1.3.5
  ok            root         this user is root

real relays in containers
  ok            engine       28.2.2 at unix:///run/engine.sock
  ok            a container  one was started, a lab made in it, and both taken away in 412 ms
  ok            our-relay    image our/relay:1.2

labs without root
  not used yet  /etc/subuid  this user has user numbers of its own
  not used yet  newuidmap    /usr/bin/newuidmap

can be run here: reference, our-relay, container:our-relay";
    assert_eq!(page, expected);
}

#[test]
fn what_is_missing_is_told_with_what_mends_it() {
    let page = Diagnosis::of(&nothing()).page();
    let expected = "\
built-in relays
  missing       reference    no socket on loopback: Permission denied (os error 13)

labs, for real relays
  missing       a lab        making the lab's namespaces: Operation not permitted (os error 1)
                             → the right SYS_ADMIN is missing: run as root
  missing       rights       without SYS_ADMIN
                             → run as root, or: docker run --cap-add SYS_ADMIN --cap-add NET_ADMIN
  missing       namespaces   without ipc
                             → a kernel with CONFIG_NAMESPACES and all kinds of them
  unknown       overlayfs    the kernel does not tell
  ok            tmpfs        files in memory
  missing       veth         the kernel has none
                             → modprobe veth
  missing       IPv6         the kernel has none
                             → boot without ipv6.disable=1; in a container: docker run --sysctl net.ipv6.conf.all.disable_ipv6=0
  unknown       clock        without labs it cannot be tried

real relays
  missing       nowhere      there is no prepared root in /roots/our-relay, and no /usr/sbin/our-relay on this machine
                             → sudo ci/relay-roots.sh nowhere
  missing       own          there is no prepared root in /roots/our-relay, and no /usr/sbin/our-relay on this machine
                             → install it, or have its adapter name its packages (`install:`)
  out of date   old          in /roots/old: made by another recipe than today's
                             → sudo ci/relay-roots.sh old

to prepare roots of real relays
  missing       mmdebstrap   not here; ci/relay-roots.sh installs it where it can
                             → sudo apt-get install mmdebstrap debian-archive-keyring
  missing       root         this user is not root: a root's files belong to many users
                             → sudo -E ci/relay-roots.sh

real relays in containers
  missing       engine       no container engine at unix:///run/engine.sock: there is no such socket
                             → install Docker (sudo apt-get install docker.io), start it, and run as root

labs without root
  not used yet  /etc/subuid  none for this user
  not used yet  newuidmap    not here

can be run here: none
cannot be run: reference, nowhere, own, old, container:our-relay";
    assert_eq!(page, expected);
}

fn no_engine() -> ContainerError {
    ContainerError::NoEngine {
        at: "unix:///run/engine.sock".to_owned(),
        why: "there is no such socket".to_owned(),
    }
}

#[test]
fn an_image_that_was_not_built_is_told_with_the_command_that_builds_it() {
    let mut facts = everything();
    let [image] = facts.containers.images.as_mut_slice() else { panic!("there is one") };
    image.found = Err(ContainerError::NotBuilt { image: image.image.clone(), name: "our-relay".to_owned() });
    facts.containers.container = None;
    let found = Diagnosis::of(&facts);
    let image = found.checks.iter().find(|check| check.says == "no image our/relay:1.2").expect("it is told");
    assert_eq!((image.state, image.mend.as_deref()), (State::Missing, Some("ci/images.sh our-relay")));
    assert!(found.can_run(&["our-relay".to_owned()]) && !found.can_run(&["container:our-relay".to_owned()]));
}

#[test]
fn a_relay_can_be_run_where_it_is_here_and_labs_work() {
    let can = |facts: &Facts, asked: &[&str]| {
        let asked: Vec<String> = asked.iter().map(|name| (*name).to_owned()).collect();
        Diagnosis::of(facts).can_run(&asked)
    };
    let here = everything();
    assert!(can(&here, &[]) && can(&here, &["our-relay"]));
    let without_labs = Facts { lab: nothing().lab, ..here.clone() };
    assert!(can(&without_labs, &[]) && !can(&without_labs, &["our-relay"]));
    // An old root is one all the same.
    let old = Facts { relays: nothing().relays, ..here.clone() };
    assert!(can(&old, &["old"]) && !can(&old, &["old", "nowhere"]));
    assert!(!can(&Facts { embedded: nothing().embedded, ..here }, &[]));
}

#[test]
fn programs_get_the_same_as_json() {
    let told: serde_json::Value = serde_json::from_str(&Diagnosis::of(&nothing()).json()).unwrap();
    let named = |name: &str| told.as_array().unwrap().iter().find(|one| one["name"] == name).unwrap();
    assert_eq!(
        *named("veth"),
        serde_json::json!({ "group": "labs, for real relays", "name": "veth", "state": "missing", "says": "the kernel has none", "mend": "modprobe veth" })
    );
    assert_eq!(named("tmpfs")["mend"], serde_json::Value::Null);
}

#[test]
fn a_machine_on_which_programs_do_not_run_in_turn_is_told_what_that_means() {
    let found = Diagnosis::of(&Facts { clock: Some(Ok(false)), ..everything() });
    let order = found.checks.iter().find(|check| check.name == "order").expect("it is looked at");
    assert_eq!(order.state, State::Missing);
    assert!(order.says.contains("SYS_NICE") && order.mend.is_some(), "{order:?}");
}

#[test]
fn a_machine_without_the_virtual_clock_is_told_what_that_means() {
    let why = "a program that was asked an hour later said \"5\"".to_owned();
    let found = Diagnosis::of(&Facts { clock: Some(Err(why.clone())), ..everything() });
    let clock = found.checks.iter().find(|check| check.name == "clock").expect("it is looked at");
    assert_eq!(clock.state, State::Missing);
    assert!(clock.says.starts_with(&why) && clock.mend.is_some(), "{clock:?}");
    // Real relays can be run all the same.
    assert!(found.can_run(&["our-relay".to_owned()]));
}
