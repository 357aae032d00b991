//! `restore --table`, `--schema-only`, `--data-only`: they add to what stands, replace nothing, and leave no half.

use miyabi_backup::archive::{Archive, StreamKind};

use crate::program::{Outcome, Sandbox};
use crate::util::{TestDatabase, admin_url, psql, unique};

const SHOP: &str = "
CREATE SCHEMA sales; CREATE TYPE mood AS ENUM ('calm', 'tense');
CREATE TABLE customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE, mood mood DEFAULT 'calm');
CREATE TABLE sales.orders (id bigserial, customer bigint NOT NULL REFERENCES customers, placed date NOT NULL, PRIMARY KEY (id, placed)) PARTITION BY RANGE (placed);
CREATE TABLE sales.orders_2025 PARTITION OF sales.orders FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE sales.orders_later PARTITION OF sales.orders DEFAULT PARTITION BY RANGE (id);
CREATE TABLE sales.orders_rest PARTITION OF sales.orders_later DEFAULT;
CREATE INDEX by_customer ON sales.orders (customer);
CREATE TABLE sales.notes (id serial PRIMARY KEY, text text CHECK (text <> ''), author int REFERENCES sales.notes);
CREATE TABLE notes (id int);
CREATE VIEW spenders AS SELECT customer, count(*) FROM sales.orders GROUP BY customer;
CREATE FUNCTION loud() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.text := upper(NEW.text); RETURN NEW; END $$;
CREATE TRIGGER loud BEFORE INSERT ON sales.notes FOR EACH ROW EXECUTE FUNCTION loud();
COMMENT ON TABLE sales.orders IS 'what was bought'; COMMENT ON COLUMN sales.notes.text IS 'loud';
INSERT INTO customers (name) SELECT 'c' || n FROM generate_series(1, 50) n;
INSERT INTO sales.orders (customer, placed) SELECT 1 + n % 50, date '2025-06-01' + n FROM generate_series(1, 500) n;
ALTER TABLE sales.notes DISABLE TRIGGER loud; INSERT INTO sales.notes (text, author) VALUES ('quiet', 2), ('second', 1); ALTER TABLE sales.notes ENABLE TRIGGER loud;
";

struct Shop {
    sandbox: Sandbox,
    source: TestDatabase,
}

impl Shop {
    fn backed_up(major: u32) -> Self {
        let (sandbox, source) = (Sandbox::new(), TestDatabase::new(major, "parts_source"));
        source.psql(SHOP);
        sandbox.run(&["backup", "postgres", "--url", &source.url(), "--output", "shop.sql.gz"]).expect(0);
        Shop { sandbox, source }
    }

    fn restore(&self, target: &TestDatabase, more: &[&str]) -> Outcome {
        let url = target.url();
        let mut arguments = vec!["restore", "--file", "shop.sql.gz", "--url", &url, "--confirm"];
        arguments.extend(more);
        self.sandbox.run(&arguments)
    }

    #[track_caller]
    fn same(&self, target: &TestDatabase, query: &str) {
        assert_eq!(target.psql(query), self.source.psql(query), "{query}");
    }
}

const ORDERS: &str =
    "SELECT tableoid::regclass, count(*), sum(hashtextextended(o::text, 0)) FROM sales.orders o GROUP BY 1 ORDER BY 1";

#[test]
fn a_partitioned_table_brings_its_partitions_and_all_that_is_its_own() {
    let shop = Shop::backed_up(16);
    let target = TestDatabase::new(16, "parts_target");
    target.psql("CREATE SCHEMA sales; CREATE TABLE other (a int); INSERT INTO other VALUES (1)");
    let told = shop.restore(&target, &["--table", "sales.orders", "--table", "customers"]);
    // the type is not the table's own: the failure says what is missing and leaves nothing
    let told = told.expect(1).blames("TABLE public.customers").says("TYPE public.mood").says("nothing was changed");
    told.never_says("drop and create");
    assert_eq!(target.psql("SELECT to_regclass('sales.orders'), (SELECT count(*) FROM other)"), "|1");

    target.psql("CREATE TYPE mood AS ENUM ('calm', 'tense')");
    shop.restore(&target, &["--table", "sales.orders", "--table", "customers"])
        .expect(0)
        .says("not brought")
        .says("VIEW public.spenders");
    shop.same(&target, ORDERS);
    shop.same(&target, "SELECT conname, contype, convalidated FROM pg_constraint WHERE conrelid IN ('sales.orders'::regclass, 'customers'::regclass) ORDER BY 1");
    shop.same(&target, "SELECT indexrelid::regclass, indisvalid FROM pg_index WHERE indrelid::regclass::text LIKE 'sales.orders%' ORDER BY indexrelid::regclass::text");
    shop.same(&target, "SELECT obj_description('sales.orders'::regclass)");
    shop.same(&target, "SELECT last_value, is_called FROM sales.orders_id_seq");
    shop.same(&target, "SELECT last_value, is_called FROM customers_id_seq");
    assert_eq!(target.psql("INSERT INTO sales.orders (customer, placed) VALUES (1, '2025-01-01') RETURNING id"), "501");
    assert_eq!(target.psql("SELECT to_regclass('spenders'), to_regclass('sales.notes')"), "|");
}

