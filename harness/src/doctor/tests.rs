use super::*;

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
            no_lab: None,
            version: Some("1.2".to_owned()),
            is_up_to_date: Some(true),
        }],
        mmdebstrap: Program::Answers("mmdebstrap 1.3.5".to_owned()),
        is_root: true,
        engines: vec![("docker", Program::Answers("28.2.2".to_owned())), ("podman", Program::Missing)],
        without_root: WithoutRoot {
            user: "carol".to_owned(),
            users: Some((100_000, 65_536)),
            groups: Some((200_000, 65_536)),
            free: (165_536, 265_536),
            newuidmap: Some("/usr/bin/newuidmap".into()),
            newgidmap: Some("/usr/bin/newgidmap".into()),
            forbidden: None,
        },
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
        engines: vec![("docker", Program::Fails("Cannot connect to the Docker daemon".to_owned()))],
        without_root: WithoutRoot {
            user: "carol".to_owned(),
            users: Some((100_000, 1000)),
            groups: None,
            free: (101_000, 100_000),
            newuidmap: None,
            newgidmap: None,
            forbidden: Some(("kernel.unprivileged_userns_clone", "1")),
        },
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

containers
  not used yet  docker       28.2.2
  not used yet  podman       not here

labs without root
  ok            permission   nothing here keeps user namespaces from ordinary users
  ok            newuidmap    /usr/bin/newuidmap
  ok            newgidmap    /usr/bin/newgidmap
  ok            /etc/subuid  65536 numbers from 100000 on
  ok            /etc/subgid  65536 numbers from 200000 on

can be run here: reference, our-relay";
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

containers
  not used yet  docker       here, but no engine answers: Cannot connect to the Docker daemon

labs without root
  missing       permission   kernel.unprivileged_userns_clone keeps user namespaces from ordinary users
                             → sudo sysctl -w kernel.unprivileged_userns_clone=1
  missing       newuidmap    there is no newuidmap and no newgidmap
                             → sudo apt-get install uidmap
  missing       newgidmap    there is no newuidmap and no newgidmap
                             → sudo apt-get install uidmap
  missing       /etc/subuid  /etc/subuid has 1000 numbers for carol, and a lab needs 65534
                             → sudo usermod --add-subuids 101000-166535 carol
  missing       /etc/subgid  /etc/subgid has no numbers for carol
                             → sudo usermod --add-subgids 100000-165535 carol

can be run here: none
cannot be run: reference, nowhere, own, old";
    assert_eq!(page, expected);
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

#[test]
fn an_ordinary_user_with_numbers_of_its_own_makes_labs_and_roots_without_root() {
    let here = everything();
    let ordinary = Kernel { rights: Some(0), ..Kernel::default() };
    let other = Relay { root: None, name: "other".to_owned(), ..here.relays[0].clone() };
    let why = "looking at the root /roots/our-relay: it belongs to somebody else".to_owned();
    let foreign = Relay { no_lab: Some(NoLab { why, mend: None }), ..here.relays[0].clone() };
    let facts = Facts { kernel: ordinary, is_root: false, relays: vec![foreign, other], ..here.clone() };
    let found = Diagnosis::of(&facts);
    let named = |name: &str| found.checks.iter().find(|check| check.name == name).expect("it is looked at");
    assert_eq!(
        named("rights").says,
        "without NET_ADMIN, SYS_ADMIN: they are those of root in a user namespace"
    );
    assert_eq!((named("root").state, named("/etc/subuid").state), (State::NotNeeded, State::Ok));
    assert_eq!(named("other").mend.as_deref(), Some("ci/relay-roots.sh ./our-relay.yaml"));
    let foreign = named("our-relay");
    assert_eq!(foreign.state, State::Missing);
    assert!(foreign.says.contains("belongs to somebody else"), "{foreign:?}");
    assert!(!found.can_run(&["our-relay".to_owned()]));

    // Root does without all that.
    let bare = Facts { without_root: nothing().without_root, ..here };
    let found = Diagnosis::of(&bare);
    let group = found.checks.iter().filter(|check| check.group == WITHOUT_ROOT);
    assert!(
        group.clone().count() == 5
            && group.clone().all(|check| check.state == State::NotNeeded && check.mend.is_none())
    );
}
