//! Random damage to an archive: every sound member is kept, every lost row is counted, and the result verifies.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use miyabi_backup::archive::testkit::{Sample, rows_block};
use miyabi_backup::archive::{Archive, MemberEntry, StreamKind};
use miyabi_backup::error::Kind;
use miyabi_backup::ident::StreamId;
use miyabi_backup::listing::{self, select};
use miyabi_backup::manifest::meta::Content;
use miyabi_backup::manifest::{BackupType, Meta};
use miyabi_backup::salvage::{self, Options, SalvageOutcome};
use miyabi_backup::verify::outcome::Verdict;

use crate::program::Sandbox;
use crate::util::TestDatabase;
use crate::verify::{Tree, archive_of, context, database, gzip, meta_of, run};

/// 120 members of two tables, of different sizes, that interleave.
fn archive() -> Vec<u8> {
    let mut sample = Sample::small();
    let tables = ["\"public\".\"orders\" (\"id\", \"name\")", "\"public\".\"notes\" (\"text\")"];
    for number in 0..120usize {
        let rows: Vec<String> = (0..number % 17 + 1).map(|row| format!("{number}\tname {}", row * number)).collect();
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        let stream = StreamId(1 + (number % 2) as u32);
        sample.blocks.push(rows_block(stream, tables[number % 2], &rows));
    }
    sample.archive()
}

struct Damaged {
    tree: Tree,
    from: PathBuf,
    to: PathBuf,
}

impl Damaged {
    fn new(bytes: &[u8], meta: Option<&Meta>) -> Self {
        let tree = Tree::new();
        let from = tree.put("in/postgres-shop-20251129-030000.sql.gz", bytes);
        if let Some(meta) = meta {
            tree.put("in/postgres-shop-20251129-030000.sql.gz.meta", &meta.to_json());
        }
        fs::create_dir(tree.path().join("out")).unwrap();
        let to = tree.path().join("out/rescued.sql.gz");
        Damaged { tree, from, to }
    }

    fn salvage(&self) -> SalvageOutcome {
        salvage::run(&self.from, &self.to, Options::default(), &context()).unwrap()
    }

    fn new_meta(&self) -> Meta {
        let mut path = self.to.clone().into_os_string();
        path.push(".meta");
        Meta::parse(&fs::read(path).unwrap()).unwrap()
    }
}

fn contents(bytes: &[u8]) -> Vec<Vec<u8>> {
    let archive = Archive::open(bytes).unwrap();
    let read = |member| {
        let mut raw = Vec::new();
        archive.read_member(&member, &mut raw).unwrap();
        raw
    };
    archive.members().map(read).collect()
}

#[test]
fn random_damages_cost_what_they_hit_and_nothing_else() {
    let good = archive();
    let opened = Archive::open(good.as_slice()).unwrap();
    let members: Vec<MemberEntry> = opened.members().collect();
    let written: Vec<Vec<u8>> = contents(&good);
    let total: u64 = opened.streams().iter().map(|stream| stream.rows).sum();
    let mut state = 2025u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut hit_something = 0;
    for round in 0..20 {
        let at = random(good.len() as u64 - 1000);
        let len = 1 + random(900);
        let mut bytes = good.clone();
        bytes[at as usize..(at + len) as usize].iter_mut().for_each(|byte| *byte = !*byte);
        let is_hit = |member: &MemberEntry| member.offset < at + len && at < member.offset + member.stored;
        let (lost, kept): (Vec<_>, Vec<_>) = members.iter().zip(&written).partition(|(member, _)| is_hit(member));

        let damaged = Damaged::new(&bytes, Some(&meta_of(&good)));
        let outcome = damaged.salvage();
        let found: BTreeSet<Vec<u8>> = contents(&fs::read(&damaged.to).unwrap()).into_iter().collect();
        let expected: BTreeSet<Vec<u8>> = kept.iter().map(|(_, raw)| raw.to_vec()).collect();
        assert_eq!(found, expected, "round {round}: {outcome:?}");
        let rows_kept: u64 = outcome.streams.iter().map(|stream| stream.rows_kept).sum();
        let rows_lost: u64 = lost.iter().map(|(member, _)| member.rows).sum();
        assert_eq!(rows_kept, total - rows_lost, "round {round}");
        match outcome.index_lost {
            true => assert!(outcome.rows_lost() <= rows_lost, "round {round}: a lower bound is too high"),
            false => assert_eq!(outcome.rows_lost(), rows_lost, "round {round}"),
        }
        assert!(!outcome.findings.is_empty(), "round {round}: no damage was found");
        assert_eq!(outcome.exit_code(), if lost.is_empty() && !outcome.index_lost { 0 } else { 3 }, "round {round}");
        hit_something += usize::from(!lost.is_empty());

        let verified = run(&[&damaged.tree.path().join("out")]);
        assert_eq!((verified.exit_code(), verified.files.len()), (0, 1), "round {round}: {verified:?}");
        assert_eq!(verified.files[0].rows, rows_kept);
        let meta = damaged.new_meta();
        let details = meta.details.as_ref().unwrap();
        assert_eq!((meta.backup_type, details.label.as_str()), (BackupType::Manual, "shop"));
        assert_eq!((&details.warnings, details.content == Content::All), (&outcome.warnings, outcome.complete));
        assert!(outcome.complete || outcome.warnings.len() > 1, "round {round}: a loss without a word");
        assert_eq!(fs::read(&damaged.from).unwrap(), bytes, "the damaged archive was changed");
    }
    assert!(hit_something >= 15, "only {hit_something} damages hit a member");
}

