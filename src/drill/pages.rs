//! A restored SQLite file against the archive that it came from, page for page.
//!
//! The archive's index has the CRC-32 of each run of pages as it was read at the backup. The restored file is read anew, from the
//! disk that it was written to, and every run of it must have the same.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::archive::{Archive, ReadAt, StreamKind};
use crate::checksum::crc32;
use crate::error::{Context as _, Kind, Result};

/// Differences that are named; more would say nothing new.
const NAMED: usize = 5;

/// One finding for each run of pages that is not the archive's.
pub fn compare<R: ReadAt>(restored: &Path, archive: &Archive<R>) -> Result<Vec<String>> {
    let doing = || format!("cannot read the restored file {}", restored.display());
    let mut file = File::open(restored).context(Kind::Place, doing)?;
    let pages = archive.streams().iter().filter(|stream| stream.spec.kind == StreamKind::Pages);
    let mut members: Vec<_> = pages.flat_map(|stream| archive.members_of(stream.id)).collect();
    members.sort_unstable_by_key(|member| (member.stream, member.seq));
    let (mut findings, mut at) = (Vec::new(), 0_u64);
    let mut run = Vec::new();
    for member in members {
        run.clear();
        (&mut file).take(member.raw).read_to_end(&mut run).context(Kind::Place, doing)?;
        let end = at.saturating_add(member.raw);
        if (run.len() as u64 != member.raw || crc32(&run) != member.crc32) && findings.len() < NAMED {
            findings.push(format!("bytes {at} to {end} of the restored file are not those that were backed up"));
        }
        at = end;
    }
    let more = file.metadata().context(Kind::Place, doing)?.len().saturating_sub(at);
    if more > 0 {
        findings.push(format!("the restored file has {more} bytes more than were backed up"));
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::testkit::Sample;

    #[test]
    fn every_page_counts() {
        let sample = Sample::pages();
        let archive = Archive::open(sample.archive()).unwrap();
        let pages: Vec<u8> = sample.blocks.iter().flat_map(|block| block.raw.clone()).collect();
        let folder = tempfile::tempdir().unwrap();
        let found = |bytes: &[u8]| {
            let path = folder.path().join("restored.db");
            std::fs::write(&path, bytes).unwrap();
            compare(&path, &archive).unwrap()
        };
        assert!(found(&pages).is_empty());
        let mut altered = pages.clone();
        altered[1500] ^= 1;
        assert_eq!(found(&altered), ["bytes 1024 to 2048 of the restored file are not those that were backed up"]);
        assert_eq!(found(&pages[..pages.len() - 1]).len(), 1);
        altered.clone_from(&pages);
        altered.push(0);
        assert_eq!(found(&altered), ["the restored file has 1 bytes more than were backed up"]);
        assert_eq!(found(b"").len(), 3);
    }
}
