//! What every session of ours sets before it does anything else.
//!
//! Roles and databases can carry settings (`ALTER ROLE … SET …`) that would change what is read or how it prints.
//! A setting that this server lacks is passed over: the statement joins our list with `pg_settings`.

/// The first statement of every connection: nothing a user created may stand in for a system object.
pub const EMPTY_SEARCH_PATH: &str = "SELECT pg_catalog.set_config('search_path', '', false)";

/// The second: a short timeout that a role carries must not stop us from setting the rest.
pub const NO_TIMEOUT: &str = "SET statement_timeout = 0";

/// What a session is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purpose {
    /// Reads a database to back it up: output must not depend on who reads.
    Read,
    /// Restores: what is run must mean the same as in the archive. How times and dates *print* stays the target's
    /// own, since a materialized view that is refreshed may depend on it.
    Write,
}

const ALWAYS: [(&str, &str); 10] = [
    ("standard_conforming_strings", "on"),
    ("row_security", "off"),
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("transaction_timeout", "0"),
    ("client_min_messages", "warning"),
    ("xmloption", "content"),
    ("transform_null_equals", "off"),
];

const READING: [(&str, &str); 15] = [
    // Money prints as its digits in every locale; the script is loaded under this one.
    ("lc_monetary", "C"),
    ("DateStyle", "ISO, MDY"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "UTC"),
    ("extra_float_digits", "3"),
    ("bytea_output", "hex"),
    ("xmlbinary", "base64"),
    ("quote_all_identifiers", "off"),
    ("synchronize_seqscans", "off"),
    // A table that turns into a view or foreign table under our hands must not run its owner's code (CVE-2024-7348).
    ("restrict_nonsystem_relation_kind", "view, foreign-table"),
    ("enable_tidscan", "on"),
    ("max_parallel_workers_per_gather", "0"),
    ("jit", "off"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_deferrable", "off"),
];

const WRITING: [(&str, &str); 5] = [
    ("lc_monetary", "C"),
    ("check_function_bodies", "off"),
    ("array_nulls", "on"),
    ("default_transaction_read_only", "off"),
    ("IntervalStyle", "postgres"),
];

/// One statement that sets the rest.
pub fn pin(purpose: Purpose) -> String {
    let own: &[(&str, &str)] = match purpose {
        Purpose::Read => &READING,
        Purpose::Write => &WRITING,
    };
    let pairs: Vec<String> = ALWAYS.iter().chain(own).map(|(name, value)| format!("('{name}','{value}')")).collect();
    let encoding = match purpose {
        Purpose::Read => "('client_encoding', pg_catalog.current_setting('server_encoding'))",
        // Bytes of a SQL_ASCII database have no encoding that they could be converted from.
        Purpose::Write => {
            "('client_encoding', CASE pg_catalog.current_setting('server_encoding') \
             WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END)"
        }
    };
    format!(
        "SELECT pg_catalog.count(pg_catalog.set_config(s.name, w.value, false)) \
         FROM (VALUES {},{encoding}) AS w (name, value) \
         JOIN pg_catalog.pg_settings AS s ON s.name OPERATOR(pg_catalog.=) w.name \
         WHERE s.setting OPERATOR(pg_catalog.<>) w.value AND s.context OPERATOR(pg_catalog.<>) 'internal'",
        pairs.join(",")
    )
}
