#![no_main]

#[path = "../../tests/faulty/mod.rs"]
mod faulty;
#[path = "../../tests/frame/mod.rs"]
mod frame;
#[path = "../../tests/fuzzed/mod.rs"]
mod fuzzed;
#[path = "../../tests/pieces/mod.rs"]
mod pieces;

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzzed::request::check(input));
