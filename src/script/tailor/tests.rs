use proptest::prelude::*;

use super::*;

fn tailoring(parts: &[Part], map: &[(&str, &str)]) -> Tailoring {
    Tailoring {
        leave_out: parts.iter().copied().collect(),
        role_map: map.iter().map(|(old, new)| ((*old).to_owned(), (*new).to_owned())).collect(),
    }
}

fn applied(tailoring: &Tailoring, sql: &str) -> Option<String> {
    tailoring.apply(sql.as_bytes()).map(|sql| String::from_utf8(sql.into_owned()).unwrap())
}

#[test]
fn each_part_takes_its_statements_and_no_others() {
    use Part::*;
    let cases: [(&str, &[Part]); 27] = [
        ("ALTER TABLE \"s\".\"t\" OWNER TO \"o\";", &[Owners]),
        ("ALTER FUNCTION \"s\".\"f\"(\"owner\" integer) OWNER TO o;", &[Owners]),
        ("ALTER LARGE OBJECT 7 OWNER TO \"o\";", &[Owners]),
        ("ALTER PUBLICATION \"p\" OWNER TO \"o\";", &[Owners, Publications]),
        ("SET SESSION AUTHORIZATION 'o';", &[Owners]),
        ("SET SESSION AUTHORIZATION DEFAULT;", &[Owners]),
        ("GRANT SELECT ON TABLE \"s\".\"t\" TO \"o\";", &[Privileges]),
        ("REVOKE ALL ON SCHEMA public FROM PUBLIC;", &[Privileges]),
        ("ALTER DEFAULT PRIVILEGES FOR ROLE \"o\" IN SCHEMA \"s\" GRANT SELECT ON TABLES TO \"o\";", &[Privileges]),
        ("SET SESSION AUTHORIZATION \"o\";", &[Privileges]),
        ("RESET SESSION AUTHORIZATION;", &[Privileges]),
        ("COMMENT ON TABLE \"s\".\"t\" IS 'PUBLICATION';", &[Comments]),
        ("COMMENT ON PUBLICATION \"p\" IS NULL;", &[Comments, Publications]),
        ("SECURITY LABEL FOR \"on\" ON SUBSCRIPTION \"p\" IS 'x';", &[SecurityLabels, Subscriptions]),
        ("CREATE PUBLICATION \"p\" FOR ALL TABLES;", &[Publications]),
        ("ALTER PUBLICATION \"p\" ADD TABLE ONLY \"s\".\"t\" WHERE ((a > 1));", &[Publications]),
        ("CREATE SUBSCRIPTION \"p\" CONNECTION 'x' PUBLICATION \"p\";", &[Subscriptions]),
        ("SET default_tablespace = \"fast\";", &[Tablespaces]),
        ("SET default_tablespace = '';", &[Tablespaces]),
        ("SET default_table_access_method = heap;", &[]),
        ("CREATE TABLE \"publication\" (\"owner\" integer DEFAULT 1);", &[]),
        ("ALTER TABLE ONLY \"s\".\"t\" ADD CONSTRAINT \"OWNER TO o\" CHECK ((a = 'OWNER TO o'::text));", &[]),
        ("CREATE POLICY \"p\" ON \"s\".\"t\" TO \"o\" USING (true);", &[]),
        ("CREATE USER MAPPING FOR \"o\" SERVER \"s\";", &[]),
        ("ALTER DATABASE \"d\" OWNER TO \"o\"", &[Owners]),
        ("CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$GRANT a TO b;$$;", &[]),
        ("SELECT pg_catalog.lo_from_bytea(7, '\\x');", &[]),
    ];
    let all = [Owners, Privileges, Comments, SecurityLabels, Publications, Subscriptions, Tablespaces];
    for (sql, parts) in cases {
        for part in all {
            let kept = applied(&tailoring(&[part], &[]), sql);
            assert_eq!(kept.is_none(), parts.contains(&part), "{sql} without {part:?}");
            assert!(kept.is_none_or(|kept| kept == sql), "{sql}");
        }
    }
    let schema = tailoring(&[Owners], &[]);
    assert_eq!(applied(&schema, "CREATE SCHEMA s AUTHORIZATION o;").unwrap(), "CREATE SCHEMA s ;");
}

