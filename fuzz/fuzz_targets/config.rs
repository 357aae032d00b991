//! `miyabi-backup.toml` and `.env`: settings have known keys and true lines, refusals name the file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use miyabi_backup::cli::fuzz_config;

fuzz_target!(|data: &[u8]| fuzz_config(data));
