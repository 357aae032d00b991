//! What the patterns of a filter match in a database, asked of the server: one query a kind of object.
//!
//! Patterns go as values. A name without a schema is looked for where the role's own search path finds it, as psql
//! and pg_dump do; for that one query the session has that path, and names everything in full. The server's own
//! schemas are never in, whatever matches them; to exclude them leaves out what was changed of their privileges.

use std::collections::{HashMap, HashSet};
use std::error::Error as _;

use tokio_postgres::error::SqlState;

use crate::error::{Error, Kind, Result};
use crate::pg::catalog::object::ObjectId;
use crate::pg::filter::{Filter, Pattern, Rule, Switch};
use crate::pg::session::{Row, Session};
use crate::pg::settings::EMPTY_SEARCH_PATH;

/// Sets that are None restrict nothing.
#[derive(Debug, Default)]
pub struct Matches {
    /// What belongs to no schema is in.
    pub(super) outside: bool,
    pub(super) schemas: Option<HashSet<String>>,
    pub(super) excluded_schemas: HashSet<String>,
    pub(super) tables: Option<HashSet<u32>>,
    pub(super) excluded_tables: HashSet<u32>,
    pub(super) without_rows: HashSet<u32>,
    pub(super) extensions: Option<HashSet<u32>>,
    pub(super) excluded_extensions: HashSet<u32>,
    /// Objects that belong to an extension, and to which.
    pub(super) members: HashMap<ObjectId, u32>,
}

impl Matches {
    /// None if the filter has no patterns. `Kind::Nothing` if those that say what is in match nothing.
    pub async fn load(session: &Session, filter: &Filter) -> Result<Option<Self>> {
        if !filter.has_patterns() {
            return Ok(None);
        }
        let mut found = Matches { outside: filter.includes_everything(), ..Matches::default() };
        let asked = Asked { session, filter };
        let schemas = asked.schemas().await?;
        found.schemas = asked.included(&[Rule::Schema], "schema", &schemas)?;
        found.excluded_schemas = asked.matched(&[Rule::ExcludeSchema], &schemas);
        let tables = asked.tables().await?;
        found.tables = asked.included(&[Rule::Table, Rule::TableAndChildren], "table", &tables)?;
        found.excluded_tables = asked.matched(&[Rule::ExcludeTable, Rule::ExcludeTableAndChildren], &tables);
        found.without_rows = asked.matched(&[Rule::ExcludeTableData, Rule::ExcludeTableDataAndChildren], &tables);
        let extensions = asked.extensions().await?;
        found.extensions = asked.included(&[Rule::Extension], "extension", &extensions)?;
        found.excluded_extensions = asked.matched(&[Rule::ExcludeExtension], &extensions);
        found.members = members(session).await?;
        Ok(Some(found))
    }
}

/// What matched, each with the position of its pattern in the filter.
type Found<T> = Vec<(usize, T)>;

struct Asked<'a> {
    session: &'a Session,
    filter: &'a Filter,
}

