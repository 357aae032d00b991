//! Text search parsers, templates, dictionaries and configurations.

use std::collections::HashMap;

use crate::error::Result;
use crate::pg::catalog::object::{Base, BaseColumns, class};
use crate::pg::catalog::types::function;
use crate::pg::session::{Row, Session};

/// Function names are as the server prints them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Parser {
    pub base: Base,
    pub start: String,
    pub get_token: String,
    pub end: String,
    pub headline: Option<String>,
    pub lex_types: String,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Template {
    pub base: Base,
    pub init: Option<String>,
    pub lexize: String,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Dictionary {
    pub base: Base,
    /// Quoted and qualified.
    pub template: String,
    /// As stored, which is how it is written.
    pub options: Option<String>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Configuration {
    pub base: Base,
    /// Quoted and qualified.
    pub parser: String,
    pub mappings: Vec<Mapping>,
}

/// The dictionaries that a kind of token is looked up in, in order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mapping {
    pub token: String,
    /// As the server prints them.
    pub dictionaries: Vec<String>,
}

const fn base(catalog: &'static str, name: &'static str, owner: Option<&'static str>) -> BaseColumns {
    BaseColumns { catalog, name, in_schema: true, owner, acl: None }
}

/// Rows of a catalog whose schema column is `schema`, without the server's own, by name.
async fn rows(session: &Session, columns: BaseColumns, schema: &str, more: &str) -> Result<Vec<Row>> {
    let (name, catalog) = (columns.name, columns.catalog);
    let sql = format!(
        "SELECT {}, {more} FROM pg_catalog.{catalog} o JOIN pg_catalog.pg_namespace n ON n.oid = o.{schema} \
         WHERE o.oid >= 16384 ORDER BY n.nspname, o.{name}",
        columns.sql()
    );
    session.rows(&sql).await
}

pub async fn load_parsers(session: &Session) -> Result<Vec<Parser>> {
    let more = "o.prsstart::pg_catalog.text, o.prstoken::pg_catalog.text, o.prsend::pg_catalog.text, \
                o.prsheadline::pg_catalog.text, o.prslextype::pg_catalog.text";
    let read = |row: &Row| {
        Ok(Parser {
            base: Base::read(row, class::PG_TS_PARSER)?,
            start: row.sql("prsstart")?,
            get_token: row.sql("prstoken")?,
            end: row.sql("prsend")?,
            headline: function(row, "prsheadline")?,
            lex_types: row.sql("prslextype")?,
        })
    };
    rows(session, base("pg_ts_parser", "prsname", None), "prsnamespace", more).await?.iter().map(read).collect()
}

pub async fn load_templates(session: &Session) -> Result<Vec<Template>> {
    let more = "o.tmplinit::pg_catalog.text, o.tmpllexize::pg_catalog.text";
    let read = |row: &Row| {
        Ok(Template {
            base: Base::read(row, class::PG_TS_TEMPLATE)?,
            init: function(row, "tmplinit")?,
            lexize: row.sql("tmpllexize")?,
        })
    };
    rows(session, base("pg_ts_template", "tmplname", None), "tmplnamespace", more).await?.iter().map(read).collect()
}

pub async fn load_dictionaries(session: &Session) -> Result<Vec<Dictionary>> {
    let more = "(SELECT pg_catalog.quote_ident(tn.nspname) || '.' || pg_catalog.quote_ident(t.tmplname) \
                FROM pg_catalog.pg_ts_template t JOIN pg_catalog.pg_namespace tn ON tn.oid = t.tmplnamespace \
                WHERE t.oid = o.dicttemplate) AS template, o.dictinitoption";
    let read = |row: &Row| {
        Ok(Dictionary {
            base: Base::read(row, class::PG_TS_DICT)?,
            template: row.sql("template")?,
            options: row.opt_sql("dictinitoption")?,
        })
    };
    let columns = base("pg_ts_dict", "dictname", Some("dictowner"));
    rows(session, columns, "dictnamespace", more).await?.iter().map(read).collect()
}

pub async fn load_configurations(session: &Session) -> Result<Vec<Configuration>> {
    let mut mappings = mappings(session).await?;
    let more = "(SELECT pg_catalog.quote_ident(tn.nspname) || '.' || pg_catalog.quote_ident(t.prsname) \
                FROM pg_catalog.pg_ts_parser t JOIN pg_catalog.pg_namespace tn ON tn.oid = t.prsnamespace \
                WHERE t.oid = o.cfgparser) AS parser";
    let read = |row: &Row| {
        let base = Base::read(row, class::PG_TS_CONFIG)?;
        let mappings = mappings.remove(&base.id.oid).unwrap_or_default();
        Ok(Configuration { base, parser: row.sql("parser")?, mappings })
    };
    let columns = base("pg_ts_config", "cfgname", Some("cfgowner"));
    rows(session, columns, "cfgnamespace", more).await?.iter().map(read).collect()
}

async fn mappings(session: &Session) -> Result<HashMap<u32, Vec<Mapping>>> {
    let sql = "SELECT m.mapcfg, t.alias, \
               pg_catalog.array_agg(m.mapdict::pg_catalog.regdictionary::pg_catalog.text ORDER BY m.mapseqno) AS dictionaries \
               FROM pg_catalog.pg_ts_config_map m JOIN pg_catalog.pg_ts_config c ON c.oid = m.mapcfg \
               JOIN (SELECT p.parser, k.tokid, k.alias \
               FROM (SELECT DISTINCT cfgparser AS parser FROM pg_catalog.pg_ts_config WHERE oid >= 16384) p, \
               LATERAL pg_catalog.ts_token_type(p.parser) k) t ON t.parser = c.cfgparser AND t.tokid = m.maptokentype \
               WHERE c.oid >= 16384 GROUP BY m.mapcfg, m.maptokentype, t.alias ORDER BY m.mapcfg, m.maptokentype";
    let mut found: HashMap<u32, Vec<Mapping>> = HashMap::new();
    for row in session.rows(sql).await? {
        let mapping = Mapping { token: row.text("alias")?, dictionaries: row.sql_array("dictionaries")? };
        found.entry(row.u32("mapcfg")?).or_default().push(mapping);
    }
    Ok(found)
}
