//! Writes what `tests/fixtures` is made of. Archives of a format's first day are never written again: only what is missing.

use std::fs;
use std::path::Path;

use miyabi_backup::archive::testkit::{Sample, bad_archives, fuzz_seeds};
use miyabi_backup::archive::{Framing, Libdeflate, ZlibNg, Zstd};

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let zstd = || Zstd::new(1).expect("zstd has a level 1");
    for (name, bytes) in [
        ("zlib-ng-6.sql.gz", Sample::small().archive_by(&mut ZlibNg::new(6))),
        ("libdeflate-5.sql.gz", Sample::small().archive_by(&mut Libdeflate::new(5))),
        ("small.sql.zst", Sample::small().archive_by(&mut zstd())),
        ("pages.db.zst", Sample::pages().archive_by(&mut zstd())),
    ] {
        write_missing(&root.join("tests/fixtures/v1").join(name), &bytes);
    }
    for (name, bytes) in bad_archives(Framing::Gzip) {
        write_missing(&root.join("tests/fixtures/bad").join(format!("{name}.gz")), &bytes);
    }
    for target in ["open", "index", "member", "roundtrip"] {
        for (name, bytes) in fuzz_seeds(target) {
            write_missing(&root.join("fuzz/corpus").join(target).join(name), &bytes);
        }
    }
}

fn write_missing(path: &Path, bytes: &[u8]) {
    if !path.exists() {
        fs::write(path, bytes).unwrap_or_else(|cause| panic!("{}: {cause}", path.display()));
        println!("{}", path.display());
    }
}
