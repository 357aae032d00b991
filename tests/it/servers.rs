//! The ground of all other tests: every major answers as itself, and throwaway databases go away.

use crate::util::{MAJORS, TestDatabase, bin_dir, lib_dir, psql, psql_output, server_url, stock, unique};

#[test]
fn every_major_answers_as_itself() {
    for major in MAJORS {
        let version = psql(major, &format!("{}/postgres", server_url(major)), "SHOW server_version_num");
        assert_eq!(version.parse::<u32>().unwrap() / 10_000, major, "the server at {} is another", server_url(major));
        assert!(bin_dir(major).join("postgres").is_file() && lib_dir(major).is_dir());
    }
}

#[test]
fn stock_clients_are_of_their_servers_major() {
    for major in MAJORS {
        let output = stock(major, "pg_dump").arg("--version").output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let wanted = format!("pg_dump (PostgreSQL) {}.", major.max(14));
        assert!(printed.starts_with(&wanted), "expected {wanted}…, found {printed}");
    }
}

#[test]
fn a_throwaway_database_is_dropped_with_the_copies_that_a_swap_keeps() {
    for major in MAJORS {
        let admin = format!("{}/postgres", server_url(major));
        let database = TestDatabase::new(major, "throwaway");
        assert_eq!(database.psql("CREATE TABLE t (a int); INSERT INTO t VALUES (7); SELECT a FROM t"), "7");
        let kept = format!("{}_before_restore_20260101_000000", database.name);
        psql(major, &admin, &format!("CREATE DATABASE \"{kept}\" TEMPLATE template0"));
        let planned = TestDatabase::planned(major, "never_made");
        assert!(database.exists() && !planned.exists());

        let name = database.name.clone();
        drop(database);
        let left =
            psql(major, &admin, &format!("SELECT count(*) FROM pg_database WHERE starts_with(datname, '{name}')"));
        assert_eq!(left, "0", "PostgreSQL {major} kept a throwaway database");
    }
}

/// Everybody is trusted but members of these roles; superusers are not members of everything here.
#[test]
fn members_of_the_login_roles_need_their_password() {
    for major in MAJORS {
        let database = TestDatabase::new(major, "login");
        for group in ["by_scram", "by_md5", "by_password"] {
            let role = unique("login_role");
            let kept = if group == "by_md5" { "md5" } else { "scram-sha-256" };
            database.psql(&format!(
                "SET password_encryption = '{kept}'; CREATE ROLE {role} LOGIN PASSWORD 'right' IN ROLE {group}"
            ));
            let url = |password: &str| database.url().replace("postgres@", &format!("{role}:{password}@"));
            assert_eq!(psql(major, &url("right"), "SELECT current_user"), role);
            let refused = psql_output(major, &url("wrong"), "SELECT 1");
            assert!(!refused.status.success(), "PostgreSQL {major} let {role} of {group} in with a wrong password");
            database.psql(&format!("DROP ROLE {role}"));
        }
    }
}

#[test]
fn names_do_not_repeat() {
    assert_ne!(unique("same"), unique("same"));
}
