//! Any input whatever, to all that reads bytes which we did not write. cargo-fuzz calls the same
//! checks for longer (`scripts/fuzz`); what it found is below, each with its story.

mod faulty;
mod frame;
mod fuzzed;
mod pieces;

use fuzzed::TARGETS;
use proptest::prelude::*;

#[test]
fn every_seed_is_an_input_that_holds() {
    for target in TARGETS {
        for seed in (target.seeds)() {
            (target.check)(&seed);
        }
    }
}

/// A seed of the target with some bytes changed, put in and left out.
fn mutated(target: usize) -> impl Strategy<Value = Vec<u8>> {
    let seeds = (TARGETS[target].seeds)();
    let mutation = (any::<prop::sample::Index>(), any::<u8>(), 0..3u8);
    (prop::sample::select(seeds), prop::collection::vec(mutation, 0..6)).prop_map(
        |(mut input, mutations)| {
            for (at, byte, kind) in mutations {
                let at = at.index(input.len() + 1);
                match kind {
                    0 => input.insert(at, byte),
                    _ if at == input.len() => {}
                    1 => drop(input.remove(at)),
                    _ => input[at] = byte,
                }
            }
            input
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_request_holds(input in mutated(0)) {
        (TARGETS[0].check)(&input);
    }

    #[test]
    fn any_log_holds(input in mutated(1)) {
        (TARGETS[1].check)(&input);
    }

    #[test]
    fn any_snapshot_holds(input in mutated(2)) {
        (TARGETS[2].check)(&input);
    }

    #[test]
    fn bytes_of_no_origin_hold(input in prop::collection::vec(any::<u8>(), 0..200)) {
        for target in TARGETS {
            (target.check)(&input);
        }
    }
}
