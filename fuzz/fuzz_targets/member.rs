//! A member with any deflate stream: nothing is released before every check, the length's cap holds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use miyabi_backup::archive::testkit::fuzz_member;

fuzz_target!(|data: &[u8]| fuzz_member(data));