#[test]
fn a_role_is_renamed_where_a_role_stands() {
    let map = tailoring(&[], &[("o", "n"), ("Odd \"one\"", "it's"), ("public", "p"), ("to", "from")]);
    let cases = [
        ("ALTER TABLE \"o\".\"o\" OWNER TO \"o\";", "ALTER TABLE \"o\".\"o\" OWNER TO \"n\";"),
        ("ALTER TABLE o.o OWNER TO O;", "ALTER TABLE o.o OWNER TO \"n\";"),
        ("ALTER TABLE o.o OWNER TO \"O\";", "ALTER TABLE o.o OWNER TO \"O\";"),
        (
            "GRANT SELECT(\"o\"), UPDATE(\"to\") ON TABLE \"to\".\"o\" TO \"o\", PUBLIC, \"public\", GROUP o WITH GRANT OPTION GRANTED BY \"to\";",
            "GRANT SELECT(\"o\"), UPDATE(\"to\") ON TABLE \"to\".\"o\" TO \"n\", PUBLIC, \"p\", GROUP \"n\" WITH GRANT OPTION GRANTED BY \"from\";",
        ),
        ("REVOKE ALL ON FUNCTION f(o o) FROM \"Odd \"\"one\"\"\";", "REVOKE ALL ON FUNCTION f(o o) FROM \"it's\";"),
        (
            "ALTER DEFAULT PRIVILEGES FOR ROLE \"o\", x IN SCHEMA \"o\" REVOKE ALL ON TABLES FROM \"o\";",
            "ALTER DEFAULT PRIVILEGES FOR ROLE \"n\", x IN SCHEMA \"o\" REVOKE ALL ON TABLES FROM \"n\";",
        ),
        (
            "CREATE POLICY \"o\" ON \"to\".\"o\" AS RESTRICTIVE FOR SELECT TO \"o\", PUBLIC USING ((o = 'o'::text)) WITH CHECK ((\"to\" = 1));",
            "CREATE POLICY \"o\" ON \"to\".\"o\" AS RESTRICTIVE FOR SELECT TO \"n\", PUBLIC USING ((o = 'o'::text)) WITH CHECK ((\"to\" = 1));",
        ),
        (
            "CREATE POLICY \"o\" ON \"o\" USING ((x AT TIME ZONE 'o' > 'o'));",
            "CREATE POLICY \"o\" ON \"o\" USING ((x AT TIME ZONE 'o' > 'o'));",
        ),
        (
            "CREATE USER MAPPING FOR \"o\" SERVER \"o\"\nOPTIONS (\"user\" 'o');",
            "CREATE USER MAPPING FOR \"n\" SERVER \"o\"\nOPTIONS (\"user\" 'o');",
        ),
        ("CREATE USER MAPPING FOR PUBLIC SERVER o;", "CREATE USER MAPPING FOR PUBLIC SERVER o;"),
        ("SET SESSION AUTHORIZATION 'Odd \"one\"';", "SET SESSION AUTHORIZATION 'it''s';"),
        ("SET SESSION AUTHORIZATION \"o\";", "SET SESSION AUTHORIZATION \"n\";"),
        (
            "ALTER ROLE \"o\" IN DATABASE \"o\" SET \"role\" TO 'o'",
            "ALTER ROLE \"n\" IN DATABASE \"o\" SET \"role\" TO 'o'",
        ),
        ("CREATE SCHEMA o AUTHORIZATION o;", "CREATE SCHEMA o AUTHORIZATION \"n\";"),
        (
            "CREATE FUNCTION f() RETURNS o AS $$o$$ SET role = 'o';",
            "CREATE FUNCTION f() RETURNS o AS $$o$$ SET role = 'o';",
        ),
    ];
    for (sql, expected) in cases {
        assert_eq!(applied(&map, sql).unwrap(), expected);
    }
}

#[test]
fn what_a_statement_needs_is_told() {
    assert_eq!(roles_of(b"GRANT ALL ON SCHEMA s TO \"a\"\"b\", PUBLIC;"), ["a\"b"]);
    assert_eq!(owner_of(b"ALTER TYPE s.t OWNER TO o;").as_deref(), Some("o"));
    assert_eq!(owner_of(b"GRANT ALL ON SCHEMA s TO o;"), None);
    assert_eq!(tablespace_of(b"SET default_tablespace = \"A b\";").as_deref(), Some("A b"));
    assert_eq!(tablespace_of(b"SET default_tablespace = '';"), None);
}

proptest! {
    /// Whatever the names are: a map changes owner, grantee and policy's role, and what stands around them stays.
    #[test]
    fn names_of_any_kind_are_mapped_structurally(old in "\\PC{1,20}", new in "\\PC{1,20}", other in "\\PC{1,20}") {
        prop_assume!(old != other);
        let (o, n, x) = (Ident::new(old.as_str()), Ident::new(new.as_str()), Ident::new(other.as_str()));
        let text = Literal(&old);
        let map = tailoring(&[], &[(&old, &new)]);
        for (before, after) in [
            (format!("ALTER TABLE {o}.{x} OWNER TO {o};"), format!("ALTER TABLE {o}.{x} OWNER TO {n};")),
            (
                format!("GRANT SELECT({o}) ON TABLE {x}.{o} TO {x}, {o} WITH GRANT OPTION;"),
                format!("GRANT SELECT({o}) ON TABLE {x}.{o} TO {x}, {n} WITH GRANT OPTION;"),
            ),
            (
                format!("CREATE POLICY {o} ON {o}.{x} TO {o}, {x} USING (({o} = {text}));"),
                format!("CREATE POLICY {o} ON {o}.{x} TO {n}, {x} USING (({o} = {text}));"),
            ),
            (format!("COMMENT ON ROLE {o} IS {text};"), format!("COMMENT ON ROLE {o} IS {text};")),
        ] {
            prop_assert_eq!(applied(&map, &before).unwrap(), after);
        }
    }

    #[test]
    fn any_bytes_are_taken(sql in proptest::collection::vec(any::<u8>(), 0..200)) {
        let map = tailoring(&[Part::Tablespaces], &[("a", "b")]);
        let _ = (map.apply(&sql), roles_of(&sql), owner_of(&sql), tablespace_of(&sql));
    }
}