#[test]
fn what_a_table_leaves_behind_is_listed() {
    let shop = Shop::backed_up(14);
    let target = TestDatabase::new(14, "parts_target");
    target.psql("CREATE SCHEMA sales");
    let told = shop.restore(&target, &["--table", "sales.orders"]).expect(3);
    told.says("not restored: FK CONSTRAINT sales.orders").says("orders_customer_fkey");
    shop.same(&target, ORDERS);
    shop.same(&target, "SELECT count(*) FROM pg_index WHERE indrelid = 'sales.orders'::regclass");
    // a trigger whose function is missing
    shop.restore(&target, &["--table", "sales.notes"]).expect(3).says("not restored: TRIGGER sales.notes loud");
    shop.same(&target, "SELECT * FROM sales.notes ORDER BY id");
    shop.same(&target, "SELECT col_description('sales.notes'::regclass, 2)");
}

#[test]
fn a_table_is_named_exactly() {
    let shop = Shop::backed_up(18);
    let target = TestDatabase::new(18, "parts_target");
    shop.restore(&target, &["--table", "notes"]).expect(2).blames("2 schemas").says("public.notes, sales.notes");
    shop.restore(&target, &["--table", "sales.ordres"])
        .expect(2)
        .blames("no table sales.ordres")
        .says("did you mean sales.orders?");
    shop.restore(&target, &["--table", "orders_2025"]).expect(4).blames("schema sales").says("CREATE SCHEMA \"sales\"");
    assert_eq!(target.psql("SELECT count(*) FROM pg_class WHERE oid >= 16384"), "0");
    shop.restore(&target, &["--table", "public.notes", "--schema-only"]).expect(0);
    shop.restore(&target, &["--table", "public.notes"]).expect(4).blames("public.notes exists");
}

#[test]
fn a_missing_database_is_created_for_a_table() {
    let shop = Shop::backed_up(15);
    let target = TestDatabase::planned(15, "parts_target");
    shop.restore(&target, &["--table", "public.notes"]).expect(0);
    shop.same(&target, "SELECT count(*) FROM notes");
    let missing = TestDatabase::planned(15, "parts_missing");
    shop.restore(&missing, &["--data-only"]).expect(4).blames("does not exist").hints();
    shop.restore(&missing, &["--table", "sales.notes"]).expect(1).says("was dropped again");
    assert!(!missing.exists());
}

#[test]
fn rows_alone_pass_foreign_keys_and_triggers() {
    let shop = Shop::backed_up(17);
    let target = TestDatabase::planned(17, "parts_target");
    shop.restore(&target, &["--schema-only"]).expect(0);
    // a part of the rows that would break a foreign key is undone
    let told = shop.restore(&target, &["--data-only", "--table", "sales.orders"]).expect(1);
    told.blames("orders_customer_fkey").says("customers").says("nothing was changed");
    assert_eq!(target.psql("SELECT count(*) FROM sales.orders"), "0");
    shop.restore(&target, &["--data-only"]).expect(0);
    shop.same(&target, ORDERS);
    shop.same(&target, "SELECT * FROM sales.notes ORDER BY id");
    shop.same(&target, "SELECT last_value, is_called FROM sales.orders_id_seq");
    shop.restore(&target, &["--data-only"]).expect(4).says("has rows");
    shop.restore(&target, &["--schema-only"]).expect(4).says("exists in");
}

