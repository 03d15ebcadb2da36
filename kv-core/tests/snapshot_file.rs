//! The file of a snapshot: what was written comes back, and nothing else ever does.

mod frame;
mod saved;

use std::fs;

use kv_core::snapshot::{Header, SnapshotError, file_name};
use kv_core::storage::Storage;
use proptest::prelude::*;
use saved::{Folder, State, read, write_state};

const HEADER: Header =
    Header { sequence: 42, created_ms: 1_700_000_000_000, salt: 0x0123_4567_89ab_cdef };

/// Blocks begin behind the header, their entries behind a checksum and a length.
const HEADER_BYTES: usize = 40;
const BLOCK_HEAD_BYTES: usize = 12;
const FOOTER_BYTES: usize = 156;

fn two_keys() -> State {
    let plain = ((0, b"key".to_vec()), (b"value".to_vec(), None));
    let empty = ((15, Vec::new()), (vec![0xff], Some(1_700_000_000_999)));
    State::from([plain, empty])
}

/// More than two blocks full.
fn many_keys() -> State {
    let entry = |n: u32| ((0, n.to_le_bytes().to_vec()), (vec![n as u8; 1000], None));
    (0..2500).map(entry).collect()
}

/// The bytes that `state` is written as.
fn encode(folder: &Folder, state: &State) -> Vec<u8> {
    let written = write_state(&folder.disk, &HEADER, state).expect("a folder to write to");
    let bytes = folder.bytes(&written.name);
    assert_eq!(written.bytes, bytes.len() as u64);
    assert_eq!(written.entries, state.len() as u64);
    bytes
}

/// The file around blocks of any bytes, with right checksums everywhere.
fn frame(blocks: &[&[u8]], entries: [u64; 16]) -> Vec<u8> {
    frame::snapshot(&HEADER, blocks, entries)
}

/// So many entries of database 0, and none of the others.
fn in_first(entries: u64) -> [u64; 16] {
    std::array::from_fn(|db| if db == 0 { entries } else { 0 })
}

fn refusal(folder: &Folder, bytes: &[u8]) -> String {
    match folder.read_bytes(bytes) {
        Ok(state) => panic!("{} entries were read", state.len()),
        Err(error) => error.to_string(),
    }
}

/// Made with Python and a CRC-32C of its own, computed bit by bit (check value e3069283).
#[test]
fn the_format_is_the_one_that_is_drawn() {
    const GOLDEN: &str = "6b762d736e700d0a01000000efcdab89674523012a000000000000000068e5cf8b010000cf42f46945f9a2da\
        2500000000000000000003000000050000006b657976616c7565010f0000000001000000e76be5cf8b010000\
        ff6b762d656e640d0a0100000000000000250000000000000001000000000000000000000000000000000000\
        0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\
        0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\
        00000000000000000000000000010000000000000092955f84";
    let folder = Folder::new();
    let golden = (0..GOLDEN.len()).step_by(2);
    let golden = golden.map(|at| u8::from_str_radix(&GOLDEN[at..at + 2], 16).expect("hex digits"));
    assert_eq!(encode(&folder, &two_keys()), golden.collect::<Vec<u8>>());
}

#[test]
fn what_was_written_comes_back() {
    let folder = Folder::new();
    let big = ((3, b"big".to_vec()), (vec![7; 3 * 1024 * 1024 + 1], Some(u64::MAX)));
    let mut with_big = many_keys();
    with_big.extend([big]);
    for state in [State::new(), two_keys(), many_keys(), with_big] {
        let bytes = encode(&folder, &state);
        assert!(folder.read_bytes(&bytes).expect("as it was written") == state);
        assert_eq!(fs::read_dir(folder.dir.path()).expect("the folder").count(), 3);
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    let folder = Folder::new();
    let bytes = encode(&folder, &two_keys());
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let refusal = refusal(&folder, &flipped);
        assert!(refusal.contains("some.kv"), "bit {bit}: {refusal}");
    }
}

