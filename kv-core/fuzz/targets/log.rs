#![no_main]

#[path = "../../tests/faulty/mod.rs"]
mod faulty;
#[path = "../../tests/frame/mod.rs"]
mod frame;
#[path = "../../tests/fuzzed/mod.rs"]
mod fuzzed;
#[path = "../../tests/pieces/mod.rs"]
mod pieces;

libfuzzer_sys::fuzz_target!(
    init: {
        // On this thread: handing so little work to others takes longer than doing it.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread();
        pool.build_global().expect("the first pool");
    },
    |input: &[u8]| fuzzed::log::check(input)
);
