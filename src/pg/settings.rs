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

/// Memory for index builds of all connections of a restore together, as far as the server's own setting is not larger.
const BUILD_KIB: usize = 512 << 10;

/// What makes a session of a restore faster, and is only for such: the target is of no use before all of it is there.
///
/// * `synchronous_commit`: a commit for every member would wait for the disk. [`FLUSH`] waits once, at the end.
/// * `maintenance_work_mem`: an index that is sorted in memory is built in one pass. Its default of 64 MB is for servers
///   that do other things; so many sessions share what is bounded here. A larger setting of server or role stays.
/// * `jit`: a foreign key is looked at by one simple query; compiling it takes longer than it saves.
pub fn for_loading(sessions: usize) -> String {
    let share = BUILD_KIB / sessions.max(1);
    format!(
        "SELECT pg_catalog.set_config('synchronous_commit', 'off', false), pg_catalog.set_config('jit', 'off', false), \
                pg_catalog.set_config('maintenance_work_mem', \
                    GREATEST(s.setting::pg_catalog.int8, {share})::pg_catalog.text OPERATOR(pg_catalog.||) 'kB', false) \
         FROM pg_catalog.pg_settings AS s WHERE s.name OPERATOR(pg_catalog.=) 'maintenance_work_mem'"
    )
}

/// So many processes help with an index, or fewer where server or role allow fewer.
pub fn helpers(most: usize) -> String {
    format!(
        "SELECT pg_catalog.set_config(s.name, LEAST(s.reset_val::pg_catalog.int4, {most})::pg_catalog.text, false) \
         FROM pg_catalog.pg_settings AS s WHERE s.name OPERATOR(pg_catalog.=) 'max_parallel_maintenance_workers'"
    )
}

/// Commits something that is written to the log and means nothing, and waits until the log is on disk.
pub const FLUSH: &str = "BEGIN; SET LOCAL synchronous_commit = on; \
     SELECT pg_catalog.pg_logical_emit_message(true, 'miyabi-backup', 'restored'); COMMIT";

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
