//! Any blocks: what is written is read, by every reader and by a stock one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use miyabi_backup::archive::testkit::fuzz_roundtrip;

fuzz_target!(|data: &[u8]| fuzz_roundtrip(data));
