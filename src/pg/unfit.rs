//! Which statements a server of an older major is known to refuse, so that a restore can say so beforehand.
//!
//! Only a forecast: what it passes over is found when the server refuses it, and listed then.

use crate::script::Tokens;

use super::version::{Capability, ServerVersion};

/// The feature that the statement uses and the server lacks, with the first major that has it.
pub fn unfit(sql: &[u8], target: ServerVersion) -> Option<(&'static str, u32)> {
    let tokens = Tokens::of(sql);
    let (feature, capability) = feature(&tokens, target)?;
    Some((feature, capability.since()))
}

fn feature(tokens: &Tokens<'_>, target: ServerVersion) -> Option<(&'static str, Capability)> {
    let has = |words: &str| (0..tokens.count()).any(|at| tokens.are(at, words));
    let found = |rules: &[(&str, &'static str, Capability)]| {
        let mut unknown = rules.iter().filter(|(_, _, capability)| !target.has(*capability));
        unknown.find(|(words, ..)| has(words)).map(|(_, feature, capability)| (*feature, *capability))
    };
    match () {
        () if tokens.are(0, "CREATE FUNCTION") || tokens.are(0, "CREATE PROCEDURE") => {
            let body = tokens.find(2, &["RETURN", "BEGIN"]).is_some();
            (body && !target.has(Capability::SqlBodies)).then_some(("SQL bodies", Capability::SqlBodies))
        }
        () if tokens.are(0, "CREATE VIEW") => {
            let invoker = (0..tokens.count()).any(|at| tokens.name(at).is_some_and(|name| name == "security_invoker"));
            let lacks = !target.has(Capability::SecurityInvokerViews);
            (invoker && lacks).then_some(("security_invoker", Capability::SecurityInvokerViews))
        }
        () if tokens.are(0, "CREATE EVENT TRIGGER") => {
            found(&[("ON login", "login events", Capability::LoginEvents)]).or_else(|| login_quoted(tokens, target))
        }
        () if tokens.are(0, "CREATE COLLATION") => found(&[
            ("builtin", "the builtin provider", Capability::BuiltinLocale),
            ("rules", "ICU rules", Capability::IcuRules),
        ]),
        () if tokens.are(0, "ALTER PUBLICATION") => publication(tokens, target),
        () if tokens.are(0, "ALTER DEFAULT PRIVILEGES") => {
            found(&[("ON LARGE OBJECTS", "default privileges of large objects", Capability::LargeObjectDefaultAcls)])
        }
        () if tokens.are(0, "CREATE STATISTICS") => None,
        () if tokens.is(0, "CREATE") || tokens.is(0, "ALTER") => found(&[
            ("NULLS NOT DISTINCT", "NULLS NOT DISTINCT", Capability::NullsNotDistinct),
            ("WITHOUT OVERLAPS", "WITHOUT OVERLAPS", Capability::PeriodConstraints),
            ("NOT ENFORCED", "NOT ENFORCED", Capability::NotEnforced),
            ("SET COMPRESSION", "compression of columns", Capability::ColumnCompression),
        ]),
        () => None,
    }
}

fn login_quoted(tokens: &Tokens<'_>, target: ServerVersion) -> Option<(&'static str, Capability)> {
    let on = tokens.find(3, &["ON"])?;
    let login = tokens.name(on + 1).is_some_and(|event| event == "login");
    (login && !target.has(Capability::LoginEvents)).then_some(("login events", Capability::LoginEvents))
}

/// `ADD TABLE ONLY "s"."t" ("a") WHERE (…)`, `ADD TABLES IN SCHEMA`.
fn publication(tokens: &Tokens<'_>, target: ServerVersion) -> Option<(&'static str, Capability)> {
    let add = tokens.find(2, &["ADD"]).filter(|_| !target.has(Capability::PublicationFilters))?;
    if tokens.are(add + 1, "TABLES IN SCHEMA") {
        return Some(("schemas in publications", Capability::PublicationFilters));
    }
    let filtered = (add..tokens.count()).any(|at| tokens.is_mark(at, b'('));
    filtered.then_some(("columns and rows of publications", Capability::PublicationFilters))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_is_known_by_its_words_and_not_by_names() {
        let on = |major: u32, sql: &str| unfit(sql.as_bytes(), ServerVersion::from_num(major * 10_000)).map(|(f, _)| f);
        let cases = [
            (13, "CREATE FUNCTION \"f\"() RETURNS integer LANGUAGE sql BEGIN ATOMIC SELECT 1; END;", "SQL bodies"),
            (14, "CREATE VIEW \"v\" WITH (\"security_invoker\" = 'true') AS SELECT 1;", "security_invoker"),
            (16, "CREATE EVENT TRIGGER \"e\" ON \"login\" EXECUTE FUNCTION f();", "login events"),
            (16, "CREATE COLLATION \"c\" (provider = builtin, locale = 'C');", "the builtin provider"),
            (14, "ALTER PUBLICATION \"p\" ADD TABLE ONLY \"t\" (\"a\");", "columns and rows of publications"),
            (14, "ALTER PUBLICATION \"p\" ADD TABLES IN SCHEMA \"s\";", "schemas in publications"),
            (
                17,
                "ALTER TABLE ONLY \"t\" ADD CONSTRAINT \"k\" PRIMARY KEY (\"a\" WITHOUT OVERLAPS);",
                "WITHOUT OVERLAPS",
            ),
            (
                14,
                "ALTER TABLE ONLY \"t\" ADD CONSTRAINT \"k\" UNIQUE NULLS NOT DISTINCT (\"a\");",
                "NULLS NOT DISTINCT",
            ),
        ];
        for (major, sql, feature) in cases {
            assert_eq!(on(major, sql), Some(feature), "{sql}");
            assert_eq!(on(18, sql), None, "{sql}");
        }
        assert_eq!(on(13, "ALTER TABLE \"NULLS NOT DISTINCT\" ADD CHECK ((a = 'NOT ENFORCED'::text));"), None);
        assert_eq!(on(13, "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$BEGIN RETURN 1$$;"), None);
    }
}
