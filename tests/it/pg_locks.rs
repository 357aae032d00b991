//! A server whose table of locks is too small for all tables says so with the value that would do.

use crate::own_server::{OwnServer, Recipe};
use crate::program::Sandbox;

const TABLES: &str = "DO $$ BEGIN FOR i IN 1..5000 LOOP EXECUTE format('CREATE TABLE t%s ()', i);
  IF i % 100 = 0 THEN COMMIT; END IF; END LOOP; END $$";

#[test]
fn too_few_locks_are_an_error_that_names_the_setting_and_its_value() {
    let hba = "local all all trust\nhost all all all trust\n";
    let settings = ["max_locks_per_transaction=10", "max_connections=12", "max_wal_senders=0", "autovacuum=off"];
    let server = OwnServer::start(17, &Recipe { hba, settings: &settings, files: &[] });
    server.psql(TABLES);
    let sandbox = Sandbox::new();
    let output = sandbox.path("many.sql.gz");
    let url = server.admin_url();
    let ran = sandbox.run(&["backup", "postgres", "--url", &url, "--output", output.to_str().unwrap()]).expect(20);
    let said = ran.blames("cannot lock all tables for reading").stderr();
    let value = said.split("max_locks_per_transaction = ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    let value: usize = value.parse().unwrap_or_else(|_| panic!("no value is given: {said}"));
    assert!((5000 / 12..=4 * 5000 / 12).contains(&value), "{said}");
    assert!(!output.exists());
}
