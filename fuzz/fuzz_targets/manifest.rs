//! `.meta` and run manifests: what is accepted reads back as the same value.
#![no_main]

use libfuzzer_sys::fuzz_target;
use miyabi_backup::manifest::fuzz_manifest;

fuzz_target!(|data: &[u8]| fuzz_manifest(data));
