//! What is restored from: a file, a pipe, or the newest sound backup of a tree; ours or another tool's.
//!
//! The content decides what a file is, never its name.

use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;

use crate::archive::{Archive, ArchiveHeader, PipeReader, SNIFF_BYTES, Sniff, SourceKind, sniff};
use crate::error::{Context as _, Error, Kind, Result};
use crate::job::{ArchiveChoice, Context, RestoreJob};
use crate::listing::at_path;
use crate::listing::select::{Wanted, select};
use crate::policy::{ArchiveKind, ArchiveName};
use crate::read_at::Sequential;
use crate::seal;
use crate::store::{Bytes, Places};
use crate::verify;

/// Bytes that are only read from front to back.
pub type Input = Box<dyn Read + Send>;

pub enum Opened {
    Archive(Arc<Archive<Box<dyn Bytes>>>),
    Pipe(Box<PipeReader<Input>>),
    /// A plain script of pg_dump, inflated on the way.
    Script(Input),
    /// A SQLite file, inflated on the way.
    DatabaseFile(Input),
}

/// An archive that is open, and how it came to be chosen.
pub struct Found {
    pub opened: Opened,
    /// The path, or `standard input`.
    pub named: String,
    pub size: Option<u64>,
    /// Newer backups that are not sound, each with the reason.
    pub passed_over: Vec<String>,
    /// The database that the file's name speaks of, for files that do not say it themselves.
    pub label: Option<String>,
}

impl Found {
    fn file(opened: Opened, path: &Path, size: u64) -> Self {
        let name = path.file_name().and_then(|name| ArchiveName::parse(&name.to_string_lossy()));
        let label = name.and_then(|name| name.label.decode());
        Found { opened, named: path.display().to_string(), size: Some(size), passed_over: Vec::new(), label }
    }
}

impl Opened {
    pub fn header(&self) -> Option<&ArchiveHeader> {
        match self {
            Opened::Archive(archive) => Some(archive.header()),
            Opened::Pipe(reader) => Some(reader.header()),
            Opened::Script(_) | Opened::DatabaseFile(_) => None,
        }
    }

    pub fn kind(&self) -> ArchiveKind {
        match self {
            Opened::Script(_) => ArchiveKind::Postgres,
            Opened::DatabaseFile(_) => ArchiveKind::Sqlite,
            Opened::Archive(_) | Opened::Pipe(_) => match self.header().map(|header| header.kind) {
                Some(SourceKind::Sqlite) => ArchiveKind::Sqlite,
                Some(SourceKind::Globals) => ArchiveKind::Globals,
                _ => ArchiveKind::Postgres,
            },
        }
    }
}

/// Opens what the job names; blocks.
pub fn open(job: &RestoreJob, context: &Context) -> Result<Found> {
    let found = match &job.archive {
        ArchiveChoice::File(path) => open_file(path, context)?,
        ArchiveChoice::Pipe => open_pipe(context)?,
        ArchiveChoice::Newest { root, label, before } => {
            let wanted = Wanted { kind: job.kind, name: label.as_deref(), before: *before };
            open_newest(root, &wanted, context)?
        }
    };
    match job.kind {
        Some(kind) if kind != found.opened.kind() => Err(Error::new(
            Kind::Usage,
            format!("{} holds a {} backup, expected {}", found.named, found.opened.kind(), kind),
        )
        .hint("leave --type out: the archive itself says what it is")),
        _ => Ok(found),
    }
}

fn open_file(path: &Path, context: &Context) -> Result<Found> {
    let shown = path.display().to_string();
    let opening = |error: Error| error.while_doing(format!("cannot open {shown}"));
    let stored = open_bytes(path, context)?;
    let size = stored.len();
    if seal::reads_in_order(&stored) {
        stored.expect(std::slice::from_ref(&(0..size)));
        let opened = open_sealed(Box::new(Sequential::new(stored)), &shown, context).map_err(opening)?;
        return Ok(Found::file(opened, path, size));
    }
    let bytes = seal::open(stored, &context.keys).map_err(opening)?;
    let size = bytes.len();
    let mut first = vec![0; SNIFF_BYTES.min(usize::try_from(size).unwrap_or(SNIFF_BYTES))];
    bytes.read_at(0, &mut first).context(Kind::Place, || format!("cannot read {shown}"))?;
    let opened = match sniff(&first) {
        Sniff::Ours => Opened::Archive(Arc::new(Archive::open(bytes).map_err(opening)?)),
        other => open_foreign(other, Box::new(Sequential::new(bytes)), &shown)?,
    };
    Ok(Found::file(opened, path, size))
}

