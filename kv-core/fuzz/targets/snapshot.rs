#![no_main]

#[path = "../../tests/faulty/mod.rs"]
mod faulty;
#[path = "../../tests/frame/mod.rs"]
mod frame;
#[path = "../../tests/fuzzed/mod.rs"]
mod fuzzed;
#[path = "../../tests/pieces/mod.rs"]
mod pieces;
#[path = "../src/pool.rs"]
mod pool;

libfuzzer_sys::fuzz_target!(init: pool::on_this_thread(), |input: &[u8]| fuzzed::snapshot::check(input));
