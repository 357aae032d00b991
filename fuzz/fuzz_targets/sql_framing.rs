//! Scripts: cuts change nothing, what is held is bounded, what the check lets through is one statement.
#![no_main]

use libfuzzer_sys::fuzz_target;
use miyabi_backup::script::fuzz_sql_framing;

fuzz_target!(|data: &[u8]| fuzz_sql_framing(data));
