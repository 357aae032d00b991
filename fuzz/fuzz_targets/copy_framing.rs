//! Messages of a server among COPY rows: no length is believed, rows in are rows out, blocks are whole statements.
#![no_main]

use libfuzzer_sys::fuzz_target;
use miyabi_backup::pg::copy_out::fuzz_copy_framing;

fuzz_target!(|data: &[u8]| fuzz_copy_framing(data));
