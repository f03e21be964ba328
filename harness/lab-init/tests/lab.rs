//! A lab from outside: what the harness sees of it.
#![cfg(target_os = "linux")]

use lab_init::{Command, Lab, Layout};
use std::io::Read;
use std::time::Duration;

#[test]
fn a_relay_reaches_the_servers_of_the_harness() {
    let lab = Lab::start(&Layout::default()).unwrap();
    let server = "198.51.100.7:25".parse().unwrap();
    lab.add_addresses(&["198.51.100.7".parse().unwrap(), "2001:db8::53".parse().unwrap()]).unwrap();
    let tcp = lab.bind_tcp(server).unwrap();
    let _udp = lab.bind_udp("[2001:db8::53]:53".parse().unwrap()).unwrap();
    let mut process = lab
        .spawn(Command::new(["bash", "-c", "exec 3<>/dev/tcp/198.51.100.7/25 && echo connected"]))
        .unwrap();
    let status = process.wait(Duration::from_secs(5)).unwrap();
    let mut said = String::new();
    process.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((said.as_str(), status.code()), ("connected\n", Some(0)));
    tcp.accept().unwrap();
    lab.stop().unwrap();
}
