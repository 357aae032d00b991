"""The SQLite file that is measured: an application's tables, the same bytes for the same size on every run.

Keys, names, timestamps, floats, JSON, sentences and small blobs that do not shrink; four indexes, one of them unique and
random. About 640 bytes of file a message. Rows are made by a generator with a fixed seed, so memory stays small.
"""
import json
import random
import sqlite3

BYTES_A_MESSAGE = 640

WORDS = """garden tea autumn paper lantern kyoto bamboo river silk copper plum stone maple window rain order shipped pending
customer invoice paid refund address delivery payment express late again please thanks reply forward meeting monday note
error warning retry timeout connection deploy branch merge review commit release issue label green red stable café""".split()

SCHEMA = """
CREATE TABLE account(id INTEGER PRIMARY KEY, email TEXT NOT NULL UNIQUE, name TEXT NOT NULL, joined TEXT NOT NULL, settings TEXT);
CREATE TABLE message(id INTEGER PRIMARY KEY, account INTEGER NOT NULL REFERENCES account, key TEXT NOT NULL, sent TEXT NOT NULL,
  subject TEXT, body TEXT NOT NULL, data TEXT NOT NULL, signature BLOB NOT NULL);
CREATE TABLE reading(at INTEGER NOT NULL, host INTEGER NOT NULL, cpu REAL, memory REAL, sent INTEGER, received INTEGER);
"""
INDEXES = """
CREATE INDEX message_account ON message(account, sent);
CREATE UNIQUE INDEX message_key ON message(key);
CREATE INDEX reading_at ON reading(at, host);
ANALYZE;
"""


def write(path, size_bytes):
    """Makes a new database of about this many bytes."""
    numbers = random.Random(20260101)
    messages = max(size_bytes // BYTES_A_MESSAGE, 100)
    with sqlite3.connect(path) as db:
        db.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA page_size=4096;" + SCHEMA)
        db.executemany("INSERT INTO account VALUES (?,?,?,?,?)", accounts(numbers, messages // 20))
        db.executemany("INSERT INTO message VALUES (?,?,?,?,?,?,?,?)", all_messages(numbers, messages))
        db.executemany("INSERT INTO reading VALUES (?,?,?,?,?,?)", readings(numbers, messages))
        db.executescript(INDEXES)
    db.close()


def sentence(numbers, words):
    return " ".join(numbers.choices(WORDS, k=words))


def moment(numbers, number):
    return f"2025-{1 + number % 12:02}-{1 + number % 28:02} {numbers.randrange(24):02}:{number % 60:02}:{numbers.random() * 60:09.6f}"


def accounts(numbers, count):
    for number in range(1, count + 1):
        name = sentence(numbers, 2).title()
        settings = json.dumps({"language": numbers.choice(["ja", "en", "de"]), "newsletter": numbers.random() < 0.5})
        yield number, f"{name.replace(' ', '.').lower()}.{number}@example.org", name, moment(numbers, number), settings


def all_messages(numbers, count):
    accounts = max(count // 20, 1)
    for number in range(1, count + 1):
        data = json.dumps({
            "agent": f"Browser/{numbers.randrange(40)}", "tags": numbers.choices(WORDS, k=3),
            "milliseconds": round(numbers.random() * 900, 3), "thread": f"{numbers.getrandbits(64):016x}",
        })
        yield (number, 1 + numbers.randrange(accounts), f"{numbers.getrandbits(128):032x}", moment(numbers, number),
               sentence(numbers, 4) if number % 3 else None, sentence(numbers, numbers.randrange(5, 60)), data, numbers.randbytes(32))


def readings(numbers, count):
    for number in range(count):
        yield (1_735_689_600 + number // 50 * 10, number % 50, numbers.random() * 100, numbers.gauss(48, 9),
               numbers.randrange(10**9), numbers.randrange(10**9))
