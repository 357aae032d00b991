"""The SQLite file that is measured: an application's tables, the same bytes for the same size on every run.

The shape of the PostgreSQL database that the program was designed for: runs of agents with their prompts and logs, which
have most of the bytes; messages; readings of machines. Keys are uuids, values JSON, sentences, timestamps, floats and small
blobs that do not shrink; five indexes. About 1,180 bytes of file a run. Rows come from a generator with a fixed seed.
"""
import json
import random
import sqlite3
import uuid

BYTES_A_RUN = 1183

WORDS = """compile error agent workflow merge branch review the a of commit database connection timeout retry success failed
issue label deploy test coverage warning unused variable function async await panic thread main stack backtrace note help
consider borrow lifetime trait impl struct enum match result option value type mismatched expected found""".split()
AGENTS = ["coordinator", "codegen", "review", "issue", "pr", "deployment", "refresher"]
STATES = ["success", "failed", "running", "cancelled"]

SCHEMA = """
CREATE TABLE account(id INTEGER PRIMARY KEY, login TEXT NOT NULL UNIQUE, email TEXT, name TEXT, created TEXT NOT NULL);
CREATE TABLE run(id TEXT PRIMARY KEY, account INTEGER NOT NULL REFERENCES account, agent TEXT NOT NULL, state TEXT NOT NULL, issue INTEGER,
  started TEXT, finished TEXT, milliseconds INTEGER, input TEXT NOT NULL, result TEXT NOT NULL, log TEXT NOT NULL, cost REAL);
CREATE TABLE message(id INTEGER PRIMARY KEY, account INTEGER NOT NULL REFERENCES account, direction TEXT NOT NULL, body TEXT NOT NULL,
  sent TEXT NOT NULL, raw BLOB NOT NULL);
CREATE TABLE reading(at INTEGER NOT NULL, host INTEGER NOT NULL, cpu REAL, memory REAL, sent INTEGER, received INTEGER);
"""
INDEXES = """
CREATE INDEX run_account ON run(account);
CREATE INDEX message_account ON message(account, sent);
CREATE INDEX reading_at ON reading(at, host);
ANALYZE;
"""


def write(path, size_bytes):
    """Makes a new database of about this many bytes."""
    numbers = random.Random(20260101)
    runs = max(size_bytes // BYTES_A_RUN, 100)
    accounts = max(runs // 10, 1)
    with sqlite3.connect(path) as db:
        db.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA page_size=4096;" + SCHEMA)
        db.executemany("INSERT INTO account VALUES (?,?,?,?,?)", all_accounts(numbers, accounts))
        db.executemany("INSERT INTO run VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", all_runs(numbers, runs, accounts))
        db.executemany("INSERT INTO message VALUES (?,?,?,?,?,?)", messages(numbers, runs, accounts))
        db.executemany("INSERT INTO reading VALUES (?,?,?,?,?,?)", readings(numbers, 2 * runs))
        db.executescript(INDEXES)
    db.close()


def sentence(numbers, words):
    return " ".join(numbers.choices(WORDS, k=words))


def moment(seconds):
    return f"2025-{1 + seconds // 2419200 % 12:02}-{1 + seconds // 86400 % 28:02} {seconds // 3600 % 24:02}:{seconds // 60 % 60:02}:{seconds % 60:02}+00"


def all_accounts(numbers, count):
    for number in range(1, count + 1):
        login = f"user_{numbers.getrandbits(64):016x}"
        yield number, login, f"{login[5:13]}@example.com", sentence(numbers, 2).title(), moment(37 * number)


def all_runs(numbers, count, accounts):
    for number in range(count):
        prompt = {"prompt": sentence(numbers, 12), "model": f"m-{number % 5}", "temperature": number % 10 / 10,
                  "files": [f"src/{numbers.getrandbits(64):016x}.rs", "Cargo.toml"]}
        result = {"ok": number % 3 == 0, "tokens": number * 31 % 20000, "sha": f"{numbers.getrandbits(128):032x}"}
        yield (str(uuid.UUID(int=numbers.getrandbits(128))), 1 + number * 7919 % accounts, AGENTS[number % 7], STATES[number * 13 % 4],
               number % 5000, moment(11 * number), moment(11 * number + number % 900), number * 7919 % 900000, json.dumps(prompt),
               json.dumps(result), sentence(numbers, 60), number * 7919 % 1000000 / 1000)


def messages(numbers, count, accounts):
    for number in range(1, count + 1):
        yield (number, 1 + number * 104729 % accounts, "IO"[number % 2], sentence(numbers, 10), moment(3 * number), numbers.randbytes(32))


def readings(numbers, count):
    for number in range(count):
        yield (1_735_689_600 + number // 50 * 10, number % 50, numbers.random() * 100, numbers.random() * 64,
               numbers.randrange(10**9), numbers.randrange(10**9))
