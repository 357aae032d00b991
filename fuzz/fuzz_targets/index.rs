//! An inflated index that may be anything: what is accepted has one form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use miyabi_backup::archive::testkit::fuzz_index;

fuzz_target!(|data: &[u8]| fuzz_index(data));
