//! Copies backups from one place to another: folders, buckets, in any direction. What stands there is left alone.
//!
//! The bytes are compared with the digest that their `.meta` has before the copy gets its name; only then follows the
//! `.meta`. Within the target, tiers of one archive share its bytes where the place can. Nothing is removed anywhere.

pub mod outcome;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use crate::checksum::{HashingWriter, Sha256, hex};
use crate::error::{Context as _, Error, Kind, Result};
use crate::job::{Context, CopyJob};
use crate::listing::{Listed, Listing, State, at_path};
use crate::manifest::{BackupType, Meta, Readback, RunManifest, meta::META_BYTES_MAX};
use crate::policy::naming::{further_name, meta_name, tier_of};
use crate::policy::{ArchiveName, ManifestName, Tier};
use crate::state::{RunLock, TreeKey};
use crate::store::{Bytes, Name, Places, Published, Store, explain};
use crate::units::StoredBytes;
use crate::verify::stored;

pub use outcome::{Copied, CopyFailure, CopyOutcome};

const PIECE_BYTES: u64 = 1 << 20;

/// Blocks. An error is returned only if nothing could be begun, or the run is stopped.
pub fn run(job: &CopyJob, context: &Context) -> Result<CopyOutcome> {
    let (source, listing) = at_path(&job.from, &context.places, context.clock.zone())?;
    let key = match Places::bucket(&job.to) {
        Some(location) => TreeKey::of_url(&location?.to_string()),
        None => TreeKey::of_folder(&job.to)?,
    };
    let _lock = RunLock::acquire(&job.state_dir, &key, context.clock.now())?;
    let target = context.places.open(&job.to)?;
    let there = Listing::of(target.as_ref(), context.clock.zone())?;
    let copier = Copier { source, target, to: job.to.clone(), context };
    let wanted: Vec<&Listed> = listing.rows.iter().rev().filter(|row| job.wants(row)).collect();
    context.progress.stage("copying", wanted.iter().map(|row| row.size).sum());
    let mut outcome = CopyOutcome::default();
    let mut standing: Vec<Standing> = there.rows.iter().filter_map(Standing::of).collect();
    for row in wanted {
        match copier.copy(row, &there, &mut standing) {
            Ok(Some(copied)) => outcome.copied.push(copied),
            Ok(None) => outcome.present.push(row.path.clone()),
            Err(error) if matches!(error.kind(), Kind::Signal(_)) => return Err(error),
            Err(error) => outcome.failed.push(CopyFailure::new(&row.path, &error)),
        }
    }
    // Never needed for a restore, and filed with the files that they tell of.
    for manifest in &listing.manifests {
        if let Err(error) = copier.manifest(manifest, &there) {
            outcome.failed.push(CopyFailure::new(manifest, &error));
        }
    }
    Ok(outcome)
}

/// An archive that stands in the target with its `.meta`.
struct Standing {
    path: String,
    sha256: String,
    further: u16,
    readback: Readback,
}

impl Standing {
    fn of(row: &Listed) -> Option<Self> {
        let details = row.meta.as_ref().filter(|_| row.state == State::Complete)?.details.as_ref()?;
        let further = u16::try_from(row.parts.len()).ok()?.saturating_sub(1);
        Some(Standing { path: row.path.clone(), sha256: details.sha256.clone(), further, readback: details.readback })
    }
}

struct Copier<'a> {
    source: Arc<dyn Store>,
    target: Arc<dyn Store>,
    to: PathBuf,
    context: &'a Context,
}