/// All files of an archive that goes on in further ones.
fn open_bytes(path: &Path, context: &Context) -> Result<Box<dyn Bytes>> {
    let shown = path.display();
    if Places::bucket(path).is_none() && !path.exists() {
        return Err(Error::new(Kind::Nothing, format!("{shown} does not exist"))
            .hint("`miyabi-backup list` shows the backups that are there"));
    }
    let (store, listing) = at_path(path, &context.places, context.clock.zone())?;
    match listing.rows.first().filter(|_| listing.is_file) {
        Some(row) => {
            if context.signed_by.is_some() {
                return verify::open_signed(store.as_ref(), row, context);
            }
            verify::stored::open(store.as_ref(), row)
        }
        None => Err(Error::new(Kind::Place, format!("{shown} is not a file that can be opened"))),
    }
}

/// Standard input is sniffed and then read on from its first byte.
fn open_pipe(context: &Context) -> Result<Found> {
    let named = "standard input".to_owned();
    if context.signed_by.is_some() {
        let what = "a signature is asked for, and what comes from a pipe has no .meta that could be signed";
        return Err(Error::new(Kind::Refused, what));
    }
    let (seen, input) = begun(Box::new(io::stdin()))
        .map_err(|cause| Error::new(Kind::Place, "cannot read standard input").because(cause))?;
    let Some(seen) = seen else {
        return Err(Error::new(Kind::Nothing, "standard input is empty").hint("did the command before the pipe fail?"));
    };
    let opened = match seen {
        Sniff::Age | Sniff::Gpg => open_sealed(input, &named, context)?,
        Sniff::Ours => Opened::Pipe(Box::new(PipeReader::open(input)?)),
        other => open_foreign(other, input, &named)?,
    };
    Ok(Found { opened, named, size: None, passed_over: Vec::new(), label: None })
}

/// What the first bytes are, if there are any, and all of them.
fn begun(mut input: Input) -> io::Result<(Option<Sniff>, Input)> {
    let mut first = Vec::new();
    input.by_ref().take(SNIFF_BYTES as u64).read_to_end(&mut first)?;
    let seen = (!first.is_empty()).then(|| sniff(&first));
    Ok((seen, Box::new(Cursor::new(first).chain(input))))
}

/// An archive of ours, or a file of another tool, that is decrypted on the way.
fn open_sealed(input: Input, named: &str, context: &Context) -> Result<Opened> {
    let plain: Input = Box::new(seal::unseal_stream(input, &context.keys)?);
    let (seen, plain) = begun(plain).map_err(|cause| {
        let kind = if cause.kind() == io::ErrorKind::InvalidData { Kind::Damaged } else { Kind::Place };
        Error::new(kind, format!("cannot decrypt {named}")).because(cause)
    })?;
    match seen.unwrap_or(Sniff::Unknown) {
        Sniff::Ours => Ok(Opened::Pipe(Box::new(PipeReader::open(plain)?))),
        inside => open_foreign(inside, plain, named),
    }
}

/// Files of other tools: a script or a database file, compressed or not.
fn open_foreign(seen: Sniff, input: Input, named: &str) -> Result<Opened> {
    let unsupported = |what: &str| Error::new(Kind::Unsupported, format!("{named} {what}"));
    match seen {
        Sniff::PlainSql => Ok(Opened::Script(input)),
        Sniff::PlainSqlite => Ok(Opened::DatabaseFile(input)),
        Sniff::ForeignGzip => {
            let mut inflated = MultiGzDecoder::new(input);
            let mut first = Vec::new();
            inflated
                .by_ref()
                .take(SNIFF_BYTES as u64)
                .read_to_end(&mut first)
                .context(Kind::Damaged, || format!("cannot inflate {named}"))?;
            let seen = sniff(&first);
            let input: Input = Box::new(Cursor::new(first).chain(inflated));
            match seen {
                Sniff::PlainSql => Ok(Opened::Script(input)),
                Sniff::PlainSqlite => Ok(Opened::DatabaseFile(input)),
                _ => Err(unsupported("is compressed, but holds neither a script nor a SQLite database")),
            }
        }
        Sniff::Zstd => Err(unsupported("is a zstd file of another program")
            .hint("decompress it into a pipe: zstd -dc F | miyabi-backup restore --file - …")),
        Sniff::Age => Err(unsupported("is encrypted with age")
            .hint("decrypt it into a pipe: age -d F | miyabi-backup restore --file - …")),
        Sniff::Gpg => Err(unsupported("is encrypted by gpg once more")
            .hint("decrypt it into a pipe: gpg -d F | miyabi-backup restore --file - …")),
        _ => Err(unsupported("is not an archive of ours, nor a script or SQLite database")),
    }
}

fn open_newest(root: &Path, wanted: &Wanted<'_>, context: &Context) -> Result<Found> {
    let (store, listing) = at_path(root, &context.places, context.clock.zone())?;
    let choice = select(&listing, wanted, &mut |row| {
        context.cancel.check()?;
        verify::judge(store.as_ref(), row, context)
    })?;
    let passed_over = choice.passed_over.iter().map(|one| format!("{}: {}", one.path, one.why)).collect();
    let path = PathBuf::from(store.shown(&choice.chosen.path));
    Ok(Found { passed_over, ..open_file(&path, context)? })
}