#[test]
fn rows_alone_without_the_right_to_hold_triggers_off_are_refused() {
    let shop = Shop::backed_up(15);
    let role = Role::new(15, "parts_role");
    let target = TestDatabase::planned(15, "parts_target");
    shop.restore(&target, &["--schema-only"]).expect(0);
    target.psql(&format!("GRANT ALL ON ALL TABLES IN SCHEMA public, sales TO {0}; GRANT ALL ON SCHEMA public, sales TO {0}; GRANT ALL ON ALL SEQUENCES IN SCHEMA public, sales TO {0}", role.name));
    let url = target.url().replace("//postgres@", &format!("//{}@", role.name));
    let restore = ["restore", "--file", "shop.sql.gz", "--url", &url, "--confirm", "--data-only"];
    shop.sandbox.run(&restore).expect(4).blames("may not hold off triggers").says("sales.notes").hints();
    assert_eq!(target.psql("SELECT count(*) FROM customers"), "0");
    psql(15, &admin_url(15), &format!("GRANT SET ON PARAMETER session_replication_role TO {}", role.name));
    // the sequences' values are another right, which the role has been given
    shop.sandbox.run(&restore).expect(0);
    shop.same(&target, ORDERS);
    drop(target);
    psql(15, &admin_url(15), &format!("REVOKE SET ON PARAMETER session_replication_role FROM {}", role.name));
}

#[test]
fn an_archive_of_a_part_never_replaces_a_database() {
    let shop = Shop::backed_up(13);
    for (content, lacks) in [("--schema-only", "rows"), ("--data-only", "definitions")] {
        let backup = ["backup", "postgres", "--url", &shop.source.url(), "--output", "part.sql.gz", content, "--force"];
        shop.sandbox.run(&backup).expect(0);
        let target = TestDatabase::new(13, "parts_target");
        target.psql("CREATE TABLE customers (id int); INSERT INTO customers VALUES (7)");
        let restore = ["restore", "--file", "part.sql.gz", "--url", &target.url(), "--confirm"];
        shop.sandbox.run(&restore).expect(4);
        let other = if content == "--schema-only" { "--data-only" } else { "--schema-only" };
        let mut wrong = restore.to_vec();
        wrong.push(other);
        shop.sandbox.run(&wrong).expect(2).blames(lacks);
        assert_eq!(target.psql("SELECT id FROM customers"), "7");
    }
}

#[test]
fn a_part_that_fails_late_leaves_no_trace() {
    let shop = Shop::backed_up(16);
    let target = TestDatabase::new(16, "parts_target");
    // its name is taken by an index that would be made after the rows
    target.psql(
        "CREATE SCHEMA sales; CREATE TABLE sales.taken (a int); CREATE UNIQUE INDEX notes_pkey ON sales.taken (a)",
    );
    let told = shop.restore(&target, &["--table", "sales.notes"]).expect(1).blames("CONSTRAINT sales.notes notes_pkey");
    told.says("nothing was changed");
    assert_eq!(target.psql("SELECT to_regclass('sales.notes'), to_regclass('sales.notes_id_seq')"), "|");
}

/// A role without rights that lasts as long as the test.
pub struct Role {
    pub major: u32,
    pub name: String,
}

impl Role {
    pub fn new(major: u32, stem: &str) -> Self {
        let role = Role { major, name: unique(stem) };
        psql(major, &admin_url(major), &format!("CREATE ROLE {} LOGIN", role.name));
        role
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        drop(crate::util::psql_output(
            self.major,
            &admin_url(self.major),
            &format!("DROP ROLE IF EXISTS {}", self.name),
        ));
    }
}

/// Rows of every other table are wiped out in the file: whatever looked at them would find damage.
#[test]
fn a_table_alone_is_restored_without_a_look_at_the_rows_of_others() {
    let shop = Shop::backed_up(16);
    let file = shop.sandbox.path("shop.sql.gz");
    let mut bytes = std::fs::read(&file).unwrap();
    let (mut kept, mut wiped) = (0, 0);
    {
        let archive = Archive::open(bytes.clone()).unwrap();
        for stream in archive.streams().iter().filter(|stream| stream.spec.kind == StreamKind::Rows) {
            for member in archive.members_of(stream.id) {
                let span = member.offset as usize..(member.offset + member.stored) as usize;
                match stream.spec.name.as_str() {
                    "customers" => kept += 1,
                    _ => {
                        bytes[span].fill(0);
                        wiped += 1;
                    }
                }
            }
        }
    }
    assert!(kept > 0 && wiped > 2, "{kept} {wiped}");
    std::fs::write(&file, bytes).unwrap();
    let target = TestDatabase::new(16, "parts_alone");
    target.psql("CREATE TYPE mood AS ENUM ('calm', 'tense'); CREATE SCHEMA sales");
    shop.restore(&target, &["--table", "customers"]).expect(0);
    shop.same(&target, "SELECT count(*), sum(hashtextextended(c::text, 0)) FROM customers c");
    shop.restore(&target, &["--table", "sales.notes"]).expect(30);
}
