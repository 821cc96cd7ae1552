//! A network of the faults' own: hosts on one switch, whose ways to each other can be cut.
//!
//! Each host is a network namespace of Linux. It is cut off from another by what it knows of the
//! other's card: it sends to a card that nobody has, so that its packets are lost without a word, as
//! on a broken line. That is one direction; the other is cut at the other host.

use std::{ffi::OsStr, net::Ipv4Addr, process::Command};

/// Where the harness itself is.
const HERE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// The last part of the address of the first host.
const FIRST: u8 = 10;
/// A card that nobody has.
const NOBODY: &str = "02:00:00:00:00:ff";

/// One host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    pub name: String,
    pub address: Ipv4Addr,
}

impl Host {
    /// A program on this host.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }
    /// Nothing that this host sends to the other arrives any more.
    pub fn loses(&self, other: &Host) {
        let to = other.address.to_string();
        let nobody = ["lladdr", NOBODY, "dev", "eth0", "nud", "permanent"];
        ip(&[&["-n", &self.name, "neigh", "replace", &to][..], &nobody].concat());
    }
    /// All of it arrives again.
    pub fn reaches(&self, other: &Host) {
        ip(&["-n", &self.name, "neigh", "del", &other.address.to_string(), "dev", "eth0"]);
    }
}

/// Makes the switch, which the harness is on too, and a host for each name. It all goes with the
/// namespace of the harness.
///
/// # Panics
///
/// Where this is not root in a network namespace of its own.
pub fn network(names: &[String]) -> Vec<Host> {
    ip(&["link", "set", "lo", "up"]);
    ip(&["link", "add", "switch", "type", "bridge"]);
    ip(&["addr", "add", &format!("{HERE}/24"), "dev", "switch"]);
    ip(&["link", "set", "switch", "up"]);
    let host = |(number, name): (u8, &String)| {
        let address = Ipv4Addr::new(10, 77, 0, FIRST + number);
        let line = format!("line{number}");
        ip(&["netns", "add", name]);
        ip(&["link", "add", &line, "type", "veth", "peer", "name", "eth0", "netns", name]);
        ip(&["link", "set", &line, "master", "switch", "up"]);
        ip(&["-n", name, "addr", "add", &format!("{address}/24"), "dev", "eth0"]);
        ip(&["-n", name, "link", "set", "eth0", "up"]);
        ip(&["-n", name, "link", "set", "lo", "up"]);
        Host { name: name.clone(), address }
    };
    (0u8..).zip(names).map(host).collect()
}

fn ip(arguments: &[&str]) {
    let done = Command::new("ip").args(arguments).output().expect("`ip` of iproute2 is installed");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "ip {}: {said}", arguments.join(" "));
}
