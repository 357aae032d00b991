//! What can be wrong with an archive, as values: callers and tests match on a [`Flaw`], people read its text.

use std::error::Error as StdError;
use std::{fmt, io};

use crate::error::{Error, Kind};
use crate::units::human_number;

use super::sniff::Sniff;

/// A flaw and where it was found.
#[derive(Debug)]
pub struct Fault {
    pub flaw: Flaw,
    /// Byte offset in the archive: of the member, where there is one.
    pub at: u64,
}

#[non_exhaustive]
#[derive(Debug)]
pub enum Flaw {
    /// The bytes could not be read at all.
    Read(io::Error),
    Empty,
    NotOurs(Sniff),
    /// Required flags or a format version that this reader does not know.
    Newer {
        version: u16,
        required: u32,
    },
    /// A sound head that names a kind of source that this reader does not know.
    UnknownSource,
    /// The file ends inside a member, or without a footer.
    Truncated,
    TrailingBytes {
        count: u64,
    },
    /// Not the ten bytes that a member of ours begins with, or not our subfield.
    NoHeader,
    HeaderCrc {
        stored: u32,
        computed: u32,
    },
    /// A field of a header has a value that it cannot have.
    HeaderField(&'static str),
    /// A sound header of another archive.
    ForeignMember,
    /// A sound header of the wrong kind or out of sequence.
    OutOfPlace {
        expected: &'static str,
    },
    StoredCrc {
        expected: u32,
        found: u32,
    },
    Inflate,
    RawLength {
        expected: u64,
        found: u64,
    },
    RawCrc {
        expected: u32,
        found: u32,
    },
    /// Not one whole `COPY … FROM stdin;` statement with its rows and `\.`.
    Framing,
    RowCount {
        expected: u64,
        found: u64,
    },
    StreamTotals {
        what: &'static str,
    },
    Digest,
    /// A member's header and the index disagree.
    IndexDisagrees {
        what: &'static str,
    },
    IndexCrc,
    /// The index names a member that is not in the file.
    Missing,
    /// The index is not what an index can be.
    IndexField(&'static str),
    /// The footer points outside the file, or not at the index.
    FooterField(&'static str),
}

impl Flaw {
    pub fn at(self, at: u64) -> Fault {
        Fault { flaw: self, at }
    }

    pub fn kind(&self) -> Kind {
        match self {
            // What decrypts says so of bytes that are not what was encrypted.
            Flaw::Read(cause) if cause.kind() == io::ErrorKind::InvalidData => Kind::Damaged,
            Flaw::Read(_) => Kind::Place,
            Flaw::NotOurs(_) | Flaw::Newer { .. } | Flaw::UnknownSource => Kind::Unsupported,
            _ => Kind::Damaged,
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Flaw::Truncated | Flaw::Empty => {
                Some("is the backup still running, or was a copy cut short? `salvage` keeps every whole member")
            }
            Flaw::Newer { .. } | Flaw::UnknownSource => {
                Some("use the version of miyabi-backup that wrote it, or a newer one")
            }
            Flaw::NotOurs(Sniff::Age | Sniff::Gpg) => Some("decrypt it first"),
            Flaw::NotOurs(_) | Flaw::Read(_) => None,
            _ => Some("`verify` lists everything that is damaged, `salvage` keeps every sound member"),
        }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Flaw::Read(cause) => write!(f, "the bytes cannot be read: {cause}"),
            Flaw::Empty => f.write_str("the file is empty"),
            Flaw::NotOurs(what) => write!(f, "not an archive of miyabi-backup but {what}"),
            Flaw::Newer { version, required } => {
                write!(f, "written by a newer version (format {version}, required flags {required:#x})")
            }
            Flaw::UnknownSource => {
                f.write_str("written by a newer version (it holds a kind of source that is unknown here)")
            }
            Flaw::Truncated => f.write_str("no footer: truncated or still being written"),
            Flaw::TrailingBytes { count } => write!(f, "the footer is followed by {}", human_number(*count, "byte")),
            Flaw::NoHeader => f.write_str("no member of this archive begins here"),
            Flaw::HeaderCrc { stored, computed } => {
                write!(f, "the member's header is damaged: CRC {computed:08x}, expected {stored:08x}")
            }
            Flaw::HeaderField(field) => write!(f, "the member's header has an impossible {field}"),
            Flaw::ForeignMember => f.write_str("the member belongs to another archive"),
            Flaw::OutOfPlace { expected } => write!(f, "the member is out of place: expected {expected}"),
            Flaw::StoredCrc { expected, found } => {
                write!(f, "the member's stored bytes are damaged: CRC {found:08x}, expected {expected:08x}")
            }
            Flaw::Inflate => f.write_str("the member cannot be inflated"),
            Flaw::RawLength { expected, found } => {
                write!(f, "the member holds {found} bytes or more, expected {expected}")
            }
            Flaw::RawCrc { expected, found } => {
                write!(f, "the member's contents are damaged: CRC {found:08x}, expected {expected:08x}")
            }
            Flaw::Framing => f.write_str("the member is not one whole COPY statement with its rows"),
            Flaw::RowCount { expected, found } => write!(f, "the member has {found} rows, expected {expected}"),
            Flaw::StreamTotals { what } => write!(f, "the stream's members do not add up to its {what}"),
            Flaw::Digest => f.write_str("the stream's rows are not the rows that were backed up: digests differ"),
            Flaw::IndexDisagrees { what } => write!(f, "the index has another {what} than the member"),
            Flaw::Missing => f.write_str("the member is missing"),
            Flaw::IndexCrc => f.write_str("the index is damaged: its CRC differs from the footer's"),
            Flaw::IndexField(field) => write!(f, "the index has an impossible {field}"),
            Flaw::FooterField(field) => write!(f, "the footer has an impossible {field}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.flaw.fmt(f)
    }
}

impl StdError for Fault {}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Error {
        let doing = match fault.flaw {
            Flaw::NotOurs(_) | Flaw::Newer { .. } | Flaw::Empty | Flaw::Truncated => {
                "cannot read the archive".to_owned()
            }
            _ => format!("cannot read the archive at byte {}", fault.at),
        };
        let (kind, hint) = (fault.flaw.kind(), fault.flaw.hint());
        let error = Error::new(kind, doing).because(fault);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}
