//! One SQLite file into one archive.
//!
//! The backup API needs a file to copy into, so the database is staged once, uncompressed. The copy is then judged by
//! `integrity_check` and packed at the same time; an archive of a copy that is not sound is never published. The staged file is removed on every exit; one that a killed run left is swept by the next.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Zoned;
use serde_json::json;
use tokio::runtime::Handle;

use crate::archive::{ArchiveHeader, Fit, SAMPLE_BYTES, SourceKind, StreamKind, StreamSpec, Trailer};
use crate::cancel::Cancel;
use crate::error::{Context as _, Error, Kind, Result, first_cause};
use crate::ident::StreamId;
use crate::job::{self, BackupJob, Compress, Context, Place, SqliteSource};
use crate::manifest::meta::{Content, Source, SqliteFacts};
use crate::pipeline::{BLOCK_BYTES, FeedSender, joined};
use crate::policy::naming::{self, copy_name, folder};
use crate::policy::{ArchiveKind, ArchiveName, Compression, Label, Tier};
use crate::sqlite::{self, Copied, Unchecked, copy};
use crate::store::{LocalStore, Places};
use crate::text::Text;

use super::outcome::BackedUp;
use super::publish::{Described, Shelf};
use super::recorder::{Packing, Recorder};
use super::trees::Series;
use super::{TOOL_VERSION, new_id};

/// A backup and what the run manifest says of it.
pub struct Done {
    pub backed_up: BackedUp,
    pub integrity_check: String,
}

pub async fn back_up(source: &SqliteSource, job: &BackupJob, context: &Context) -> Result<Done> {
    let cancel = context.cancel.child();
    let started = context.clock.zoned();
    let mut shelf = Shelf::open(job, ArchiveKind::Sqlite, &source.label, &started, context).await?;
    let staged = Staged::name(source, job, &started)?;
    let copy = stage(source, &staged, context, &cancel).await?;
    let _held = copy.held();

    context.progress.stage(format!("sqlite {}", source.label), copy.bytes);
    let packing = Packing { fit: fit(&staged, job, &cancel).await?, ..Packing::of(job) };
    let streams = vec![StreamSpec {
        kind: StreamKind::Pages,
        schema: Text::default(),
        name: source.label.as_str().into(),
        columns: Box::default(),
    }];
    let header = header(source, &copy, context)?;
    let upload = shelf.begin(Some(copy.bytes), &Series::of(&origin(source, context), Content::All, None)?).await?;
    let recorder = Recorder::start(upload, &header, streams, packing, &cancel, &context.progress)?;
    let copied = match pack_and_check(&staged, copy, &recorder, &cancel).await {
        Ok(copied) => copied,
        Err(error) => return Err(recorder.abandon(error).await),
    };
    let described = describe(source, &copied, job, context);
    let properties = json!({ "sqlite": copied });
    let recorded = recorder.finish(Trailer { toc: Vec::new(), properties }).await?;
    let context = context.clone();
    let published = tokio::task::spawn_blocking(move || shelf.publish(recorded, described, &context)).await;
    Ok(Done { backed_up: joined(published)?, integrity_check: "ok".to_owned() })
}

/// The database's copy before it is packed; removed when this is dropped.
struct Staged(PathBuf);

impl Staged {
    /// Beside the destination, which for a bucket is beside the source, unless `--staging` names a folder.
    fn name(source: &SqliteSource, job: &BackupJob, started: &Zoned) -> Result<Self> {
        let at = match (outside(source, job), &job.place) {
            (None, Place::Tree { root }) => root.join(folder(ArchiveKind::Sqlite, Tier::Daily)),
            (at, _) => at.unwrap_or_default(),
        };
        super::make_folder(&at)?;
        let label = Label::encode(&source.label)
            .ok_or_else(|| Error::new(Kind::Usage, format!("`{}` cannot be the name of a backup", source.label)))?;
        let name = ArchiveName::new(ArchiveKind::Sqlite, label, started, Compression::Gzip, None).stem();
        Ok(Staged(at.join(format!(".{}.partial", copy_name(&name)))))
    }
}

/// The folder for the copy, if it is not one of the tree, whose leftovers are swept with the tree's.
fn outside(source: &SqliteSource, job: &BackupJob) -> Option<PathBuf> {
    let folder_of = |path: &Path| path.parent().unwrap_or(Path::new("")).to_owned();
    match (&job.staging, &job.place) {
        (Some(named), _) => Some(named.clone()),
        (None, Place::File { path, .. }) => Some(folder_of(path)),
        (None, Place::Tree { root }) if Places::bucket(root).is_some() => Some(folder_of(&source.path)),
        (None, Place::Tree { .. }) => None,
    }
}

/// Removes copies that dead runs left outside of the trees. Blocks.
pub fn sweep(job: &BackupJob) -> Result<Vec<String>> {
    let files = job.sources.iter().filter_map(|source| match source {
        job::Source::Sqlite(file) => outside(file, job),
        _ => None,
    });
    let mut swept = Vec::new();
    for folder in files.collect::<BTreeSet<PathBuf>>() {
        let folder = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder };
        swept.extend(LocalStore::new(folder).sweep_here(&naming::is_set_aside)?);
    }
    Ok(swept)
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Nothing can be done about a failure here; the next run sweeps the file.
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn stage(source: &SqliteSource, staged: &Staged, context: &Context, cancel: &Cancel) -> Result<Unchecked> {
    sqlite::require_fixed_library()?;
    let from = copy::SqliteSource {
        path: source.path.clone(),
        yield_limit: source.limits.yield_limit,
        busy_limit: source.limits.busy_limit,
    };
    let (to, progress, cancel) = (staged.0.clone(), context.progress.clone(), cancel.clone());
    joined(tokio::task::spawn_blocking(move || copy::run(&from, &to, &progress, &cancel)).await)
}

