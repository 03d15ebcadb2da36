//! Writes what the targets begin from into `FOLDER/TARGET/`, one file for each seed.

#[path = "../../tests/faulty/mod.rs"]
mod faulty;
#[path = "../../tests/frame/mod.rs"]
mod frame;
#[path = "../../tests/fuzzed/mod.rs"]
mod fuzzed;
#[path = "../../tests/pieces/mod.rs"]
mod pieces;

use std::path::PathBuf;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).map_or_else(|| PathBuf::from("corpus"), PathBuf::from);
    for target in fuzzed::TARGETS {
        let folder = folder.join(target.name);
        fs::create_dir_all(&folder)?;
        for (number, seed) in (target.seeds)().iter().enumerate() {
            fs::write(folder.join(format!("seed-{number:02}")), seed)?;
        }
    }
    Ok(())
}
