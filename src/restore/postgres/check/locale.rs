//! Encoding and locale: can the server make a database like the source's, and does text sort there as it did?
//!
//! Whether a locale is there is known for sure only by using it: a collation is made in the session's temporary schema
//! and rolled back. Nothing of it remains.

use crate::archive::ArchiveHeader;
use crate::error::Result;
use crate::ident::Literal;
use crate::pg::database::{self, Shape};
use crate::pg::fault::sqlstate;
use crate::pg::session::Session;
use crate::pg::version::Capability;

use super::{Findings, Place};

pub async fn look(
    place: &Place<'_>,
    source: &Shape,
    header: Option<&ArchiveHeader>,
    findings: &mut Findings,
) -> Result<()> {
    if source.encoding.is_empty() {
        return Ok(());
    }
    if place.is_created() {
        return created(place, source, header, findings).await;
    }
    let database = &place.server.database;
    let standing = database::shape_of(&place.admin, database).await?;
    encodings(database, source, &standing, findings);
    if sorts_otherwise(source, &standing) {
        let (here, there) = (in_words(&standing), in_words(source));
        findings
            .warn(format!("database {database} has the locale {here}, the source {there}: text may sort otherwise"));
    }
    Ok(())
}

/// Text of the source reaches a database that stands through the server's conversion.
fn encodings(database: &str, source: &Shape, standing: &Shape, findings: &mut Findings) {
    const BYTES: &str = "SQL_ASCII";
    let (from, to) = (source.encoding.as_str(), standing.encoding.as_str());
    if from == to {
        return;
    }
    let what = match (from, to) {
        (BYTES, _) => format!("bytes of a SQL_ASCII source that are no valid {to} end the restore"),
        (_, BYTES) => "text is stored as UTF8 bytes, which SQL_ASCII does not check".to_owned(),
        (_, "UTF8") => return,
        _ => format!("characters that {to} does not have end the restore"),
    };
    findings.warn(format!("database {database} has encoding {to}, the source {from}: {what}"));
}

fn sorts_otherwise(source: &Shape, standing: &Shape) -> bool {
    let provider = |shape: &Shape| if shape.provider.is_empty() { "libc".to_owned() } else { shape.provider.clone() };
    let differs = match provider(source).as_str() {
        "libc" => source.collate != standing.collate,
        _ => source.locale != standing.locale || source.icu_rules != standing.icu_rules,
    };
    provider(source) != provider(standing) || differs
}

fn in_words(shape: &Shape) -> String {
    match shape.provider.as_str() {
        "" | "libc" => format!("{} (libc)", shape.collate),
        provider => format!("{} ({provider})", shape.locale),
    }
}

async fn created(
    place: &Place<'_>,
    source: &Shape,
    header: Option<&ArchiveHeader>,
    findings: &mut Findings,
) -> Result<()> {
    let version = place.admin.version();
    let lacks = match source.provider.as_str() {
        "icu" if !version.has(Capability::DatabaseIcuLocale) => Some("databases with an ICU locale"),
        "icu" if !source.icu_rules.is_empty() && !version.has(Capability::IcuRules) => Some("ICU rules"),
        "builtin" if !version.has(Capability::BuiltinLocale) => Some("the builtin locale provider"),
        _ => None,
    };
    let hint = by_hand(place, source);
    if let Some(feature) = lacks {
        let major = version.major();
        findings.refuse(
            format!("the source's locale is {}, and PostgreSQL {major} does not have {feature}", in_words(source)),
            hint,
        );
        return Ok(());
    }
    let mut probed = None;
    for clauses in probes(source) {
        match probe(&place.admin, &clauses).await? {
            Probed::Lacks(reason) => {
                findings.refuse(format!("the server does not have the source's locale: {reason}"), hint.clone());
                return Ok(());
            }
            Probed::Version(version) => probed = version,
            Probed::Unknown => {}
        }
    }
    let was = header.and_then(|header| header.source.get("collation_version"));
    if let (Some(was), Some(is)) = (was, probed.as_ref())
        && was != is
    {
        findings.warn(format!(
            "collation {} has version {is} here and had {was}: text may sort otherwise; indexes are built anew and are \
             right, but a row may lie outside of its partition by range of text, and order what clients have stored",
            in_words(source)
        ));
    }
    Ok(())
}

/// An empty database of the target's name is filled as it is: its locale is then the user's choice.
fn by_hand(place: &Place<'_>, source: &Shape) -> String {
    let chosen =
        Shape { encoding: source.encoding.clone(), collate: "C".to_owned(), ctype: "C".to_owned(), ..Shape::default() };
    let name = place.server.database.as_str();
    let sql = chosen.create_statement_for(name, place.admin.version());
    format!("create the database with a locale that the server has, and restore into it while it is empty: {sql}")
}

/// The options of CREATE COLLATION that need what the database will need; the last one is what text sorts by.
fn probes(shape: &Shape) -> Vec<String> {
    let mut all = Vec::new();
    if !shape.collate.is_empty() {
        let (collate, ctype) = (Literal(&shape.collate), Literal(&shape.ctype));
        all.push(format!("provider = libc, lc_collate = {collate}, lc_ctype = {ctype}"));
    }
    let locale = Literal(&shape.locale);
    match shape.provider.as_str() {
        "icu" if shape.icu_rules.is_empty() => all.push(format!("provider = icu, locale = {locale}")),
        "icu" => all.push(format!("provider = icu, locale = {locale}, rules = {}", Literal(&shape.icu_rules))),
        "builtin" => all.push(format!("provider = builtin, locale = {locale}")),
        _ => {}
    }
    all
}

enum Probed {
    /// The version of the locale, where the provider has one.
    Version(Option<String>),
    Lacks(String),
    /// The role may not try.
    Unknown,
}

async fn probe(admin: &Session, clauses: &str) -> Result<Probed> {
    const ASK: &str = "SELECT pg_catalog.pg_collation_actual_version(c.oid) AS version FROM pg_catalog.pg_collation c
         WHERE c.collname = 'miyabi_probe' AND c.collnamespace = pg_catalog.pg_my_temp_schema()";
    let made = admin.execute(&format!("BEGIN; CREATE COLLATION pg_temp.miyabi_probe ({clauses})")).await;
    let probed = match &made {
        Ok(()) => admin.row(ASK).await.and_then(|row| row.opt_text("version")).map(Probed::Version),
        Err(error) => Ok(judge(sqlstate(error), error.chain())),
    };
    admin.execute("ROLLBACK").await?;
    probed
}

/// Only what says that the locale is not there counts.
fn judge(code: Option<&str>, reason: String) -> Probed {
    match code {
        Some("42704" | "22023" | "0A000" | "42602") => Probed::Lacks(reason),
        _ => Probed::Unknown,
    }
}
