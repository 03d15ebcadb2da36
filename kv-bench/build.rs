//! Tells the program which revision it was built from, for the environment block of its results.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=KV_GIT_REVISION");
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rerun-if-changed=../.git/HEAD");
    println!("cargo::rerun-if-changed=../.git/refs/heads");
    let revision = std::env::var("KV_GIT_REVISION").ok().or_else(git_revision);
    // Without a repository, such as in an image, the result says that the revision is not known.
    if let Some(revision) = revision {
        println!("cargo::rustc-env=KV_GIT_REVISION={revision}");
    }
}

fn git_revision() -> Option<String> {
    let output = Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=12"])
        .output()
        .ok()?;
    let revision = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| revision.trim().to_owned())
}
