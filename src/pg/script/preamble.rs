//! What stands before the first entry: settings that the script relies on, roles that it names.
//!
//! Settings that a target may lack are set through `pg_settings`, so that the script loads into every version.

use std::collections::BTreeSet;

use crate::ident::Literal;
use crate::pg::ddl::text::dollar_quoted;
use crate::pg::encoding::Codec;

/// Loaded by psql it stops at the first error, unless the variable `miyabi_keep_going` is set; it would otherwise
/// read a table's rows as statements when their COPY fails.
const STOP_ON_ERROR: &str = "\\if :{?miyabi_keep_going}\n\\else\n\\set ON_ERROR_STOP on\n\\endif\n";

const SETTINGS: &str = "SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings
  WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout');
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
SET DateStyle = 'ISO, YMD';
SET IntervalStyle = postgres;
SET default_tablespace = '';
SET default_table_access_method = heap;
SET lc_monetary = 'C';
SET array_nulls = on;
SELECT pg_catalog.set_config(name, 'origin', false) FROM pg_catalog.pg_settings
  WHERE name = 'session_replication_role' AND setting <> 'origin';
";

pub fn preamble(codec: Codec, roles: &BTreeSet<String>) -> String {
    format!("{STOP_ON_ERROR}{}{}", settings(codec), role_check(roles))
}

/// What any script of ours relies on.
pub fn settings(codec: Codec) -> String {
    format!("SET client_encoding = '{}';\n{SETTINGS}", codec.client_encoding())
}

/// Fails with the names of all roles that are missing at once.
fn role_check(roles: &BTreeSet<String>) -> String {
    if roles.is_empty() {
        return String::new();
    }
    let names: Vec<String> = roles.iter().map(|role| Literal(role).to_string()).collect();
    let body = format!(
        "DECLARE missing pg_catalog.text;
BEGIN
  SELECT pg_catalog.string_agg(pg_catalog.quote_ident(role), ', ' ORDER BY role) INTO missing
    FROM pg_catalog.unnest(ARRAY[{}]::pg_catalog.text[]) AS role
    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = role);
  IF missing IS NOT NULL THEN
    RAISE EXCEPTION 'roles are missing: %', missing USING HINT = 'create them first, then load this again';
  END IF;
END",
        names.join(", ")
    );
    format!("DO {};\n", dollar_quoted(&body))
}
