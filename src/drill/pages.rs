//! A restored SQLite file against the archive that it came from, page for page.
//!
//! The archive's index has the CRC-32 of each run of pages as it was read at the backup. The restored file is read anew, from the
//! disk that it was written to, and every run of it must have the same.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::archive::{Archive, PipeReader, ReadAt, StreamKind, Tail};
use crate::checksum::crc32;
use crate::error::{Context as _, Kind, Result};

/// Differences that are named; more would say nothing new.
const NAMED: usize = 5;

/// One finding for each run of pages that is not the archive's.
pub fn compare<R: ReadAt>(restored: &Path, archive: &Archive<R>) -> Result<Vec<String>> {
    let mut comparing = Comparing::begin(restored)?;
    let pages = archive.streams().iter().filter(|stream| stream.spec.kind == StreamKind::Pages);
    let mut members: Vec<_> = pages.flat_map(|stream| archive.members_of(stream.id)).collect();
    members.sort_unstable_by_key(|member| (member.stream, member.seq));
    for member in members {
        comparing.run(member.raw, member.crc32)?;
    }
    comparing.finish()
}

/// The same of an archive that is read from front to back, and what its end says.
pub fn compare_in_order<R: Read>(restored: &Path, mut archive: PipeReader<R>) -> Result<(Vec<String>, Tail)> {
    let mut comparing = Comparing::begin(restored)?;
    let mut run = Vec::new();
    while let Some(member) = archive.next_member(&mut run)? {
        if member.kind == StreamKind::Pages {
            comparing.run(run.len() as u64, crc32(&run))?;
        }
    }
    Ok((comparing.finish()?, archive.finish()?))
}

struct Comparing<'a> {
    restored: &'a Path,
    file: File,
    at: u64,
    run: Vec<u8>,
    findings: Vec<String>,
}

impl<'a> Comparing<'a> {
    fn begin(restored: &'a Path) -> Result<Self> {
        let file = File::open(restored).context(Kind::Place, || cannot_read(restored))?;
        Ok(Comparing { restored, file, at: 0, run: Vec::new(), findings: Vec::new() })
    }

    /// The next run of pages must have so many bytes, and this CRC-32.
    fn run(&mut self, len: u64, crc: u32) -> Result<()> {
        self.run.clear();
        let read = (&mut self.file).take(len).read_to_end(&mut self.run);
        read.context(Kind::Place, || cannot_read(self.restored))?;
        let (at, end) = (self.at, self.at.saturating_add(len));
        if (self.run.len() as u64 != len || crc32(&self.run) != crc) && self.findings.len() < NAMED {
            self.findings.push(format!("bytes {at} to {end} of the restored file are not those that were backed up"));
        }
        self.at = end;
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<String>> {
        let len = self.file.metadata().context(Kind::Place, || cannot_read(self.restored))?.len();
        let more = len.saturating_sub(self.at);
        if more > 0 {
            self.findings.push(format!("the restored file has {more} bytes more than were backed up"));
        }
        Ok(self.findings)
    }
}

fn cannot_read(restored: &Path) -> String {
    format!("cannot read the restored file {}", restored.display())
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
