//! What a ring promises for every list of servers: its shares, and which keys move when one joins.

use std::collections::HashSet;

use kv_core::ring::{NAME_BYTES_MAX, Ring, RingError, RingMode, SERVERS_MAX, slots::SLOTS};
use proptest::prelude::*;

/// Where twemproxy's arithmetic gives each server 156 points and not 160.
const KETAMA_SHORT: [usize; 3] = [25, 47, 50];

fn any_names() -> impl Strategy<Value = Vec<String>> {
    let random = proptest::collection::hash_set("[a-z0-9.:_-]{1,20}", 2..=51)
        .prop_map(|names| names.into_iter().collect::<Vec<_>>());
    let numbered = (2..=51_usize).prop_map(|n| (1..=n).map(|i| format!("server_{i}")).collect());
    prop_oneof![random, numbered]
}

fn keys() -> impl Iterator<Item = Vec<u8>> {
    (0..2000).map(|n| format!("key:{n:012}").into_bytes())
}

fn modes() -> impl Strategy<Value = RingMode> {
    prop_oneof![Just(RingMode::Slots), Just(RingMode::Ketama), Just(RingMode::Uhashring)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn keys_move_to_the_new_server_and_nowhere_else(mode in modes(), names in any_names()) {
        let old = names.len() - 1;
        let short = |servers| KETAMA_SHORT.contains(&servers);
        prop_assume!(mode != RingMode::Ketama || short(old) == short(old + 1));
        let before = Ring::new(mode, &names[..old]).unwrap();
        let after = Ring::new(mode, &names).unwrap();
        for key in keys() {
            let (from, to) = (before.owner(&key), after.owner(&key));
            prop_assert!(from == to || to == old, "{mode}: {from} to {to} of {names:?}");
        }
    }

    #[test]
    fn slots_are_even_to_one_and_a_new_server_takes_no_more_than_its_part(names in any_names()) {
        let shares = Ring::new(RingMode::Slots, &names).unwrap().shares();
        let slots: Vec<usize> = shares.iter().map(|share| (share * SLOTS as f64) as usize).collect();
        let floor = SLOTS / names.len();
        prop_assert!(slots.iter().all(|&held| held == floor || held == floor + 1), "{slots:?}");
        prop_assert_eq!(slots.iter().sum::<usize>(), SLOTS);
        // With "nowhere else" above, this share is all that moves.
        prop_assert!(*shares.last().unwrap() <= 1.0 / names.len() as f64);
    }

    #[test]
    fn shares_are_what_random_keys_get(mode in modes(), names in any_names()) {
        let ring = Ring::new(mode, &names).unwrap();
        let shares = ring.shares();
        prop_assert_eq!(shares.len(), names.len());
        prop_assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        let mut got = vec![0.0; names.len()];
        for key in keys() {
            got[ring.owner(&key)] += 1.0 / 2000.0;
        }
        for (share, got) in shares.iter().zip(got) {
            // Six standard deviations of a binomial, and the grain of 2000 keys.
            let allowed = 6.0 * (share * (1.0 - share) / 2000.0).sqrt() + 1.0 / 2000.0;
            prop_assert!((share - got).abs() <= allowed, "{mode}: {share} but {got}");
        }
    }

    #[test]
    fn only_slots_depend_on_the_order_of_names(mode in modes(), names in any_names()) {
        let mut reversed = names.clone();
        reversed.reverse();
        let ring = Ring::new(mode, &names).unwrap();
        let mirrored = Ring::new(mode, &reversed).unwrap();
        let moved = keys()
            .filter(|key| names[ring.owner(key)] != reversed[mirrored.owner(key)])
            .count();
        prop_assert_eq!(moved > 0, mode == RingMode::Slots);
    }
}

#[test]
fn slots_stay_even_up_to_the_largest_ring() {
    let names: Vec<String> = (0..SERVERS_MAX).map(|n| format!("server_{n}")).collect();
    let shares = Ring::new(RingMode::Slots, &names).unwrap().shares();
    let held: HashSet<u32> = shares.iter().map(|share| (share * SLOTS as f64) as u32).collect();
    assert_eq!(held, HashSet::from([16, 17]));
}

#[test]
fn the_ring_without_a_server_is_that_of_the_others() {
    let names: Vec<String> = (1..=9).map(|number| format!("server_{number}")).collect();
    for mode in RingMode::ALL {
        let rings = Ring::without_each(mode, &names).expect("nine servers");
        assert_eq!(rings.len(), 9);
        for (index, ring) in rings.iter().enumerate() {
            let mut left = names.clone();
            left.remove(index);
            let expected = Ring::new(mode, &left).expect("eight servers");
            assert_eq!(ring.names(), left);
            for key in keys() {
                assert_eq!(ring.owner(&key), expected.owner(&key), "{mode} without {index}");
            }
        }
        assert_eq!(Ring::without_each(mode, &["a"]).err(), Some(RingError::Empty));
        let twice = Ring::without_each(mode, &["a", "b", "a"]);
        assert_eq!(twice.err(), Some(RingError::Duplicate("a".to_owned())), "{mode}");
    }
}

#[test]
fn one_server_owns_everything() {
    for mode in RingMode::ALL {
        let ring = Ring::new(mode, &["only"]).unwrap();
        assert_eq!((ring.mode(), ring.shares().len()), (mode, 1));
        assert!(ring.shares()[0] > 1.0 - 1e-9, "{mode}: {:?}", ring.shares());
        assert!(keys().all(|key| ring.owner(&key) == 0));
        assert_eq!(ring.owner(b""), 0);
    }
}

#[test]
fn lists_that_make_no_ring_are_refused() {
    let none: [&str; 0] = [];
    let many: Vec<String> = (0..=SERVERS_MAX).map(|n| n.to_string()).collect();
    let long = "x".repeat(NAME_BYTES_MAX + 1);
    for mode in RingMode::ALL {
        let refused = |names: &[&str]| Ring::new(mode, names).unwrap_err();
        assert_eq!(refused(&none), RingError::Empty);
        assert_eq!(refused(&["a", "b", "a"]), RingError::Duplicate("a".into()));
        assert_eq!(refused(&["a", ""]), RingError::NameLength(String::new()));
        assert_eq!(refused(&[&long]), RingError::NameLength(long.clone()));
        assert_eq!(Ring::new(mode, &many).unwrap_err(), RingError::TooMany(SERVERS_MAX + 1));
    }
}

#[test]
fn modes_are_read_by_the_name_they_print() {
    for mode in RingMode::ALL {
        assert_eq!(mode.to_string().parse(), Ok(mode));
        assert_eq!(mode.name().to_uppercase().parse(), Ok(mode));
    }
    let error = "modulo".parse::<RingMode>().unwrap_err();
    assert_eq!(error.to_string(), "unknown ring 'modulo': use slots, ketama or uhashring");
}