#[test]
fn a_file_cut_anywhere_or_longer_than_written_is_refused() {
    let folder = Folder::new();
    let bytes = encode(&folder, &two_keys());
    for len in 0..bytes.len() {
        refusal(&folder, &bytes[..len]);
    }
    refusal(&folder, &[&bytes[..], b"\0"].concat());
    refusal(&folder, &[&bytes[..], &bytes].concat());
    // Between two blocks too, with the footer of the whole.
    let bytes = encode(&folder, &many_keys());
    let first_len = u64::from_le_bytes(bytes[44..52].try_into().expect("eight bytes")) as usize;
    let second = HEADER_BYTES + BLOCK_HEAD_BYTES + first_len;
    let without_first = [&bytes[..HEADER_BYTES], &bytes[second..]].concat();
    refusal(&folder, &without_first);
    refusal(&folder, &bytes[..second]);
    refusal(&folder, &[&bytes[..second], &bytes[bytes.len() - FOOTER_BYTES..]].concat());
}

#[test]
fn a_block_in_the_place_of_another_is_refused() {
    let folder = Folder::new();
    // Two full blocks of equal length, which nothing but their numbers tells apart.
    let entry = |n: u32| ((0, n.to_le_bytes().to_vec()), (vec![n as u8; 1024 * 1024 - 14], None));
    let state: State = (0..2).map(entry).collect();
    let bytes = encode(&folder, &state);
    let block_bytes = BLOCK_HEAD_BYTES + 1024 * 1024;
    assert_eq!(bytes.len(), HEADER_BYTES + 2 * block_bytes + FOOTER_BYTES);
    let (header, rest) = bytes.split_at(HEADER_BYTES);
    let (first, rest) = rest.split_at(block_bytes);
    let (second, footer) = rest.split_at(block_bytes);
    assert!(folder.read_bytes(&[header, first, second, footer].concat()).is_ok());
    for blocks in [[second, first], [first, first], [second, second]] {
        let refusal = refusal(&folder, &[header, blocks[0], blocks[1], footer].concat());
        assert!(refusal.contains("the checksum of a block is wrong"), "{refusal}");
    }
    // A block of another snapshot with the same entries.
    let other = Header { salt: 1, ..HEADER };
    let written = write_state(&folder.disk, &other, &state).expect("a folder to write to");
    let foreign = folder.bytes(&written.name)[HEADER_BYTES..][..block_bytes].to_vec();
    refusal(&folder, &[header, &foreign, second, footer].concat());
}

#[test]
fn a_refusal_names_the_file_and_the_offset() {
    let folder = Folder::new();
    let bytes = encode(&folder, &many_keys());
    let path = folder.disk.path("some.kv");
    // Of two blocks that are wrong, the first.
    let mut wrong = bytes.clone();
    wrong[1_100_000] ^= 1;
    wrong[2_200_000] ^= 1;
    let first_len = u64::from_le_bytes(bytes[44..52].try_into().expect("eight bytes"));
    let second = HEADER_BYTES as u64 + BLOCK_HEAD_BYTES as u64 + first_len;
    let expected = format!(
        "{path}: damaged at byte {second}: the checksum of a block is wrong; restore the file from a backup"
    );
    assert_eq!(refusal(&folder, &wrong), expected);
    let expected = format!(
        "{path}: damaged at byte 100: it does not end as a snapshot does; restore the file from a backup"
    );
    assert_eq!(refusal(&folder, &bytes[..256]), expected);
    let expected = format!(
        "{path}: damaged at byte 3: it ends before its footer; restore the file from a backup"
    );
    assert_eq!(refusal(&folder, &bytes[..3]), expected);
}