/// So many places of a file are looked at before it is compressed.
const SAMPLES: u64 = 16;

/// Looks at the copy here and there, so that the level of its first pages already fits the whole.
async fn fit(staged: &Staged, job: &BackupJob, cancel: &Cancel) -> Result<Arc<Fit>> {
    if job.compress != Compress::Fitted {
        return Ok(Arc::default());
    }
    let (path, cancel) = (staged.0.clone(), cancel.clone());
    let looking = move || {
        let doing = || format!("cannot read the staged copy {}", path.display());
        let file = File::open(&path).context(Kind::Place, doing)?;
        let len = file.metadata().context(Kind::Place, doing)?.len();
        let step = len / SAMPLES;
        if step < SAMPLE_BYTES as u64 {
            return Ok(Arc::default());
        }
        let mut samples = Vec::new();
        for place in 0..SAMPLES {
            cancel.check()?;
            let mut sample = vec![0; SAMPLE_BYTES];
            file.read_exact_at(&mut sample, place * step).context(Kind::Place, doing)?;
            samples.push(sample);
        }
        Fit::seeded(&samples).map(Arc::new)
    };
    joined(tokio::task::spawn_blocking(looking).await)
}

/// Feeds the copy's pages to the packers while SQLite judges it. The first that fails stops the other.
async fn pack_and_check(staged: &Staged, copy: Unchecked, recorder: &Recorder, cancel: &Cancel) -> Result<Copied> {
    let [pages] = *recorder.streams() else {
        return Err(Error::new(Kind::Bug, "an archive of one file has one stream"));
    };
    let (feeding, checking) = (cancel.clone(), cancel.clone());
    let fed = feed_pages(staged, pages, recorder.feed().clone(), cancel);
    let fed = async { fed.await.map(|()| None).inspect_err(|_| feeding.cancel()) };
    let checked = tokio::task::spawn_blocking(move || copy.check(&checking).inspect_err(|_| checking.cancel()));
    let (fed, checked) = tokio::join!(fed, checked);
    let done = first_cause([fed, joined(checked).map(Some)])?;
    done.into_iter().flatten().next().ok_or_else(|| Error::new(Kind::Bug, "a copy was packed without being checked"))
}

/// The staged file in runs of about a block; a run ends on a page's boundary because a block is a multiple of every page size.
async fn feed_pages(staged: &Staged, stream: StreamId, feed: FeedSender, cancel: &Cancel) -> Result<()> {
    let (path, cancel, runtime) = (staged.0.clone(), cancel.clone(), Handle::current());
    joined(
        tokio::task::spawn_blocking(move || {
            let doing = || format!("cannot read the staged copy {}", path.display());
            let mut file = File::open(&path).context(Kind::Place, doing)?;
            loop {
                cancel.check()?;
                let mut pages = feed.buffer();
                let taken = (&mut file).take(BLOCK_BYTES as u64).read_to_end(&mut pages).context(Kind::Place, doing)?;
                if taken == 0 {
                    return runtime.block_on(feed.end(stream, None));
                }
                runtime.block_on(feed.block(stream, pages, None))?;
            }
        })
        .await,
    )
}

fn header(source: &SqliteSource, copy: &Unchecked, context: &Context) -> Result<ArchiveHeader> {
    let source = BTreeMap::from([
        ("name".to_owned(), source.label.clone()),
        ("path".to_owned(), source.path.display().to_string()),
        ("page_size".to_owned(), copy.header.page_size.to_string()),
        ("encoding".to_owned(), copy.header.encoding.clone()),
        ("journal_mode".to_owned(), copy.header.journal_mode.to_string()),
        ("sqlite_version".to_owned(), sqlite::require_fixed_library()?.to_owned()),
    ]);
    Ok(ArchiveHeader {
        id: new_id()?,
        kind: SourceKind::Sqlite,
        created: context.clock.now(),
        tool_version: TOOL_VERSION.to_owned(),
        source,
        sections: vec!["data".to_owned()],
    })
}

fn origin(source: &SqliteSource, context: &Context) -> Source {
    Source::Sqlite { host: context.host.clone(), path: source.path.display().to_string() }
}

fn describe(source: &SqliteSource, copied: &Copied, job: &BackupJob, context: &Context) -> Described {
    let violations = copied.integrity.foreign_key_violations;
    let warnings = match violations {
        0 => Vec::new(),
        _ => vec![format!(
            "{violations} rows violate foreign keys of {}, as they do in the source",
            source.path.display()
        )],
    };
    Described {
        source: origin(source, context),
        label: source.label.clone(),
        server_version: copied.sqlite_version.clone(),
        snapshot_lsn: None,
        warnings,
        sqlite: Some(SqliteFacts {
            journal_mode: copied.facts.journal_mode.to_string(),
            integrity_check: "ok".to_owned(),
            longest_writer_wait_seconds: copied.writer_wait.as_secs_f64(),
            wal_growth_bytes: copied.wal_bytes_after.saturating_sub(copied.wal_bytes_before),
        }),
        compression: job.compress.to_string(),
        content: Content::All,
        part: None,
        without: None,
        large_objects: None,
    }
}
