//! A SQLite archive, or a database file of another tool, into a database file.
//!
//! The pages are staged once, checked, and only then written into the target; `sqlite::restore` has the rules of
//! that last step. The staged file is removed on every exit.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::archive::{Archive, PipeReader, ReadAt, StreamKind};
use crate::cancel::Cancel;
use crate::error::{Context as _, Error, Kind, Result};
use crate::job::{Context, RestoreJob};
use crate::progress::Progress;
use crate::sqlite::{self, RestoreInto, RestoreOutcome};
use crate::store::{LocalStore, Store};
use crate::units::human_bytes;

use super::source::Opened;

/// Blocks; the caller gives it a thread of its own.
pub fn restore(
    opened: Opened,
    target: &Path,
    job: &RestoreJob,
    context: &Context,
    stamp: &str,
) -> Result<RestoreOutcome> {
    sqlite::require_fixed_library()?;
    let (cancel, progress) = (&context.cancel, &context.progress);
    let mut staged = Staged::create(target, job.staging.as_deref(), stamp)?;
    match opened {
        Opened::Archive(archive) => {
            let raw: u64 = archive.streams().iter().map(|stream| stream.raw.0).sum();
            staged.expect_space(raw)?;
            progress.stage("unpacking", raw);
            stage_archive(&archive, &mut staged, cancel, progress)?;
        }
        Opened::Pipe(reader) => {
            progress.stage("unpacking", 0);
            stage_pipe(*reader, &mut staged, cancel, progress)?;
        }
        Opened::DatabaseFile(input) => {
            progress.stage("unpacking", 0);
            stage_file(input, &mut staged, cancel, progress)?;
        }
        Opened::Script(_) => {
            return Err(Error::new(Kind::Usage, "a script of PostgreSQL cannot be restored into a SQLite file"));
        }
    }
    staged.file.sync_all().context(Kind::Place, || format!("cannot sync {}", staged.path.display()))?;
    let plan = RestoreInto {
        staged: staged.path.clone(),
        target: target.to_owned(),
        stamp: stamp.to_owned(),
        busy_limit: job.busy_limit,
    };
    sqlite::restore::into_file(&plan, progress, cancel)
}

/// The unpacked database before it is checked; removed when this is dropped.
struct Staged {
    file: File,
    path: PathBuf,
}

impl Staged {
    fn create(target: &Path, staging: Option<&Path>, stamp: &str) -> Result<Self> {
        let beside = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let path = staging.unwrap_or(beside).join(format!(".{name}.restore-{stamp}.partial"));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|cause| cannot_create(&path, cause))?;
        Ok(Staged { file, path })
    }

    fn expect_space(&self, needed: u64) -> Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        match LocalStore::new(folder).space()? {
            Some(space) if space.free < needed => Err(Error::new(
                Kind::Place,
                format!(
                    "not enough space to unpack into {}: {} free, {} needed",
                    folder.display(),
                    human_bytes(space.free),
                    human_bytes(needed)
                ),
            )
            .hint("--staging names another folder")),
            _ => Ok(()),
        }
    }

    fn write(&mut self, pages: &[u8]) -> Result<()> {
        self.file.write_all(pages).map_err(|cause| {
            Error::new(Kind::Place, format!("cannot write {}", self.path.display()))
                .because(cause)
                .hint("is the disk full? the database is unpacked there first; --staging names another folder")
        })
    }
}

fn cannot_create(path: &Path, cause: io::Error) -> Error {
    let hint = match cause.kind() {
        io::ErrorKind::NotFound => "create the folder first, or correct the path",
        io::ErrorKind::PermissionDenied => "may this user write into the folder? --staging names another one",
        _ => "the database is unpacked there first; --staging names another folder",
    };
    Error::new(Kind::Place, format!("cannot create {}", path.display())).because(cause).hint(hint)
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Nothing can be done about a failure here; the name says what the file is.
        let _ = fs::remove_file(&self.path);
    }
}

fn stage_archive<R: ReadAt>(
    archive: &Archive<R>,
    staged: &mut Staged,
    cancel: &Cancel,
    progress: &Progress,
) -> Result<()> {
    let mut pages = Vec::new();
    for member in archive.members() {
        cancel.check()?;
        archive.read_member(&member, &mut pages)?;
        staged.write(&pages)?;
        progress.add_raw(pages.len() as u64, 0);
    }
    Ok(())
}

fn stage_pipe<R: Read>(
    mut reader: PipeReader<R>,
    staged: &mut Staged,
    cancel: &Cancel,
    progress: &Progress,
) -> Result<()> {
    let mut pages = Vec::new();
    while let Some(member) = reader.next_member(&mut pages)? {
        cancel.check()?;
        if member.kind != StreamKind::Pages {
            return Err(Error::new(Kind::Damaged, "a SQLite archive holds a member that is no run of pages"));
        }
        staged.write(&pages)?;
        progress.add_raw(pages.len() as u64, 0);
    }
    reader.finish().map(drop)
}

fn stage_file(mut input: impl Read, staged: &mut Staged, cancel: &Cancel, progress: &Progress) -> Result<()> {
    let mut piece = vec![0; 1 << 20];
    loop {
        cancel.check()?;
        match input.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(taken) => {
                staged.write(piece.get(..taken).unwrap_or_default())?;
                progress.add_raw(taken as u64, 0);
            }
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(Error::new(Kind::Damaged, "cannot inflate the database file").because(cause)),
        }
    }
}
