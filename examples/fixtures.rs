//! Writes the kit of bad archives and the fuzzers' seeds: `cargo run --example fixtures`.
//!
//! Golden archives are written only where they are missing: they must open for ever.

use std::fs;
use std::io;
use std::path::Path;

use miyabi_backup::archive::{GzipCodec, testkit};

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let bad = root.join("tests/fixtures/bad");
    fs::create_dir_all(&bad)?;
    for (name, bytes) in testkit::bad_archives() {
        fs::write(bad.join(name).with_extension("gz"), bytes)?;
    }
    let golden = root.join("tests/fixtures/v1");
    fs::create_dir_all(&golden)?;
    let small = testkit::Sample::small().archive_by(&mut GzipCodec::new(0));
    let pages = testkit::Sample::pages().archive_by(&mut GzipCodec::new(0));
    let flag = testkit::compatible_flag(&small);
    for (name, bytes) in [("small.sql.gz", &small), ("pages.db.gz", &pages), ("compatible-flag.sql.gz", &flag)] {
        let path = golden.join(name);
        if !path.exists() {
            fs::write(path, bytes)?;
        }
    }
    for target in ["open", "index", "member", "roundtrip"] {
        let folder = root.join("fuzz/corpus").join(target);
        fs::create_dir_all(&folder)?;
        for (name, bytes) in testkit::fuzz_seeds(target) {
            fs::write(folder.join(name), bytes)?;
        }
    }
    Ok(())
}
