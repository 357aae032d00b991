//! The capture against real servers: what the catalogs hold comes back as text that makes it again.

use miyabi_backup::pg::catalog::object::{Base, BaseColumns, class};
use miyabi_backup::pg::session::Session;

use crate::util::{MAJORS, server_url};

async fn session(major: u32, database: &str) -> Session {
    let url = format!("{}/{database}", server_url(major));
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("the server runs");
    tokio::spawn(connection);
    Session::start(client).await.expect("a session starts")
}

#[tokio::test]
async fn every_type_of_column_is_read() {
    for major in MAJORS {
        let session = session(major, "postgres").await;
        assert_eq!(session.version().major(), major);
        let sql = "SELECT 'x'::name AS a, NULL::text AS b, true AS c, 'q'::\"char\" AS d, 7::int2 AS e, -8 AS f, \
                   9::int8 AS g, 4294967295::oid AS h, '{a,\"b,c\"}'::text[] AS i, '1 2'::oidvector AS j, \
                   '3 4'::int2vector AS k, ARRAY['z', NULL] AS l, 'pg_catalog'::pg_catalog.regnamespace::text AS m";
        let row = session.row(sql).await.unwrap();
        assert_eq!(row.text("a").unwrap(), "x");
        assert_eq!(row.opt_text("b").unwrap(), None);
        assert!(row.text("b").is_err());
        assert!(row.bool("c").unwrap());
        assert_eq!(row.char("d").unwrap(), 'q');
        assert_eq!((row.i16("e").unwrap(), row.i32("f").unwrap(), row.i64("g").unwrap()), (7, -8, 9));
        assert_eq!(row.u32("h").unwrap(), u32::MAX);
        assert!(row.i32("h").is_err());
        assert_eq!(row.text_array("i").unwrap(), ["a", "b,c"]);
        assert_eq!(row.oid_array("j").unwrap(), [1, 2]);
        assert_eq!(row.i16_array("k").unwrap(), [3, 4]);
        assert!(row.text_array("l").is_err());
        assert_eq!(row.opt_text_elements("l").unwrap(), [Some("z".to_owned()), None]);
        assert!(row.bool("a").is_err());
    }
}

#[tokio::test]
async fn base_columns_read_on_every_major() {
    let columns = BaseColumns {
        catalog: "pg_proc",
        name: "proname",
        in_schema: true,
        owner: Some("proowner"),
        acl: Some(("proacl", "'f'")),
    };
    for major in MAJORS {
        let session = session(major, "postgres").await;
        let from = "FROM pg_catalog.pg_proc o JOIN pg_catalog.pg_namespace n ON n.oid = o.pronamespace";
        let rows = session.rows(&format!("SELECT {} {from}", columns.sql())).await.unwrap();
        let bases: Vec<Base> = rows.iter().map(|row| Base::read(row, class::PG_PROC).unwrap()).collect();
        let reload = bases.iter().find(|base| base.name == "pg_reload_conf").unwrap();
        assert_eq!(reload.acl.as_deref(), Some(["postgres=X/postgres".to_owned()].as_slice()));
        assert_eq!(reload.init_acl, reload.acl);
        assert_eq!(reload.default_acl, ["=X/postgres", "postgres=X/postgres"]);
        assert!(reload.in_system_schema && !reload.is_users());
    }
}
