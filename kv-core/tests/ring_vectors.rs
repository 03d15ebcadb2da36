//! Our rings place keys where the reference implementations do. `data/README.md` says how each file
//! was made.

use kv_core::ring::{Ring, RingMode, key_slot};

/// A golden file: a key and the answers of each column.
struct Golden<'a> {
    columns: Vec<&'a str>,
    rows: Vec<(Vec<u8>, Vec<usize>)>,
}

fn parse(text: &str) -> Golden<'_> {
    let mut lines = text.lines();
    let columns = lines.next().expect("a header line").split('\t').skip(1).collect();
    let rows = lines.map(|line| {
        let mut cells = line.split('\t');
        let key = unhex(cells.next().expect("a key"));
        (key, cells.map(|cell| cell.parse().expect("an index")).collect())
    });
    Golden { columns, rows: rows.collect() }
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex digits"))
        .collect()
}

fn assert_places_like(mode: RingMode, golden: &Golden<'_>) {
    assert!(golden.rows.len() >= 300, "the golden file is whole");
    for (column, names) in golden.columns.iter().enumerate().filter(|(_, name)| **name != "slot") {
        let names: Vec<&str> = names.split(',').collect();
        let ring = Ring::new(mode, &names).expect("names that make a ring");
        for (key, answers) in &golden.rows {
            let owner = ring.owner(key);
            assert_eq!(owner, answers[column], "{} on {names:?}", key.escape_ascii());
        }
    }
}

#[test]
fn key_slots_are_those_of_redis_cluster() {
    let golden = parse(include_str!("data/slots.tsv"));
    assert_eq!(golden.columns[0], "slot");
    for (key, answers) in &golden.rows {
        assert_eq!(usize::from(key_slot(key)), answers[0], "{}", key.escape_ascii());
    }
    assert_eq!(key_slot(b""), 0);
}

#[test]
fn slots_are_dealt_as_the_second_writing_of_the_rule_deals_them() {
    assert_places_like(RingMode::Slots, &parse(include_str!("data/slots.tsv")));
}

#[test]
fn ketama_places_keys_like_twemproxy() {
    assert_places_like(RingMode::Ketama, &parse(include_str!("data/ketama.tsv")));
}

#[test]
fn uhashring_places_keys_like_the_python_package() {
    assert_places_like(RingMode::Uhashring, &parse(include_str!("data/uhashring.tsv")));
}
