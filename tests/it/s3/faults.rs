//! A store that fails in every way: each run ends with a sound backup, or fails, leaves no `.meta` of what is not
//! whole, and names what it could not remove.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use miyabi_backup::backup;
use miyabi_backup::cancel::Cancel;
use miyabi_backup::error::{Error, Kind};
use miyabi_backup::job::{BackupJob, Compress, Content, Context, Limits, Place, Source, SqliteSource};
use miyabi_backup::listing::{Listed, Listing, State};
use miyabi_backup::store::s3::{Location, Patience, Settings};
use miyabi_backup::store::{Name, Places, Store};
use miyabi_backup::verify;

use super::proxy::{Action, Proxy, Request};
use super::server::{open, place, settings, url};
use super::store::noise;
use crate::verify::context;

/// A source of decisions that is the same for the same seed.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// From 0 to `sides` - 1.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % sides
    }
}

/// One request in `rarity` is harmed.
fn harm(dice: &mut Dice, rarity: u64, request: &Request) -> Action {
    if dice.roll(rarity) != 0 {
        return Action::Pass;
    }
    match dice.roll(9) {
        0 => Action::Answer(500, "InternalError"),
        1 => Action::Answer(503, "SlowDown"),
        2 => Action::Answer(400, "RequestTimeout"),
        3 => Action::CutRequest(dice.roll(request.body_bytes as u64 + 1) as usize),
        4 => Action::CutAnswer(dice.roll(600) as usize),
        5 if request.is_complete() => Action::ErrorIn200("InternalError"),
        // A key that may not look is no fault.
        6 if matches!(request.method.as_str(), "PUT" | "POST") => Action::Answer(403, "AccessDenied"),
        _ => Action::LoseAnswer,
    }
}

/// The least parts that the server takes, and not much patience.
fn hurried(endpoint: &str) -> Settings {
    Settings {
        endpoint: Some(endpoint.to_owned()),
        memory: 12 << 20,
        patience: Patience {
            total: Duration::from_millis(60),
            pause: Duration::from_millis(1),
            pause_max: Duration::from_millis(4),
            attempt: Duration::from_secs(5),
        },
        ..settings()
    }
}

fn context_of(settings: Settings) -> Context {
    let cancel = Cancel::new();
    Context { places: Places::new(settings, &cancel), cancel, ..context() }
}

fn job(source: &Path, location: &Location, state_dir: &Path) -> BackupJob {
    BackupJob {
        sources: vec![Source::Sqlite(SqliteSource {
            label: "shop".to_owned(),
            path: source.to_owned(),
            limits: Limits { yield_limit: Duration::from_secs(1), busy_limit: Duration::from_secs(1) },
        })],
        place: Place::Tree { root: PathBuf::from(location.to_string()) },
        copies: Vec::new(),
        retain: None,
        recipients: None,
        signer: None,
        compress: Compress::Stored,
        jobs: 1,
        limit_rate: None,
        threads: 1,
        content: Content::All,
        state_dir: state_dir.to_owned(),
        staging: None,
        lock_timeout: Duration::from_secs(1),
    }
}

/// A file whose archive has about so many bytes.
fn source(folder: &Path, bytes: u64) -> PathBuf {
    let path = folder.join(format!("{bytes}.db"));
    let database = rusqlite::Connection::open(&path).unwrap();
    database.execute_batch("CREATE TABLE t (a BLOB)").unwrap();
    for row in 0..bytes.div_ceil(50_000) {
        database.execute("INSERT INTO t VALUES (?1)", [noise(50_000, row)]).unwrap();
    }
    path
}

/// All that an error says to the user.
fn told(error: &Error) -> String {
    format!("{} {}", error.chain(), error.notes().join(" "))
}

