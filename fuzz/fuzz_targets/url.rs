//! Connection URLs: no password is ever shown.
#![no_main]

use libfuzzer_sys::fuzz_target;
use miyabi_backup::pg::fuzz_url;

fuzz_target!(|data: &[u8]| fuzz_url(data));
