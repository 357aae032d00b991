//! A plain script of pg_dump, read to its end as psql would read it, without running anything.

use std::fmt;
use std::io::{self, Read};

use crate::cancel::Cancel;
use crate::error::Result;
use crate::script::{Item, Lexer, Restrict, ScriptError};

const PIECE_BYTES: usize = 256 << 10;
/// What is shown of a table's name.
const NAME_BYTES_MAX: usize = 300;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Script {
    /// Inflated.
    pub raw: u64,
    pub statements: u64,
    /// In the order in which their rows come.
    pub tables: Vec<Table>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// As the script writes it: `public."Orders"`.
    pub name: String,
    pub rows: u64,
    /// Of its rows.
    pub raw: u64,
}

/// Why the script is not whole, or not one of pg_dump.
#[derive(Debug)]
pub enum Trouble {
    /// The bytes could not be had: a file that cannot be read, or a gzip stream that cannot be inflated.
    Read(io::Error),
    Unreadable {
        started: bool,
        fault: ScriptError,
    },
    /// No `dump complete`, or an open `\restrict`.
    Unfinished,
    /// A psql command that no restore of ours would run.
    Command {
        line: u64,
        text: String,
    },
    /// Nothing in it says that pg_dump wrote it, so nothing says where it ends.
    Unmarked,
}

impl Trouble {
    /// Whether bytes are missing or changed; else it is only not what pg_dump writes.
    pub fn is_damage(&self) -> bool {
        match self {
            Trouble::Read(_) | Trouble::Unfinished => true,
            Trouble::Unreadable { started, .. } => *started,
            Trouble::Command { .. } | Trouble::Unmarked => false,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Read(cause) => write!(f, "it cannot be read or inflated to its end: {cause}"),
            Trouble::Unreadable { started: true, fault } => write!(f, "the script is damaged: {fault}"),
            Trouble::Unreadable { started: false, fault } => write!(f, "not a script that pg_dump wrote: {fault}"),
            Trouble::Unfinished => f.write_str(
                "the script ends early: pg_dump's last line, `PostgreSQL database dump complete`, is missing",
            ),
            Trouble::Command { line, text } => {
                write!(f, "line {line} is the psql command {text}: `restore` refuses such scripts")
            }
            Trouble::Unmarked => f.write_str("not a script that pg_dump wrote: nothing in it says that it is complete"),
        }
    }
}

/// What was read up to the first trouble, and that trouble. An error is returned only if the run is stopped.
pub fn read<R: Read>(mut reader: R, cancel: &Cancel) -> Result<(Script, Option<Trouble>)> {
    let mut scan = Scan { lexer: Lexer::new(), guard: Restrict::new(), script: Script::default() };
    let mut piece = vec![0; PIECE_BYTES];
    let trouble = loop {
        cancel.check()?;
        let taken = match reader.read(&mut piece) {
            Ok(taken) => taken,
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => continue,
            Err(cause) => break Some(Trouble::Read(cause)),
        };
        match taken {
            0 => scan.lexer.finish(),
            _ => scan.lexer.feed(piece.get(..taken).unwrap_or_default()),
        }
        scan.script.raw += taken as u64;
        match scan.drain() {
            // A last line without its end is a line that was cut.
            Err(Trouble::Command { .. }) if taken == 0 && scan.lexer.markers().started => {
                break Some(Trouble::Unfinished);
            }
            Err(trouble) => break Some(trouble),
            Ok(()) => {}
        }
        if taken == 0 {
            break scan.end();
        }
    };
    // A stopped run must not look like a file that cannot be read.
    cancel.check()?;
    Ok((scan.script, trouble))
}

struct Scan {
    lexer: Lexer,
    guard: Restrict,
    script: Script,
}

impl Scan {
    fn drain(&mut self) -> std::result::Result<(), Trouble> {
        loop {
            let item = match self.lexer.next() {
                Ok(Some(item)) => item,
                Ok(None) => return Ok(()),
                Err(fault) => return Err(Trouble::Unreadable { started: self.lexer.markers().started, fault }),
            };
            match item {
                Item::Statement(_) => self.script.statements += 1,
                Item::CopyIn { statement } => {
                    let name = copied_table(statement);
                    self.script.statements += 1;
                    self.script.tables.push(Table { name, rows: 0, raw: 0 });
                }
                Item::CopyRows(rows) => {
                    if let Some(table) = self.script.tables.last_mut() {
                        table.rows += memchr::memchr_iter(b'\n', rows).count() as u64;
                        table.raw += rows.len() as u64;
                    }
                }
                Item::CopyEnd => {}
                Item::Meta(command) => {
                    if self.guard.accept(command).is_err() {
                        let text = String::from_utf8_lossy(command).into_owned();
                        return Err(Trouble::Command { line: self.lexer.line(), text });
                    }
                }
            }
        }
    }

    fn end(&self) -> Option<Trouble> {
        let markers = self.lexer.markers();
        match (markers.started, markers.complete && self.guard.is_closed()) {
            (true, true) => None,
            (true, false) => Some(Trouble::Unfinished),
            (false, _) => Some(Trouble::Unmarked),
        }
    }
}

/// The name behind `COPY`, quotes and all.
fn copied_table(statement: &[u8]) -> String {
    let text = statement.trim_ascii_start();
    let text = text.get("COPY".len()..).unwrap_or_default().trim_ascii_start();
    let mut quoted = false;
    let end = text.iter().position(|byte| {
        quoted ^= *byte == b'"';
        !quoted && (byte.is_ascii_whitespace() || *byte == b'(')
    });
    let name = text.get(..end.unwrap_or(text.len()).min(NAME_BYTES_MAX)).unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "--\n-- PostgreSQL database dump\n--\n\n\\restrict k3y\n\nSET client_encoding = 'UTF8';\n\
        CREATE TABLE public.\"Odd (name\" (id integer);\nCOPY public.\"Odd (name\" (id) FROM stdin;\n1\n2\n\\.\n\n\
        COPY public.empty (id) FROM stdin;\n\\.\n\n--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict k3y\n\n";

    fn look(text: &str) -> (Script, Option<Trouble>) {
        read(text.as_bytes(), &Cancel::new()).unwrap()
    }

    #[test]
    fn rows_are_counted_per_table() {
        let (script, trouble) = look(WHOLE);
        assert!(trouble.is_none(), "{trouble:?}");
        let tables: Vec<_> = script.tables.iter().map(|table| (table.name.as_str(), table.rows, table.raw)).collect();
        assert_eq!(tables, [("public.\"Odd (name\"", 2, 4), ("public.empty", 0, 0)]);
        assert_eq!((script.statements, script.raw), (4, WHOLE.len() as u64));
    }

    #[test]
    fn no_cut_passes_for_whole() {
        let sure = WHOLE.find("dump\n").unwrap() + "dump".len();
        for end in 0..WHOLE.trim_end().len() {
            let (_, trouble) = look(&WHOLE[..end]);
            let trouble = trouble.unwrap_or_else(|| panic!("cut at {end} passes"));
            assert_eq!(trouble.is_damage(), end >= sure, "cut at {end}: {trouble:?}");
        }
    }

    #[test]
    fn commands_and_strangers_are_told_apart_from_damage() {
        let with_command = WHOLE.replace("SET client", "\\connect other\nSET client");
        assert!(matches!(look(&with_command).1, Some(Trouble::Command { line: 7, .. })));
        assert!(matches!(look("PRAGMA foreign_keys=OFF;\n").1, Some(Trouble::Unmarked)));
    }
}