impl Asked<'_> {
    async fn schemas(&self) -> Result<Found<String>> {
        let sql = "SELECT p.at, n.nspname AS found FROM PATTERNS
             JOIN pg_catalog.pg_namespace n
               ON n.nspname OPERATOR(pg_catalog.~) p.name COLLATE pg_catalog.\"default\"
             WHERE p.excludes OR (NOT n.nspname OPERATOR(pg_catalog.^@) 'pg_'
               AND n.nspname OPERATOR(pg_catalog.<>) 'information_schema')";
        self.ask(&[Rule::Schema, Rule::ExcludeSchema], sql, |row| row.text("found")).await
    }

    async fn extensions(&self) -> Result<Found<u32>> {
        let sql = "SELECT p.at, e.oid AS found FROM PATTERNS
             JOIN pg_catalog.pg_extension e
               ON e.extname OPERATOR(pg_catalog.~) p.name COLLATE pg_catalog.\"default\"";
        self.ask(&[Rule::Extension, Rule::ExcludeExtension], sql, |row| row.u32("found")).await
    }

    async fn tables(&self) -> Result<Found<u32>> {
        const RULES: [Rule; 6] = [
            Rule::Table,
            Rule::TableAndChildren,
            Rule::ExcludeTable,
            Rule::ExcludeTableAndChildren,
            Rule::ExcludeTableData,
            Rule::ExcludeTableDataAndChildren,
        ];
        // Operators are looked for in the search path as names are: each says which one it means.
        let sql = "WITH RECURSIVE m (at, found, children) AS (
             SELECT p.at, c.oid, p.children FROM PATTERNS
             JOIN pg_catalog.pg_class c
               ON c.relname OPERATOR(pg_catalog.~) p.name COLLATE pg_catalog.\"default\"
             JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
             WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,S,v,m,f,p}'::pg_catalog.\"char\"[])
               AND (p.excludes OR (NOT n.nspname OPERATOR(pg_catalog.^@) 'pg_'
                 AND n.nspname OPERATOR(pg_catalog.<>) 'information_schema'))
               AND CASE WHEN p.schema IS NULL THEN pg_catalog.pg_table_is_visible(c.oid)
                   ELSE n.nspname OPERATOR(pg_catalog.~) p.schema COLLATE pg_catalog.\"default\" END
             UNION
             SELECT m.at, i.inhrelid, m.children FROM m
             JOIN pg_catalog.pg_inherits i ON i.inhparent OPERATOR(pg_catalog.=) m.found
             WHERE m.children)
           SELECT at, found FROM m";
        self.refuse_other_databases(&RULES).await?;
        self.session.execute("RESET search_path").await?;
        let found = self.ask(&RULES, sql, |row| row.u32("found")).await?;
        self.session.execute(EMPTY_SEARCH_PATH).await?;
        Ok(found)
    }

    async fn refuse_other_databases(&self, rules: &[Rule]) -> Result<()> {
        let named = self.patterns(rules).filter_map(|(_, _, pattern)| Some((pattern, pattern.database()?)));
        let named: Vec<_> = named.collect();
        if named.is_empty() {
            return Ok(());
        }
        let row = self.session.row("SELECT pg_catalog.current_database() AS name").await?;
        let ours = row.text("name")?;
        match named.iter().find(|(_, database)| *database != ours) {
            None => Ok(()),
            Some((pattern, database)) => Err(Error::new(
                Kind::Usage,
                format!("the pattern {pattern} is for database {database}, and {ours} is backed up"),
            )
            .hint("name schema and table alone")),
        }
    }

    fn patterns(&self, rules: &[Rule]) -> impl Iterator<Item = (usize, Rule, &Pattern)> {
        let all = self.filter.rules().iter().enumerate();
        all.filter(move |(_, (rule, _))| rules.contains(rule)).map(|(at, (rule, pattern))| (at, *rule, pattern))
    }

    /// Runs `sql`, in which `PATTERNS` stands for those of `rules` as
    /// `p (at, name, schema, children, excludes)`.
    async fn ask<T>(&self, rules: &[Rule], sql: &str, read: impl Fn(&Row) -> Result<T>) -> Result<Found<T>> {
        let mut rows = Vec::new();
        for (at, rule, pattern) in self.patterns(rules) {
            let name = converted(&pattern.name());
            let schema = pattern.schema().map_or("NULL".to_owned(), |schema| converted(&schema));
            rows.push(format!(
                "({at}, {name}::pg_catalog.text, {schema}::pg_catalog.text, {}, {})",
                rule.with_children(),
                rule.excludes()
            ));
        }
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let patterns = format!("(VALUES {}) AS p (at, name, schema, children, excludes)", rows.join(", "));
        let answer = self.session.rows(&sql.replacen("PATTERNS", &patterns, 1)).await.map_err(unreadable_pattern)?;
        answer.iter().map(|row| Ok((usize::try_from(row.i32("at")?).unwrap_or(usize::MAX), read(row)?))).collect()
    }

    fn matched<T: Clone + Eq + std::hash::Hash>(&self, rules: &[Rule], found: &Found<T>) -> HashSet<T> {
        let ours = |at: &usize| self.filter.rules().get(*at).is_some_and(|(rule, _)| rules.contains(rule));
        found.iter().filter(|(at, _)| ours(at)).map(|(_, one)| one.clone()).collect()
    }

    /// None where no pattern says what is in.
    fn included<T: Clone + Eq + std::hash::Hash>(
        &self,
        rules: &[Rule],
        what: &str,
        found: &Found<T>,
    ) -> Result<Option<HashSet<T>>> {
        let all = self.matched(rules, found);
        let missed = |(at, _, _): &(usize, Rule, &Pattern)| !found.iter().any(|(of, _)| of == at);
        let unmatched: Vec<String> = self
            .patterns(rules)
            .filter(missed)
            .map(|(_, rule, pattern)| format!("--{} {pattern}", rule.flag()))
            .collect();
        let some_named = self.patterns(rules).next().is_some();
        match unmatched.is_empty() || (!all.is_empty() && !self.filter.has(Switch::StrictNames)) {
            true => Ok(some_named.then_some(all)),
            false => Err(Error::new(Kind::Nothing, format!("no {what} matches {}", unmatched.join(", ")))
                .hint("names are folded to lower case unless they stand in double quotes; without a schema only the search path is looked through")),
        }
    }
}

/// A value in the database's encoding of text that somebody typed: the session may speak another one.
fn converted(text: &str) -> String {
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("pg_catalog.convert_from('\\x{hex}'::pg_catalog.bytea, 'UTF8')")
}

fn unreadable_pattern(error: Error) -> Error {
    let code =
        error.source().and_then(|cause| cause.downcast_ref::<tokio_postgres::Error>()).and_then(|cause| cause.code());
    match code {
        Some(&SqlState::INVALID_REGULAR_EXPRESSION) => error
            .of_kind(Kind::Usage)
            .while_doing("cannot use a pattern")
            .hint("outside of double quotes ( ) [ ] { } + | \\ ^ mean what they mean in a regular expression"),
        _ => error,
    }
}

async fn members(session: &Session) -> Result<HashMap<ObjectId, u32>> {
    let sql = "SELECT d.classid, d.objid, d.refobjid FROM pg_catalog.pg_depend d
         WHERE d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e'";
    let mut found = HashMap::new();
    for row in session.rows(sql).await? {
        found.insert(ObjectId::new(row.u32("classid")?, row.u32("objid")?), row.u32("refobjid")?);
    }
    Ok(found)
}
