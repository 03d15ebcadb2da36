//! Ten clients at once, each storing, reading and deleting a key of its own: what the original
//! system's `multithreading_client.py` did.
//!
//! Start a server, then `cargo run --example ten_clients -- [HOST:PORT]` (default 127.0.0.1:65432).
//! Prints a line per client; fails when any of them was answered wrongly.

use std::process::ExitCode;
use std::thread;

use anyhow::{Context, ensure};
use kv_core::client::{Address, Client, ConnectOptions};
use kv_core::resp::reply::Value;

const CLIENTS: usize = 10;

fn main() -> anyhow::Result<ExitCode> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:65432".to_owned());
    let address: Address = address.parse()?;
    let outcomes: Vec<anyhow::Result<()>> = thread::scope(|scope| {
        let address = &address;
        let clients: Vec<_> =
            (1..=CLIENTS).map(|number| scope.spawn(move || converse(address, number))).collect();
        clients.into_iter().map(|client| client.join().expect("a client that panics")).collect()
    });
    let mut failed = 0;
    for (number, outcome) in (1..).zip(outcomes) {
        match outcome {
            Ok(()) => println!("client {number}: put, get, delete, get: fine"),
            Err(error) => {
                failed += 1;
                println!("client {number}: {error:#}");
            }
        }
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn converse(address: &Address, number: usize) -> anyhow::Result<()> {
    let (key, value) = (format!("key{number}"), format!("value{number}"));
    let mut client = Client::connect(address, &ConnectOptions::default())?;
    let mut expect = |args: &[&str], expected: Value| {
        let reply = client.call(args).with_context(|| args.join(" "))?;
        ensure!(reply == expected, "{}: {reply:?}, not {expected:?}", args.join(" "));
        Ok(())
    };
    expect(&["PUT", &key, &value], Value::Simple(b"OK".to_vec()))?;
    expect(&["GET", &key], Value::Bulk(value.clone().into_bytes()))?;
    expect(&["DELETE", &key], Value::Integer(1))?;
    expect(&["GET", &key], Value::Null)
}
