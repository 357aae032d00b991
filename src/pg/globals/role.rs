//! One role made again: created where it is missing, then given what differs, attribute by attribute.
//!
//! Only what differs is said, so that a role without superuser rights can restore others of its kind. Two roles never
//! lose anything: the one that runs the script, which would stop half-way, and the target's bootstrap superuser.

use crate::ident::{Ident, Literal};
use crate::pg::ddl::text::dollar_quoted;
use crate::pg::role::Role;

/// One attribute as the role should have it.
struct Attribute {
    /// True in a query over `pg_roles r` where the target's role has it otherwise.
    differs: String,
    /// The change would take something away.
    takes: bool,
    change: String,
}

fn attributes(role: &Role) -> Vec<Attribute> {
    let flag = |column: &str, word: &str, wanted: bool| match wanted {
        true => Attribute { differs: format!("NOT r.{column}"), takes: false, change: word.to_owned() },
        false => Attribute { differs: format!("r.{column}"), takes: true, change: format!("NO{word}") },
    };
    let limit = role.connection_limit;
    vec![
        flag("rolsuper", "SUPERUSER", role.superuser),
        Attribute { takes: false, ..flag("rolinherit", "INHERIT", role.inherit) },
        flag("rolcreaterole", "CREATEROLE", role.create_role),
        flag("rolcreatedb", "CREATEDB", role.create_database),
        flag("rolcanlogin", "LOGIN", role.login),
        flag("rolreplication", "REPLICATION", role.replication),
        flag("rolbypassrls", "BYPASSRLS", role.bypass_row_security),
        Attribute {
            differs: format!("r.rolconnlimit <> {limit}"),
            takes: limit != -1,
            change: format!("CONNECTION LIMIT {limit}"),
        },
        valid_until(role),
    ]
}

/// A date can be moved but not taken back: the far future means the same as none.
fn valid_until(role: &Role) -> Attribute {
    const NO_END: &str = "infinity";
    let until = role.valid_until.as_deref().unwrap_or(NO_END);
    let moment = format!("{}::pg_catalog.timestamptz", Literal(until));
    let differs = match &role.valid_until {
        Some(_) => format!("r.rolvaliduntil IS DISTINCT FROM {moment}"),
        None => format!("r.rolvaliduntil <> {moment}"),
    };
    Attribute {
        differs: format!("coalesce({differs}, false)"),
        takes: until != NO_END,
        change: format!("VALID UNTIL {}", Literal(until)),
    }
}

pub fn make(role: &Role) -> String {
    let (name, ident) = (Literal(&role.name), Ident::new(role.name.as_str()));
    let values: Vec<String> = attributes(role)
        .iter()
        .map(|one| format!("({}, {}, {})", one.differs, one.takes, Literal(&one.change)))
        .collect();
    let alter = format!("ALTER ROLE {ident} ");
    let body = format!(
        "DECLARE change pg_catalog.text; is_kept pg_catalog.bool;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {name}) THEN
    CREATE ROLE {ident};
  END IF;
  FOR change, is_kept IN
    SELECT a.change, a.takes AND (r.oid = 10 OR r.rolname IN (session_user, current_user)) FROM pg_catalog.pg_roles r, LATERAL (VALUES
      {}) AS a (differs, takes, change) WHERE r.rolname = {name} AND a.differs
  LOOP
    IF is_kept THEN
      RAISE WARNING 'role % is not given %: it runs this script, or is the bootstrap superuser', {name}, change;
    ELSE
      BEGIN
        EXECUTE {} || change;
      EXCEPTION WHEN insufficient_privilege THEN
        RAISE WARNING 'role % is not given %: %', {name}, change, SQLERRM;
      END;
    END IF;
  END LOOP;
END",
        values.join(",\n      "),
        Literal(&alter)
    );
    format!("DO {};\n", dollar_quoted(&body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_end_the_statement() {
        let role = Role { name: "$$;\n\\! touch x\n'\"$_$".into(), login: true, ..Role::default() };
        let text = make(&role);
        let tag = text.strip_prefix("DO ").and_then(|rest| rest.split_inclusive('$').nth(1)).unwrap();
        let tag = format!("${tag}");
        assert_eq!(text.matches(&tag).count(), 2, "{text}");
        assert!(text.contains("CREATE ROLE \"$$;\n\\! touch x\n'\"\"$_$\";"), "{text}");
        assert!(text.contains("(NOT r.rolcanlogin, false, 'LOGIN')"), "{text}");
    }

    #[test]
    fn no_end_is_only_said_to_a_role_that_has_one() {
        let without = valid_until(&Role::default());
        assert_eq!(without.change, "VALID UNTIL 'infinity'");
        assert!(!without.takes);
        let with = valid_until(&Role { valid_until: Some("2030-01-01 00:00:00+00".into()), ..Role::default() });
        assert!(with.takes && with.differs.contains("IS DISTINCT FROM '2030-01-01 00:00:00+00'"), "{}", with.differs);
    }
}
