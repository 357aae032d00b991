//! What the fuzz target `manifest` asserts; the committed seeds run as a test, too.

use super::{Meta, Moment, RunManifest};

/// What is accepted is written so that it reads back as the same value, down to the offset of its time.
pub fn fuzz_manifest(data: &[u8]) {
    if let Ok(meta) = Meta::parse(data) {
        let json = meta.to_json();
        let again = Meta::parse(&json).expect("our own .meta is read");
        assert_eq!((&again, written(again.timestamp)), (&meta, written(meta.timestamp)));
        assert_eq!(again.to_json(), json);
        assert_eq!((again.source(), again.is_foreign()), (meta.source(), meta.is_foreign()));
    }
    if let Ok(run) = RunManifest::parse(data) {
        let json = run.to_json();
        let again = RunManifest::parse(&json).expect("our own run manifest is read");
        assert_eq!((&again, written(again.timestamp)), (&run, written(run.timestamp)));
        assert_eq!(again.to_json(), json);
    }
}

/// Moments are equal if their instants are; the offset counts here, too.
fn written(at: Moment) -> String {
    at.to_string()
}
