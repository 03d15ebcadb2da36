//! The image's promise, kept without a container engine: the Dockerfile's own ENTRYPOINT and CMD,
//! run as its own user in a root folder of its own, inside a network namespace, and reached from
//! outside at an address that is not loopback; then its HEALTHCHECK, and `kv-cli end`.
//!
//! Needs root, `ip` and `chroot`; skipped with a line where they are missing, required by
//! `KV_REQUIRE_PEERS=1`.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const SERVER: &str = env!("CARGO_BIN_EXE_kv-server");
const CLI: &str = env!("CARGO_BIN_EXE_kv-cli");

#[test]
fn the_image_serves_other_machines_and_ends_when_they_say_so() {
    let dockerfile = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../Dockerfile"))
        .expect("the Dockerfile");
    let Some(network) = Network::new() else { return };
    let root = tempfile::tempdir().expect("a temporary folder");
    let user = instruction(&dockerfile, "USER").to_owned();
    install(root.path(), &user);

    let command = [list(&dockerfile, "ENTRYPOINT"), list(&dockerfile, "CMD")].concat();
    let mut server = Contained { child: network.run(root.path(), &user, &command) };
    wait_until_reachable(&network, &mut server.child);

    let ask = |words: &[&str]| {
        let mut cli = Command::new(CLI);
        cli.args(["--host", &network.inside, "--port", "65432"]).args(words);
        cli.output().expect("kv-cli runs")
    };
    assert_eq!(stdout(&ask(&["put", "key1", "value1"])), "OK");
    assert_eq!(stdout(&ask(&["get", "key1"])), "value1");

    let health = instruction(&dockerfile, "HEALTHCHECK");
    let health = parse_list(health.split_once("CMD").expect("HEALTHCHECK … CMD").1.trim());
    let healthy = network.run(root.path(), &user, &health).wait_with_output().expect("kv-cli runs");
    assert_eq!(stdout(&healthy), "PONG");

    assert!(ask(&["end"]).status.success());
    let ended = server.child.wait().expect("the server ends");
    assert!(ended.success(), "the server ended with {ended}");
}

/// The text behind a Dockerfile's last instruction of a kind.
fn instruction<'a>(dockerfile: &'a str, name: &str) -> &'a str {
    let mut lines = dockerfile.lines().filter_map(|line| line.strip_prefix(name));
    lines.next_back().unwrap_or_else(|| panic!("the Dockerfile has no {name}")).trim()
}

fn list(dockerfile: &str, name: &str) -> Vec<String> {
    parse_list(instruction(dockerfile, name))
}

/// The exec form: `["a", "b"]`, here without escapes.
fn parse_list(text: &str) -> Vec<String> {
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).expect("exec form");
    inner.split(',').map(|word| word.trim().trim_matches('"').to_owned()).collect()
}

/// A root folder like the image's: the programs, their libraries, and /data of the user.
fn install(root: &Path, user: &str) {
    for program in [SERVER, CLI] {
        let name = Path::new(program).file_name().expect("a program's name");
        copy(Path::new(program), &root.join("usr/local/bin").join(name));
        let libraries = Command::new("ldd").arg(program).output().expect("ldd runs");
        for word in String::from_utf8_lossy(&libraries.stdout).split_whitespace() {
            if let Some(inside) = word.strip_prefix('/') {
                copy(Path::new(word), &root.join(inside));
            }
        }
    }
    let data = root.join("data");
    fs::create_dir(&data).expect("/data");
    let (uid, gid) = user.split_once(':').expect("USER uid:gid");
    let id = |text: &str| text.parse::<u32>().expect("USER with numbers");
    std::os::unix::fs::chown(&data, Some(id(uid)), Some(id(gid))).expect("/data of the user");
    // The temporary folder is its maker's alone, but the user inside must get through.
    fs::set_permissions(root, fs::Permissions::from_mode(0o755)).expect("an open root folder");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().expect("a folder")).expect("folders");
    fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
}

fn wait_until_reachable(network: &Network, server: &mut Child) {
    let address = format!("{}:65432", network.inside).parse().expect("an address");
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_err() {
        if let Some(status) = server.try_wait().expect("the server's state") {
            panic!("the server ended with {status}");
        }
        assert!(Instant::now() < deadline, "nobody answers at {address}");
        thread::yield_now();
    }
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// A network namespace with one cable to ours.
struct Network {
    name: String,
    /// The address inside.
    inside: String,
}

impl Network {
    fn new() -> Option<Self> {
        // Two runs at a time must not meet: names and addresses follow the process.
        let id = std::process::id();
        let name = format!("kvi{}", id % 1_000_000);
        let (third, fourth) = (id / 64 % 256, id % 64 * 4);
        let outside = format!("10.213.{third}.{}", fourth + 1);
        let inside = format!("10.213.{third}.{}", fourth + 2);
        let steps = [
            format!("netns add {name}"),
            format!("link add {name}c type veth peer name eth0 netns {name}"),
            format!("addr add {outside}/30 dev {name}c"),
            format!("link set {name}c up"),
            format!("-n {name} addr add {inside}/30 dev eth0"),
            format!("-n {name} link set eth0 up"),
            format!("-n {name} link set lo up"),
        ];
        let network = Self { name, inside };
        for step in steps {
            let reason = match Command::new("ip").args(step.split(' ')).output() {
                Ok(output) if output.status.success() => continue,
                Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
                Err(error) => error.to_string(),
            };
            let required = std::env::var("KV_REQUIRE_PEERS").is_ok_and(|value| value == "1");
            assert!(!required, "ip {step}: {reason}");
            println!("skipped: ip {step}: {reason}");
            return None;
        }
        Some(network)
    }

    /// Runs a command inside, in `root`, as `user`.
    fn run(&self, root: &Path, user: &str, command: &[String]) -> Child {
        Command::new("ip")
            .args(["netns", "exec", &self.name, "chroot", "--userspec", user])
            .arg(root)
            .args(command)
            .stdout(Stdio::piped())
            .spawn()
            .expect("ip runs")
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // The cable goes with the namespace.
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}

/// A process that does not outlive the test.
struct Contained {
    child: Child,
}

impl Drop for Contained {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
