//! The client most of our users have: redis-py, in both protocols.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Served, skip};

/// A Python with redis-py, kept between runs; `None`, and a line, where there can be none.
fn python() -> Option<PathBuf> {
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("redis-py");
    let python = venv.join("bin/python3");
    let has_redis = || Command::new(&python).args(["-c", "import redis"]).output();
    if !has_redis().is_ok_and(|output| output.status.success()) {
        let made = run(Command::new("python3").args(["-m", "venv"]).arg(&venv)).and_then(|()| {
            run(Command::new(&python).args(["-m", "pip", "install", "-q", "redis"]))
        });
        if let Err(why) = made {
            skip(&format!("no redis-py: {why}"));
            return None;
        }
    }
    Some(python)
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

#[test]
fn redis_py_works_in_both_protocols() {
    let Some(python) = python() else { return };
    for protocol in ["2", "3"] {
        let served = Served::start();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/redis_py/smoke.py");
        let port = served.address.port().to_string();
        let mut command = Command::new(&python);
        run(command.args([script, &port, protocol])).expect("the script finds nothing wrong");
    }
}