#[test]
fn the_loss_is_named_per_stream() {
    let good = archive();
    let opened = Archive::open(good.as_slice()).unwrap();
    let victim = opened.members_of(StreamId(2)).nth(30).unwrap();
    let mut bytes = good.clone();
    bytes[(victim.offset + victim.stored - 10) as usize] ^= 8;
    let damaged = Damaged::new(&bytes, None);
    let outcome = damaged.salvage();
    let lost = |name: &str| outcome.streams.iter().find(|stream| stream.name == name).unwrap().rows_lost;
    assert_eq!((lost("orders"), lost("notes")), (0, victim.rows));
    let sentence = format!("{} rows in 1 members of public.notes were lost", victim.rows);
    assert!(outcome.warnings.contains(&sentence), "{:?}", outcome.warnings);
    // Without the old .meta, the archive's own header tells whose backup it was.
    let meta = damaged.new_meta();
    assert_eq!((meta.database.as_str(), meta.label()), ("shop", "shop"));
    assert_eq!(meta.timestamp.instant(), opened.header().created);
}

#[test]
fn a_salvaged_part_is_never_the_latest_backup() {
    let good = archive();
    let mut bytes = good.clone();
    bytes[good.len() / 2] ^= 1;
    let damaged = Damaged::new(&bytes, Some(&meta_of(&good)));
    damaged.salvage();
    let (_, listing) = listing::at_path(&damaged.to, &context().places, context().clock.zone()).unwrap();
    let error = select::select(&listing, &select::Wanted::default(), &mut |_| Ok(())).unwrap_err();
    assert_eq!(error.kind(), Kind::Nothing);
}

#[test]
fn a_lost_footer_costs_nothing_and_header_and_index_are_named() {
    let good = archive();
    let index_at = Archive::open(good.as_slice()).unwrap().index_at() as usize;
    let outcome = Damaged::new(&good[..good.len() - 5], Some(&meta_of(&good))).salvage();
    assert_eq!((outcome.exit_code(), outcome.rows_lost()), (0, 0), "{outcome:?}");
    assert_eq!(outcome.warnings.len(), 1);

    let damaged = Damaged::new(&good[100..index_at], None);
    let outcome = damaged.salvage();
    assert!(outcome.header_lost && outcome.index_lost && outcome.exit_code() == 3, "{outcome:?}");
    assert_eq!(run(&[&damaged.to]).files[0].verdict, Verdict::Sound);
    assert!(!damaged.new_meta().label().is_empty());
}

#[test]
fn nothing_that_is_needed_is_overwritten() {
    let good = archive();
    let damaged = Damaged::new(&good[..good.len() - 5], None);
    let salvage = |to: &Path, force| {
        let options = Options { force, ..Options::default() };
        salvage::run(&damaged.from, to, options, &context()).map_err(|error| error.kind())
    };
    assert_eq!(salvage(&damaged.from, true).unwrap_err(), Kind::Refused);
    let link = damaged.tree.path().join("link.sql.gz");
    std::os::unix::fs::symlink(&damaged.from, &link).unwrap();
    assert_eq!(salvage(&link, true).unwrap_err(), Kind::Refused);
    fs::write(&damaged.to, "precious").unwrap();
    assert_eq!(salvage(&damaged.to, false).unwrap_err(), Kind::Refused);
    assert_eq!(fs::read(&damaged.to).unwrap(), b"precious");
    salvage(&damaged.to, true).unwrap();
    assert_eq!(run(&[&damaged.to]).exit_code(), 0);
    assert_eq!(fs::read(&damaged.from).unwrap(), &good[..good.len() - 5]);
}

