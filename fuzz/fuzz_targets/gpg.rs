//! A file that gpg may have encrypted, and packets inside of one: no end before all is proved, no length is believed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use miyabi_backup::seal::fuzz_gpg;

fuzz_target!(|data: &[u8]| fuzz_gpg(data));