#[test]
fn another_version_is_refused_by_its_number() {
    let folder = Folder::new();
    let mut bytes = encode(&folder, &two_keys());
    bytes[8] = 2;
    match folder.read_bytes(&bytes) {
        Err(error @ SnapshotError::UnknownVersion { version: 2, .. }) => {
            assert!(
                error.to_string().contains("some.kv: version 2 of the snapshot's format"),
                "{error}"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn nonsense_with_right_checksums_is_refused() {
    let folder = Folder::new();
    let entry = |flags: u8, db: u8, key_len: u32, value_len: u32| {
        [&[flags, db][..], &key_len.to_le_bytes(), &value_len.to_le_bytes(), b"kv"].concat()
    };
    let good = entry(0, 0, 1, 1);
    assert_eq!(folder.read_bytes(&frame(&[&good], in_first(1))).expect("an entry").len(), 1);
    for (block, why) in [
        (entry(2, 0, 1, 1), "flags"),
        (entry(0, 16, 1, 1), "database"),
        (entry(0, 0, 3, 0), "a key is cut short"),
        (entry(0, 0, u32::MAX, u32::MAX), "a key is cut short"),
        (entry(0, 0, 1, 2), "a value is cut short"),
        (entry(0, 0, 1, 0), "an entry is cut short"),
        (entry(1, 0, 1, 1), "an entry is cut short"),
    ] {
        let second = [&good[..], &block].concat();
        let refusal = refusal(&folder, &frame(&[&good, &second], in_first(3)));
        assert!(refusal.contains(why), "{refusal}");
        let at = HEADER_BYTES + 2 * BLOCK_HEAD_BYTES + good.len();
        let of_an_entry = at + good.len()..=at + second.len();
        let named = of_an_entry.into_iter().any(|at| refusal.contains(&format!("byte {at}:")));
        assert!(named, "{refusal}");
    }
    refusal(&folder, &frame(&[&good, &good], in_first(1)));
    refusal(&folder, &frame(&[&good, &good], in_first(3)));
    refusal(&folder, &frame(&[&good, &[]], in_first(2)));
    // As many, in another database.
    let mut in_second = [0; 16];
    in_second[1] = 1;
    refusal(&folder, &frame(&[&good], in_second));
    // What the table would be made big enough for.
    for entries in [in_first(u64::MAX), [u64::MAX / 8; 16], in_first(2)] {
        let refusal = refusal(&folder, &frame(&[&good], entries));
        assert!(refusal.contains("its footer counts too many entries"), "{refusal}");
    }
    for len in [u64::MAX, good.len() as u64 + 1] {
        let mut longer = frame(&[&good], in_first(1));
        longer[44..52].copy_from_slice(&len.to_le_bytes());
        assert!(refusal(&folder, &longer).contains("longer than the file"));
    }
    // A file of nothing but empty blocks would need more memory than it has bytes.
    assert!(refusal(&folder, &frame(&[&good, &[]], in_first(1))).contains("a block is empty"));
}

#[test]
fn other_blocks_than_the_footer_counts_are_refused() {
    let folder = Folder::new();
    let good = [&[0, 0][..], &1u32.to_le_bytes(), &1u32.to_le_bytes(), b"kv"].concat();
    let one = frame(&[&good], in_first(1));
    let two = frame(&[&good, &good], in_first(2));
    let mixed = |blocks: &[u8], footer: &[u8]| {
        let (blocks, _) = blocks.split_at(blocks.len() - FOOTER_BYTES);
        let (_, footer) = footer.split_at(footer.len() - FOOTER_BYTES);
        refusal(&folder, &[blocks, footer].concat())
    };
    assert!(mixed(&one, &two).contains("not what the footer counts"));
    assert!(mixed(&two, &one).contains("more blocks than the footer counts"));
}

proptest! {
    #[test]
    fn any_bytes_with_right_checksums_do_no_harm(
        blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..4),
        entries in 0u64..4,
        others in 0u64..2,
    ) {
        let folder = Folder::new();
        let blocks: Vec<&[u8]> = blocks.iter().map(Vec::as_slice).collect();
        let mut counts = in_first(entries);
        counts[15] = others;
        if let Ok(state) = folder.read_bytes(&frame(&blocks, counts)) {
            prop_assert!(state.len() as u64 <= entries + others);
        }
    }

    #[test]
    fn any_bytes_at_all_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Folder::new().read_bytes(&bytes).is_err());
    }
}

#[test]
fn a_snapshot_that_is_not_there_is_named() {
    let folder = Folder::new();
    let error = read(&folder.disk, &file_name(7)).expect_err("there is none");
    let path = folder.disk.path("snapshot-00000000000000000007.kv");
    assert!(error.to_string().starts_with(&format!("{path}: cannot read it: ")), "{error}");
}
