//! Small tables are locked and looked at many at a time; a refusal still names the one that it is about.

use miyabi_backup::pg::connect::Server;
use miyabi_backup::pg::settings::Purpose;
use miyabi_backup::pg::wire::Conn;

use crate::pg_copy::{Coordinator, chain};
use crate::util::TestDatabase;

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_small_tables_that_changed_is_named() {
    const TABLES: u32 = 300;
    const VICTIM: &str = "t150";
    let make = format!(
        "DO $$ BEGIN FOR n IN 0..{} LOOP EXECUTE format('CREATE TABLE t%s AS SELECT g FROM generate_series(1, %s) g', n, n % 7); \
         END LOOP; END $$",
        TABLES - 1
    );
    let changes = [
        ("", ""),
        ("TRUNCATE @", "truncated or rewritten"),
        ("DROP TABLE @", ""),
        ("ALTER TABLE @ RENAME TO other", ""),
        ("DROP TABLE @; CREATE TABLE @ AS SELECT 1 AS g", "dropped, renamed or replaced"),
        ("LOCK", "could not obtain lock"),
    ];
    for (change, said) in changes {
        let database = TestDatabase::new(17, "copy_many");
        database.psql(&make);
        let coordinator = Coordinator::new(&database.url(), 2).await;
        let mut tasks = Vec::new();
        for n in 0..TABLES {
            tasks.push(coordinator.task(n, &format!("t{n}")).await);
        }
        let server = Server::from_url(&database.url()).unwrap();
        let mut holder = Conn::open(&server, Purpose::Write).await.unwrap();
        if change == "LOCK" {
            let lock = format!("BEGIN; LOCK TABLE public.{VICTIM} IN ACCESS EXCLUSIVE MODE");
            holder.execute(lock.as_bytes()).await.unwrap();
        } else if !change.is_empty() {
            database.psql(&change.replace('@', VICTIM));
        }
        let (copied, streams) = coordinator.run(tasks).await;
        holder.close().await;
        if change.is_empty() {
            assert_eq!(copied.unwrap().rows, (0..u64::from(TABLES)).map(|n| n % 7).sum::<u64>());
            assert!(
                streams.iter().all(|(n, one)| one.ended == Some(Some(u64::from(n % 7)))),
                "a stream has other rows"
            );
            assert_eq!(streams.len(), TABLES as usize);
            continue;
        }
        let (_, text) = chain(copied);
        let named = format!("cannot read rows of public.{VICTIM}: ");
        assert!(text.starts_with(&named) && text.contains(said), "{change}: {text}");
    }
}
