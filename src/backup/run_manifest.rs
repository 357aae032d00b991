//! `manifest-*.json`: the SQLite files of one run, written after the last `.meta`.

use std::path::Path;

use crate::error::{Error, Result};
use crate::job::{BackupJob, Context, Place, SqliteSource};
use crate::manifest::moment::Moment;
use crate::manifest::run::{FileResult, RunFile, RunManifest};
use crate::policy::{ArchiveKind, ManifestName, Tier, naming};
use crate::store::{Name, is_denied};

use super::TOOL_VERSION;
use super::sqlite::Done;

pub struct RunFiles {
    manifest: RunManifest,
    name: ManifestName,
    /// Every tier that a file of this run was filed in.
    tiers: Vec<Tier>,
}

impl RunFiles {
    pub fn begin(context: &Context) -> Self {
        let now = context.clock.zoned();
        RunFiles {
            manifest: RunManifest {
                timestamp: Moment::from(&now),
                tool_version: TOOL_VERSION.to_owned(),
                host: context.host.clone(),
                files: Vec::new(),
            },
            name: ManifestName::new(&now),
            tiers: Vec::new(),
        }
    }

    pub fn add(&mut self, source: &SqliteSource, done: &Result<Done>) {
        let mut file = RunFile {
            name: source.label.clone(),
            source: source.path.display().to_string(),
            archive: None,
            size_bytes: None,
            sha256: None,
            integrity_check: None,
            result: FileResult::Ok,
        };
        match done {
            Ok(Done { backed_up, integrity_check }) => {
                file.archive = backed_up.path.file_name().map(|name| name.to_string_lossy().into_owned());
                file.size_bytes = Some(backed_up.size_bytes);
                file.sha256 = Some(backed_up.sha256.clone());
                file.integrity_check = Some(integrity_check.clone());
                self.tiers.extend(backed_up.tiers.iter().filter(|tier| !self.tiers.contains(tier)).collect::<Vec<_>>());
            }
            Err(error) => file.result = FileResult::Failed(error.chain()),
        }
        self.manifest.files.push(file);
    }

    /// Into every tier of the run; nothing if the run had no SQLite file, or writes into no tree.
    pub fn publish(mut self, job: &BackupJob, context: &Context) -> Result<()> {
        let Place::Tree { root } = &job.place else { return Ok(()) };
        if self.manifest.files.is_empty() {
            return Ok(());
        }
        if self.tiers.is_empty() {
            self.tiers.push(Tier::Daily);
        }
        let mut failed: Option<Error> = None;
        for root in std::iter::once(root).chain(&job.copies) {
            if let Err(error) = self.put(root, context) {
                failed = Some(match failed {
                    None => error,
                    Some(first) => first.note(error.chain()),
                });
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn put(&self, root: &Path, context: &Context) -> Result<()> {
        let store = context.places.open(root)?;
        for &tier in &self.tiers {
            let taken = match store.list(&naming::folder(ArchiveKind::Sqlite, tier)) {
                // A name that stands is refused all the same.
                Err(error) if is_denied(&error) => Vec::new(),
                listed => listed?,
            };
            let name =
                self.name.first_free(|stem| taken.iter().any(|entry| entry.name.file_name() == format!("{stem}.json")));
            let name = name.unwrap_or(self.name);
            store.put_new(&Name::new(name.path(tier))?, &self.manifest.to_json())?;
        }
        Ok(())
    }
}