#[test]
fn two_hundred_runs_over_a_failing_store() {
    let folder = tempfile::tempdir().unwrap();
    // One is put in one request, one goes up in two parts.
    let sources = [source(folder.path(), 100_000), source(folder.path(), 5_500_000)];
    let next = AtomicU64::new(0);
    let run_some = || {
        let mut good = 0;
        loop {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if seed >= RUNS {
                return good;
            }
            let source = &sources[usize::from(seed.is_multiple_of(4))];
            good += u64::from(one_run(seed, source, &folder.path().join(format!("state{seed}"))));
        }
    };
    let good: u64 = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(run_some)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    // Neither a store that always works nor one that never does would prove anything.
    assert!((40..=RUNS - 40).contains(&good), "{good} good runs of {RUNS}");
}

const RUNS: u64 = 200;

/// Whether the run succeeded. What it promised is asserted.
fn one_run(seed: u64, source: &Path, state_dir: &Path) -> bool {
    let location = place("faults");
    let mut dice = Dice::new(seed);
    let rarity = 3 + dice.roll(16);
    let proxy = Proxy::start(&url(), move |request| harm(&mut dice, rarity, request));
    let context = context_of(hurried(&proxy.url));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let outcome = runtime.block_on(backup::run(&job(source, &location, state_dir), &context));
    let errors: Vec<Error> = match outcome {
        Err(error) => vec![error],
        Ok(outcome) => outcome.sources.into_iter().filter_map(|source| source.result.err()).collect(),
    };
    let log = || format!("seed {seed}\n{errors:#?}\n{}", proxy.log().join("\n"));
    let told: String = errors.iter().map(told).collect();

    // What is there is seen past the proxy.
    let direct = open(&location, settings());
    let rows = judged(&direct, &location);
    for (row, verdict) in &rows {
        match row.state {
            State::Complete => assert!(verdict.is_ok(), "{} has a .meta: {verdict:?}\n{}", row.path, log()),
            _ => assert!(told.contains(&row.path), "{} is left and not named\n{}", row.path, log()),
        }
    }
    if errors.is_empty() {
        assert_eq!(rows.len(), 3, "not every tier is there\n{}", log());
    }
    // One sweep after it leaves no upload, and what has no .meta can be removed.
    let later = open(&location, Settings { stale_after: Duration::ZERO, ..settings() });
    later.sweep(&|_| true).unwrap();
    assert!(later.sweep(&|_| true).unwrap().is_empty(), "an upload outlives the sweep\n{}", log());
    for (row, _) in rows.iter().filter(|(row, _)| row.state != State::Complete) {
        later.delete(&Name::new(row.path.as_str()).unwrap()).unwrap();
    }
    errors.is_empty()
}

/// Every archive that is there, and whether it is sound.
fn judged(store: &Arc<dyn Store>, location: &Location) -> Vec<(Listed, Result<(), Error>)> {
    let context = context_of(settings());
    let listing = match Listing::of(store.as_ref(), context.clock.zone()) {
        Ok(listing) => listing,
        Err(error) => panic!("{location} cannot be listed: {error:?}"),
    };
    let rows = listing.rows.into_iter().map(|row| {
        let verdict = verify::judge(store.as_ref(), &row, &context);
        (row, verdict)
    });
    rows.collect()
}

/// The first request of each kind, in every way in which an answer can be lost.
#[test]
fn a_lost_answer_to_a_completion_is_settled_by_looking() {
    let location = place("lost");
    let mut lost = 0;
    let proxy = Proxy::start(&url(), move |request| {
        let is_first = request.is_complete() && lost == 0;
        lost += u32::from(is_first);
        if is_first { Action::LoseAnswer } else { Action::Pass }
    });
    let store = open(&location, Settings { memory: 16 << 20, endpoint: Some(proxy.url.clone()), ..settings() });
    let bytes = noise(11 << 20, 1);
    let mut upload = store.begin(&Name::new("x").unwrap()).unwrap();
    std::io::Write::write_all(&mut upload, &bytes).unwrap();
    assert_eq!(upload.publish(&mut |_| Ok(())).unwrap().size, bytes.len() as u64);
    assert!(proxy.log().iter().any(|line| line.contains("LoseAnswer")), "{:#?}", proxy.log());
}

