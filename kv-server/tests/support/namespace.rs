//! Another machine, as far as the network can tell.

use std::fs::File;
use std::net::IpAddr;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::skip;

/// A network namespace, joined to ours by a pair of virtual cards. Removed when dropped.
pub(crate) struct Namespace {
    name: String,
    /// Our own address as seen from there.
    pub(crate) host: IpAddr,
}

impl Namespace {
    /// Makes one; `None`, and a line, where that is not permitted.
    pub(crate) fn create() -> Option<Self> {
        static NEXT: AtomicU8 = AtomicU8::new(0);
        let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let name = format!("kv{process}n{number}");
        if let Err(why) = ip(&format!("netns add {name}")) {
            skip(&format!("no network namespaces here: {why}"));
            return None;
        }
        // 198.18.0.0/15 is reserved for benchmarks (RFC 2544), so nobody's network has it.
        let network = format!("198.18.{}.{}", process % 256, number * 4);
        let (host, guest) = (add(&network, 1), add(&network, 2));
        let namespace = Self { name: name.clone(), host: host.parse().expect("an address") };
        let (ours, theirs) = (format!("{name}a"), format!("{name}b"));
        let steps = [
            format!("link add {ours} type veth peer name {theirs} netns {name}"),
            format!("addr add {host}/30 dev {ours}"),
            format!("link set {ours} up"),
            format!("-n {name} addr add {guest}/30 dev {theirs}"),
            format!("-n {name} link set {theirs} up"),
        ];
        for step in steps {
            if let Err(why) = ip(&step) {
                skip(&format!("no virtual network cards here: ip {step}: {why}"));
                return None;
            }
        }
        Some(namespace)
    }

    /// Pulls the cable: nothing comes from there or arrives, and nobody says so.
    pub(crate) fn unplug(&self) {
        let name = &self.name;
        ip(&format!("-n {name} link set {name}b down")).expect("who made it may change it");
    }

    /// Runs `visit` on a thread that lives over there.
    pub(crate) fn enter<R: Send>(&self, visit: impl FnOnce() -> R + Send) -> R {
        let file = File::open(format!("/var/run/netns/{}", self.name)).expect("the namespace");
        std::thread::scope(|scope| {
            let visitor = scope.spawn(move || {
                use std::os::fd::AsFd;
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
                    .expect("who made it may enter it");
                visit()
            });
            visitor.join().expect("the visit succeeds")
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The cards go with it.
        drop(ip(&format!("netns del {}", self.name)));
    }
}

fn add(network: &str, host: u8) -> String {
    let (prefix, last) = network.rsplit_once('.').expect("four numbers");
    format!("{prefix}.{}", last.parse::<u8>().expect("a number") + host)
}

fn ip(arguments: &str) -> Result<(), String> {
    let output = Command::new("ip").args(arguments.split(' ')).output();
    let output = output.map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}
