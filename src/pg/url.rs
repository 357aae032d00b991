//! libpq URIs: `postgres[ql]://[user[:password]@][host[:port],…][/database][?name=value&…]`. Pure.
//!
//! Every part may be percent-encoded. No error repeats the URL: it may hold a password.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::error::{Error, Kind, Result};

use super::params::Params;

#[cfg(any(test, feature = "testkit"))]
mod fuzz;
#[cfg(any(test, feature = "testkit"))]
pub use fuzz::fuzz_url;

const FORM: &str = "the form is postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=…";

pub(super) fn parse(url: &str) -> Result<Params> {
    let rest = url
        .strip_prefix("postgresql://")
        .or_else(|| url.strip_prefix("postgres://"))
        .ok_or_else(|| malformed("does not begin with postgres://"))?;
    refuse_cut_password(rest)?;
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, query),
        None => (rest, ""),
    };
    let (authority, database) = match rest.split_once('/') {
        Some((authority, database)) => (authority, Some(database)),
        None => (rest, None),
    };
    let mut params = Params::new();
    // The last @ ends the user's part: libpq takes the first, but a password pasted unescaped is the common slip.
    let hosts = match authority.rsplit_once('@') {
        Some((login, hosts)) => {
            login_part(&mut params, login)?;
            hosts
        }
        None => authority,
    };
    host_part(&mut params, hosts)?;
    if let Some(database) = database.filter(|database| !database.is_empty()) {
        params.set("dbname", decode("database", database)?)?;
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) =
            pair.split_once('=').ok_or_else(|| malformed("has a parameter without `=` after its question mark"))?;
        set_pair(&mut params, &decode("parameter name", name)?, &decode("parameter value", value)?)?;
    }
    Ok(params)
}

/// `ann:a/b@db`: the unescaped slash ends the host there, and pieces of the password would be taken for other parts.
fn refuse_cut_password(rest: &str) -> Result<()> {
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let after = rest.get(authority.len()..).unwrap_or_default();
    if authority.contains(':') && !authority.contains('@') && after.contains('@') {
        return Err(
            malformed("has an `@` after its host").hint("write / ? # @ : % in a password as %2F %3F %23 %40 %3A %25")
        );
    }
    Ok(())
}

/// `ssl=true` is JDBC's word, which libpq takes too.
fn set_pair(params: &mut Params, name: &str, value: &str) -> Result<()> {
    match (name, value) {
        ("ssl", "true") => params.set("sslmode", "require"),
        _ => params.set(name, value),
    }
}

fn login_part(params: &mut Params, login: &str) -> Result<()> {
    let (user, password) = match login.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (login, None),
    };
    if !user.is_empty() {
        params.set("user", decode("user", user)?)?;
    }
    if let Some(password) = password.filter(|password| !password.is_empty()) {
        params.set("password", decode("password", password)?)?;
    }
    Ok(())
}

/// `host:port,host:port`; an IPv6 address stands in brackets, a socket folder is percent-encoded.
fn host_part(params: &mut Params, hosts: &str) -> Result<()> {
    if hosts.is_empty() {
        return Ok(());
    }
    let mut names = Vec::new();
    let mut ports = Vec::new();
    for host in hosts.split(',') {
        let (name, port) = match host.strip_prefix('[') {
            Some(rest) => {
                let (address, after) =
                    rest.split_once(']').ok_or_else(|| malformed("has an IPv6 address without its `]`"))?;
                match after.strip_prefix(':') {
                    Some(port) => (address, port),
                    None if after.is_empty() => (address, ""),
                    None => return Err(malformed("has text between `]` and the port")),
                }
            }
            None => host.split_once(':').unwrap_or((host, "")),
        };
        names.push(decode("host", name)?);
        ports.push(decode("port", port)?);
    }
    if names.iter().any(|name| !name.is_empty()) {
        params.set("host", names.join(","))?;
    }
    if ports.iter().any(|port| !port.is_empty()) {
        params.set("port", ports.join(","))?;
    }
    Ok(())
}

fn decode<'a>(part: &str, text: &'a str) -> Result<Cow<'a, str>> {
    let bytes = text.as_bytes();
    for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%') {
        let digits = bytes.get(at.saturating_add(1)..at.saturating_add(3));
        if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
            return Err(malformed(&format!("has a `%` in its {part} that two hex digits do not follow"))
                .hint("a percent sign itself is written %25"));
        }
    }
    let decoded =
        percent_decode_str(text).decode_utf8().map_err(|_| malformed(&format!("has a {part} that is not UTF-8")))?;
    if decoded.contains('\0') {
        return Err(malformed(&format!("has a zero byte in its {part}")));
    }
    Ok(decoded)
}

fn malformed(what: &str) -> Error {
    Error::new(Kind::Usage, format!("the connection URL {what}")).hint(FORM)
}

#[cfg(test)]
#[path = "url/tests.rs"]
mod tests;