#[test]
fn a_broken_read_goes_on_where_it_stopped() {
    let location = place("broken_read");
    let bytes = noise(3 << 20, 2);
    open(&location, settings()).put_new(&Name::new("x").unwrap(), &bytes).unwrap();
    // Every answer ends after half a megabyte.
    let proxy = Proxy::start(&url(), |request| match request.method.as_str() {
        "GET" => Action::CutAnswer(500_000),
        _ => Action::Pass,
    });
    let store = open(&location, Settings { endpoint: Some(proxy.url.clone()), ..settings() });
    let stored = store.open(&Name::new("x").unwrap()).unwrap();
    let mut read = vec![0; bytes.len()];
    stored.read_at(0, &mut read).unwrap();
    assert!(read == bytes);
    let fetched = proxy.answered_bytes();
    assert!(fetched < 2 * bytes.len() as u64, "{fetched} bytes were fetched for {}", bytes.len());
}

#[test]
fn a_store_that_asks_to_slow_down_is_obeyed_and_then_told_of() {
    let proxy = Proxy::start(&url(), |_| Action::Answer(503, "SlowDown"));
    let store = open(&place("slow"), hurried(&proxy.url));
    let error = store.put_new(&Name::new("x").unwrap(), b"1").unwrap_err();
    assert_eq!(error.kind(), Kind::Place);
    assert!(error.chain().contains("slow down") && error.hint_text().unwrap().contains("fewer"), "{error:?}");
    assert!(proxy.requests() > 1, "it was asked once only");
}

#[test]
fn reasons_that_only_a_real_store_gives_have_their_words() {
    for (status, code, words, hint) in [
        (403, "RequestTimeTooSkewed", "clock", "set this machine's clock"),
        (400, "ExpiredToken", "expired", "log in again"),
        (301, "PermanentRedirect", "another region", "--s3-region"),
        (404, "NoSuchBucket", "no such bucket", "make the bucket"),
    ] {
        let proxy = Proxy::start(&url(), move |_| Action::Answer(status, code));
        let store = open(&place("reasons"), hurried(&proxy.url));
        let error = store.list("").unwrap_err();
        assert!(error.chain().contains(words), "{code}: {}", error.chain());
        assert!(error.hint_text().unwrap_or_default().contains(hint), "{code}: {error:?}");
        assert_eq!(proxy.requests(), 1, "{code} was tried again");
    }
}

/// A store that does not know parts that are copies of others: the bytes go through here.
#[test]
fn a_store_that_cannot_copy_is_sent_the_bytes() {
    for (status, code) in [(501, "NotImplemented"), (405, "MethodNotAllowed")] {
        let proxy = Proxy::start(&url(), move |request| {
            let copies = request.method == "PUT" && request.target.contains("partNumber=") && request.body_bytes == 0;
            if copies { Action::Answer(status, code) } else { Action::Pass }
        });
        let store =
            open(&place("cannot_copy"), Settings { endpoint: Some(proxy.url.clone()), memory: 16 << 20, ..settings() });
        let name = |text: &str| Name::new(text).unwrap();
        let bytes = noise(17 << 20, 4);
        let mut upload = store.begin(&name("daily/x")).unwrap();
        std::io::Write::write_all(&mut upload, &bytes).unwrap();
        upload.publish(&mut |_| Ok(())).unwrap();
        store.link(&name("daily/x"), &name("weekly/x")).unwrap();
        assert!(proxy.log().iter().any(|line| line.contains(code)), "no copy was asked for");
        let stored = store.open(&name("weekly/x")).unwrap();
        let mut found = vec![0; stored.len() as usize];
        stored.read_at(0, &mut found).unwrap();
        assert!(found == bytes, "the copy differs");
        assert_eq!(store.link(&name("daily/x"), &name("weekly/x")).unwrap_err().kind(), Kind::Refused);
        let swept =
            open(&place("cannot_copy"), Settings { stale_after: Duration::ZERO, ..settings() }).sweep(&|_| true);
        assert!(swept.unwrap().is_empty());
    }
}
