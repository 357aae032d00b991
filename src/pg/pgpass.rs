//! Password files: `host:port:database:user:password` lines, `*` for any, `\` before `:` and `\`.
//!
//! A file that others can read is not used, as in libpq; the login's error then says so.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::server::{Host, Place, SOCKET_FOLDERS, Secret};

/// Far above any real file; a wrong path must not fill memory.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What a password file says about one login.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Found {
    Password(Secret),
    /// No such file, or no line that fits.
    Nothing,
    /// The file exists and is passed over; holds why.
    Unusable(String),
}

/// Looks one login up in a file.
pub fn read(file: &Path, host: &Host, database: &str, user: &str) -> Found {
    let unusable = |why: String| Found::Unusable(format!("password file {} is not used: {why}", file.display()));
    let facts = match fs::metadata(file) {
        Ok(facts) => facts,
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Found::Nothing,
        Err(cause) => return unusable(cause.to_string()),
    };
    if !facts.is_file() {
        return unusable("it is no plain file".into());
    }
    let mode = facts.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return unusable(format!("its mode is {mode:04o}, expected 0600"));
    }
    if facts.size() > FILE_BYTES_MAX {
        return unusable(format!("it has {} bytes", facts.size()));
    }
    let mut text = Vec::new();
    match File::open(file).and_then(|opened| opened.take(FILE_BYTES_MAX).read_to_end(&mut text)) {
        Ok(_) => lookup(&String::from_utf8_lossy(&text), host, database, user).map_or(Found::Nothing, Found::Password),
        Err(cause) => unusable(cause.to_string()),
    }
}

/// The password of the first line that fits.
pub fn lookup(text: &str, host: &Host, database: &str, user: &str) -> Option<Secret> {
    let port = host.port.to_string();
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let (of_host, rest) = field(line)?;
        let (of_port, rest) = field(rest)?;
        let (of_database, rest) = field(rest)?;
        let (of_user, password) = field(rest)?;
        let fits = host_fits(&of_host, &host.place)
            && fits(&of_port, &port)
            && fits(&of_database, database)
            && fits(&of_user, user);
        fits.then(|| Secret::new(unescape(password))).filter(|password| !password.reveal().is_empty())
    })
}

fn host_fits(pattern: &Pattern, place: &Place) -> bool {
    match place {
        Place::Tcp(name) => fits(pattern, name),
        Place::Socket(folder) => {
            let folder = folder.to_string_lossy();
            let is_default = SOCKET_FOLDERS.iter().any(|usual| *usual == folder);
            fits(pattern, &folder) || (is_default && fits(pattern, "localhost"))
        }
    }
}

enum Pattern {
    Any,
    Exactly(String),
}

fn fits(pattern: &Pattern, value: &str) -> bool {
    match pattern {
        Pattern::Any => true,
        Pattern::Exactly(text) => text == value,
    }
}

/// The text up to the next bare colon, and what follows it. An escaped star is a star.
fn field(line: &str) -> Option<(Pattern, &str)> {
    let mut escaped = false;
    let end = line.char_indices().find_map(|(at, c)| {
        let ends = c == ':' && !escaped;
        escaped = c == '\\' && !escaped;
        ends.then_some(at)
    })?;
    let (raw, rest) = line.split_at_checked(end)?;
    let pattern = if raw == "*" { Pattern::Any } else { Pattern::Exactly(unescape(raw)) };
    Some((pattern, rest.strip_prefix(':')?))
}

fn unescape(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        match c {
            // A backslash that ends the line stands for itself.
            '\\' => text.push(chars.next().unwrap_or('\\')),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(name: &str, port: u16) -> Host {
        Host { place: Place::Tcp(name.into()), address: None, port }
    }

    fn found(text: &str, host: &Host) -> Option<String> {
        lookup(text, host, "shop", "ann").map(|secret| secret.reveal().to_owned())
    }

    #[test]
    fn the_first_line_that_fits_wins() {
        let text =
            "# db:5432:shop:ann:comment\nother:5432:shop:ann:no\ndb:5433:*:*:port\ndb:*:shop:ann:yes\n*:*:*:*:late\n";
        assert_eq!(found(text, &tcp("db", 5432)).as_deref(), Some("yes"));
        assert_eq!(found(text, &tcp("db", 5433)).as_deref(), Some("port"));
        assert_eq!(found(text, &tcp("elsewhere", 1)).as_deref(), Some("late"));
        assert_eq!(found("db:5432:shop:bob:x", &tcp("db", 5432)), None);
        assert_eq!(found("db:5432:shop:ann:\n", &tcp("db", 5432)), None);
        assert_eq!(found("garbage\n\n:::\n", &tcp("db", 5432)), None);
    }

    #[test]
    fn escapes_hold_in_every_field() {
        assert_eq!(found(r"\:\:1:5432:shop:ann:a\:b\\c", &tcp("::1", 5432)).as_deref(), Some(r"a:b\c"));
        assert_eq!(found("::1:5432:shop:ann:x", &tcp("::1", 5432)), None);
        assert_eq!(found(r"\*:5432:shop:ann:x", &tcp("db", 5432)), None);
        assert_eq!(found("db:5432:shop:ann:with:colons", &tcp("db", 5432)).as_deref(), Some("with:colons"));
    }

    #[test]
    fn localhost_means_the_usual_sockets() {
        let socket = |folder: &str| Host { place: Place::Socket(folder.into()), address: None, port: 5432 };
        assert_eq!(found("localhost:*:*:*:x", &socket("/var/run/postgresql")).as_deref(), Some("x"));
        assert_eq!(found("localhost:*:*:*:x", &socket("/srv/sockets")), None);
        assert_eq!(found("/srv/sockets:*:*:*:x", &socket("/srv/sockets")).as_deref(), Some("x"));
    }

    #[test]
    fn a_file_that_others_can_read_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pgpass");
        let look = || read(&file, &tcp("db", 5432), "shop", "ann");
        assert_eq!(look(), Found::Nothing);
        fs::write(&file, "db:5432:shop:ann:pw\r\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(look(), Found::Password(Secret::new("pw")));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(look(), Found::Unusable(why) if why.contains("0640")));
    }
}
