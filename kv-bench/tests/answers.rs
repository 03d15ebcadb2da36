//! Servers that answer, but not what they were asked, through the real program.

mod program;
#[allow(dead_code, reason = "other tests need more of it")]
mod scripted;

use std::path::Path;
use std::process::Output;

use kv_bench::result::{RunResult, Verdict};
use program::stderr;
use scripted::{Answer, Server};
use tempfile::TempDir;

fn run(server: &Server, dir: &Path, words: &[&str]) -> (Output, Option<RunResult>) {
    program::run(&server.address.to_string(), dir, words)
}

/// What it sent was not told, and more patience with it was advised.
#[test]
fn what_is_no_reply_is_shown_and_no_longer_timeout_advised() {
    let server = Server::start(|_, words| match words[0].as_str() {
        "GET" => Answer::Raw(b"%what is this?\r\n"),
        _ => Answer::Normal,
    });
    let dir = TempDir::new().expect("a folder");
    let (output, result) = run(&server, dir.path(), &["--timeout", "1s"]);
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    assert!(message.contains("no reply to what was asked: see what listens there"), "{message}");
    assert!(!message.contains("--timeout"), "{message}");
    let warnings = result.expect("a partial result").warnings;
    let told = "the first: '%what is this?', which is no reply to a get";
    assert!(warnings.iter().any(|text| text.contains(told)), "{warnings:?}");
}

/// A reply too many and all that follow it answer something else: they were believed.
#[test]
fn more_replies_than_were_asked_for_make_a_run_untrusted() {
    let server = Server::start(|number, _| match number {
        100 => Answer::Raw(b"$5\r\nhello\r\n$5\r\nhello\r\n"),
        _ => Answer::Normal,
    });
    let dir = TempDir::new().expect("a folder");
    let (output, result) = run(&server, dir.path(), &["--requests", "1000"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let result = result.expect("written");
    let told = "1 connection brought more replies than were asked for";
    let is_told = |texts: &[String]| texts.iter().any(|text| text.starts_with(told));
    assert_eq!(result.trust.verdict, Verdict::Untrusted);
    assert!(is_told(&result.trust.reasons), "{:?}", result.trust.reasons);
    assert!(is_told(&result.warnings), "{:?}", result.warnings);
}

#[test]
fn a_failed_preload_says_how_operations_failed() {
    let server = Server::start(|_, words| match words[0].as_str() {
        "SET" => Answer::Close,
        _ => Answer::Normal,
    });
    let dir = TempDir::new().expect("a folder");
    let words = ["--preload", "--keys", "10", "--requests", "10"];
    let (output, result) = run(&server, dir.path(), &words);
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    assert!(message.contains("preloading stored 0 of 10 keys (10 connection)"), "{message}");
    assert!(result.is_none());
}

/// Half of the keys were gone, and the run said nothing but a number of misses.
#[test]
fn gets_that_find_nothing_are_remarked_on_when_every_key_was_stored() {
    let server = Server::start(|number, words| match words[0].as_str() {
        "GET" if number % 2 == 0 => Answer::Raw(b"$-1\r\n"),
        "GET" => Answer::Raw(b"$1\r\nx\r\n"),
        _ => Answer::Normal,
    });
    let dir = TempDir::new().expect("a folder");
    let words = ["--keys", "10", "--requests", "100", "--mix", "get"];
    let warnings = |more: &[&str]| {
        let (_, result) = run(&server, dir.path(), &[&words[..], more].concat());
        result.expect("written").warnings
    };
    let told = "of 100 gets found no key, though all had been stored";
    let warned = warnings(&["--preload"]);
    assert!(warned.iter().any(|text| text.contains(told)), "{warned:?}");
    let warned = warnings(&[]);
    assert!(!warned.iter().any(|text| text.contains("gets")), "{warned:?}");
}

#[test]
fn a_run_without_a_single_hit_says_how_keys_get_there() {
    let server = Server::start(|_, words| match words[0].as_str() {
        "GET" => Answer::Raw(b"$-1\r\n"),
        _ => Answer::Normal,
    });
    let dir = TempDir::new().expect("a folder");
    let (_, result) = run(&server, dir.path(), &["--requests", "100", "--mix", "get"]);
    let warned = result.expect("written").warnings;
    let told = "none of 100 gets found its key: --preload stores them";
    assert!(warned.iter().any(|text| text == told), "{warned:?}");
}
