//! The client of most programs in JavaScript: ioredis, in both protocols.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Served, is_there, skip};

/// The folder of packages that has ioredis, where `scripts/install-peers` puts it.
fn packages() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/peers/node_modules");
    if !folder.join("ioredis").is_dir() {
        skip("ioredis is not in target/peers: run scripts/install-peers");
        return None;
    }
    is_there("node").then_some(folder)
}

#[test]
fn ioredis_works_in_both_protocols() {
    let Some(packages) = packages() else { return };
    for protocol in ["2", "3"] {
        let served = Served::start();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ioredis/smoke.js");
        let mut command = Command::new("node");
        command.args([script, &served.address.port().to_string(), protocol]);
        let output = command.env("NODE_PATH", &packages).output().expect("node runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
