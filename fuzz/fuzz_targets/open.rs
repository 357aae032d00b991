//! An archive that may be anything: all readers agree, spans lie in the file, what is salvaged is sound.
#![no_main]

use libfuzzer_sys::fuzz_target;
use miyabi_backup::archive::testkit::fuzz_open;

fuzz_target!(|data: &[u8]| fuzz_open(data));