#[test]
fn what_cannot_be_salvaged_leaves_nothing_behind() {
    let torn = {
        let good = archive_of(&database(1024));
        let second = Archive::open(good.as_slice()).unwrap().members().nth(1).unwrap();
        let mut bytes = good;
        bytes[(second.offset + second.stored - 12) as usize] ^= 1;
        bytes
    };
    let cases: [(Vec<u8>, Kind); 4] = [
        (torn, Kind::Refused),
        (gzip(b"SELECT 1;\n"), Kind::Unsupported),
        (archive()[..120].to_vec(), Kind::Damaged),
        (Vec::new(), Kind::Damaged),
    ];
    for (bytes, kind) in cases {
        let damaged = Damaged::new(&bytes, None);
        let error = salvage::run(&damaged.from, &damaged.to, Options::default(), &context()).unwrap_err();
        assert_eq!(error.kind(), kind, "{error:?}");
        assert_eq!(fs::read_dir(damaged.tree.path().join("out")).unwrap().count(), 0, "{kind:?}");
    }
}

/// Of a real server's database: 20 damages to its rows, each verified, every fifth restored and counted.
#[test]
fn a_damaged_backup_of_a_server_is_salvaged_and_restored() {
    let source = TestDatabase::new(18, "salvage_source");
    source.psql(
        "CREATE TABLE readings (id bigint PRIMARY KEY, noise text);
         INSERT INTO readings SELECT n, md5(n::text) || md5((n * 7)::text) FROM generate_series(1, 120000) n;
         CREATE TABLE places (id int PRIMARY KEY, name text);
         INSERT INTO places SELECT n, 'place ' || n FROM generate_series(1, 500) n;
         CREATE VIEW busy AS SELECT count(*) FROM readings;",
    );
    let sandbox = Sandbox::new();
    sandbox.run(&["backup", "postgres", "--url", &source.url()]).expect(0);
    let good = fs::read(sandbox.daily(&source.name)).unwrap();
    let opened = Archive::open(good.as_slice()).unwrap();
    let is_row = |member: &MemberEntry| opened.stream(member.stream).unwrap().spec.kind == StreamKind::Rows;
    let victims: Vec<MemberEntry> = opened.members().filter(is_row).collect();
    assert!(victims.len() > 5, "too few members to choose from: {}", victims.len());
    for round in 0..20usize {
        let victim = victims[round * 7 % victims.len()];
        let mut bytes = good.clone();
        let at = victim.offset + 90 + (round as u64 * 7919) % (victim.stored - 110);
        bytes[at as usize] ^= 1 << (round % 8);
        let damaged = Damaged::new(&bytes, None);
        let outcome = damaged.salvage();
        assert_eq!((outcome.exit_code(), outcome.rows_lost()), (3, victim.rows), "round {round}: {outcome:?}");
        assert_eq!(run(&[&damaged.to]).exit_code(), 0, "round {round}");
        if round % 5 > 0 {
            continue;
        }
        let target = TestDatabase::planned(18, "salvage_target");
        let file = damaged.to.to_str().unwrap();
        sandbox.run(&["restore", "--file", file, "--url", &target.url(), "--confirm"]).expect(0);
        let rows = target.psql("SELECT (SELECT count(*) FROM readings) + (SELECT count(*) FROM places)");
        assert_eq!(rows, (120_500 - victim.rows).to_string(), "round {round}");
    }
}

#[test]
fn a_lost_parent_row_costs_the_foreign_key_and_not_the_restore() {
    let sandbox = Sandbox::new();
    let source = TestDatabase::new(15, "salvage_fk");
    source.psql(
        "CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id int REFERENCES parent);
         INSERT INTO parent SELECT generate_series(1, 500); INSERT INTO child SELECT generate_series(1, 300)",
    );
    let (damaged, rescued) = (sandbox.path("damaged.sql.gz"), sandbox.path("rescued.sql.gz"));
    let damaged_name = damaged.to_str().unwrap();
    sandbox.run(&["backup", "postgres", "--url", &source.url(), "--output", damaged_name]).expect(0);
    let mut bytes = fs::read(&damaged).unwrap();
    let archive = Archive::open(bytes.clone()).unwrap();
    let parent = archive.streams().iter().find(|stream| stream.spec.name == "parent").unwrap().id;
    let member = archive.members_of(parent).next().unwrap();
    bytes[usize::try_from(member.offset + member.stored / 2).unwrap()] ^= 1;
    fs::write(&damaged, bytes).unwrap();

    sandbox.run(&["salvage", damaged_name, "--output", rescued.to_str().unwrap()]).expect(3);
    for through_pipe in [false, true] {
        let target = TestDatabase::planned(15, "salvage_fk_target");
        let file = if through_pipe { "-" } else { rescued.to_str().unwrap() };
        let mut command = sandbox.command(&["restore", "--file", file, "--url", &target.url(), "--confirm"]);
        if through_pipe {
            command.stdin(fs::File::open(&rescued).unwrap());
        }
        let outcome = sandbox.finish(command);
        outcome.expect(3).says("child_id_fkey");
        let counts = "SELECT (SELECT count(*) FROM parent), (SELECT count(*) FROM child)";
        assert_eq!(target.psql(counts), "0|300");
    }
}