impl Copier<'_> {
    /// `None` if it is there already.
    fn copy(&self, row: &Listed, there: &Listing, standing: &mut Vec<Standing>) -> Result<Option<Copied>> {
        self.context.cancel.check()?;
        let meta = checked(row)?;
        let sha256 = meta.details.as_ref().map(|details| details.sha256.clone()).unwrap_or_default();
        let path = path_in_tree(row, meta);
        if let Some(found) = there.rows.iter().find(|found| found.path == path) {
            return match Standing::of(found).is_some_and(|found| found.sha256 == sha256) {
                true => Ok(None),
                false => Err(Error::new(Kind::Refused, format!("another file stands in {}", self.target.shown(&path)))
                    .hint("`list --from` shows it; it is never overwritten")),
            };
        }
        let twin = standing.iter().find(|other| other.sha256 == sha256);
        let (further, readback) = match twin {
            Some(twin) => (self.link(twin, &path)?, twin.readback),
            None => {
                let published = self.pour(row, &path, &sha256)?;
                let readback = if published.read_back { Readback::Checked } else { Readback::Denied };
                (published.further, readback)
            }
        };
        if let Err(error) = self.target.put_new(&Name::new(meta_name(&path))?, &meta_of(meta, further, readback)) {
            return Err(self.remove(&path, further, error));
        }
        standing.push(Standing { path: path.clone(), sha256, further, readback });
        Ok(Some(Copied { path: PathBuf::from(self.target.shown(&path)), size_bytes: StoredBytes(row.size) }))
    }

    fn link(&self, twin: &Standing, path: &str) -> Result<u16> {
        for number in (0..=twin.further).rev() {
            let (from, to) = (further_name(&twin.path, number), further_name(path, number));
            self.target.link(&Name::new(from)?, &Name::new(to)?)?;
        }
        Ok(twin.further)
    }

    fn pour(&self, row: &Listed, path: &str, sha256: &str) -> Result<Published> {
        let from = stored::open(self.source.as_ref(), row)?;
        let upload = self.target.begin_sized(&Name::new(path)?, Some(from.len()))?;
        let mut writer = HashingWriter::new(upload);
        self.pieces(from.as_ref(), |piece| {
            self.context.progress.add_raw(piece.len() as u64, 0);
            writer.write_all(piece).context(Kind::Place, || "cannot write the copy".to_owned()).map_err(explain)
        })?;
        let (upload, _, found) = writer.finish();
        if found != sha256 {
            let what = "the archive is not the one that its .meta describes: its digest differs";
            let error = Error::new(Kind::Damaged, what).hint("`verify` tells where it is damaged");
            return Err(match upload.abort() {
                Ok(()) => error,
                Err(left) => error.note(left.chain()),
            });
        }
        // A bucket has compared the digest of every part itself.
        let is_far = Places::bucket(&self.to).is_some();
        upload.publish(&mut |copy| if is_far { Ok(()) } else { self.compare(copy, sha256) })
    }

    fn compare(&self, copy: &dyn Bytes, sha256: &str) -> Result<()> {
        let mut digest = Sha256::new();
        self.pieces(copy, |piece| {
            digest.update(piece);
            Ok(())
        })?;
        match hex(&digest.finalize()) == sha256 {
            true => Ok(()),
            false => Err(Error::new(Kind::Damaged, "the copy reads back differently")),
        }
    }

    fn pieces(&self, bytes: &dyn Bytes, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut piece = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            self.context.cancel.check()?;
            piece.resize(usize::try_from((bytes.len() - at).min(PIECE_BYTES)).unwrap_or(0), 0);
            bytes
                .read_at(at, &mut piece)
                .context(Kind::Place, || "cannot read the archive".to_owned())
                .map_err(explain)?;
            take(&piece)?;
            at += piece.len() as u64;
        }
        Ok(())
    }

    fn remove(&self, path: &str, further: u16, error: Error) -> Error {
        (0..=further).map(|number| further_name(path, number)).fold(error, |error, path| {
            match Name::new(path.as_str()).and_then(|name| self.target.delete(&name)) {
                Ok(()) => error,
                Err(left) => error.note(format!("{} could not be removed: {}", self.target.shown(&path), left.chain())),
            }
        })
    }

    fn manifest(&self, path: &str, there: &Listing) -> Result<()> {
        self.context.cancel.check()?;
        let file = path.rsplit_once('/').map_or(path, |(_, file)| file);
        let in_tree = |tier: Tier| ManifestName::parse(file).map(|name| name.path(tier));
        let to = tier_of(path).and_then(in_tree).unwrap_or_else(|| path.to_owned());
        if there.manifests.contains(&to) {
            return Ok(());
        }
        let stored = self.source.open(&Name::new(path)?)?;
        let len = usize::try_from(stored.len()).unwrap_or(usize::MAX);
        if len > META_BYTES_MAX {
            return Err(Error::new(Kind::Damaged, "the run manifest is too long to be one"));
        }
        let mut json = vec![0; len];
        stored.read_at(0, &mut json).context(Kind::Place, || "cannot read the run manifest".to_owned())?;
        RunManifest::parse(&json)?;
        self.target.put_new(&Name::new(to)?, &json).map(drop)
    }
}

/// Only what is whole and of ours is copied.
fn checked(row: &Listed) -> Result<&Meta> {
    match (row.state, &row.meta) {
        (State::Complete, Some(meta)) => Ok(meta),
        (state, _) => {
            let note = row.note.as_ref().map_or_else(String::new, |note| format!(" ({note})"));
            Err(Error::new(Kind::Damaged, format!("it is no complete backup of ours: {}{note}", state.name())))
        }
    }
}

/// Where a backup belongs in a tree; one that belongs into none keeps its name.
fn path_in_tree(row: &Listed, meta: &Meta) -> String {
    let file = row.path.rsplit_once('/').map_or(row.path.as_str(), |(_, file)| file);
    let tier = match meta.backup_type {
        BackupType::Daily => Some(Tier::Daily),
        BackupType::Weekly => Some(Tier::Weekly),
        BackupType::Monthly => Some(Tier::Monthly),
        BackupType::Manual => None,
    };
    match (tier, ArchiveName::parse(file)) {
        (Some(tier), Some(name)) => name.path(tier),
        _ => file.to_owned(),
    }
}

/// The same `.meta`, but for what is about the place: in how many files it lies, and whether it was read again.
fn meta_of(meta: &Meta, further: u16, readback: Readback) -> Vec<u8> {
    let mut meta = meta.clone();
    if let Some(details) = &mut meta.details {
        details.files = (further > 0).then(|| further.saturating_add(1));
        details.readback = readback;
    }
    meta.to_json()
}
