"""The other process: whatever an application does to a SQLite file while we back it up or restore into it.

usage: writer.py <database> <busy timeout in seconds> <role>
Says one line of JSON for each thing done; `go on` is a line on stdin, the end of stdin means stop.
"""
import json
import select
import sqlite3
import sys
import time


def say(**what):
    print(json.dumps(what), flush=True)


def told_to_stop():
    return bool(select.select([sys.stdin], [], [], 0)[0])


def transfer(db):
    """Moves amounts between two tables, one transaction each, about every 2 ms: the sum over both never changes."""
    commits, longest, refused = 0, 0.0, 0
    while not told_to_stop():
        since = time.monotonic()
        try:
            db.execute("BEGIN IMMEDIATE")
            db.execute("UPDATE a SET v = v - ? WHERE id = ?", (commits % 7, commits % 100))
            db.execute("UPDATE b SET v = v + ? WHERE id = ?", (commits % 7, commits % 100))
            db.execute("UPDATE ballast SET x = randomblob(1000) WHERE id = ?", (commits * 37 % 20000,))
            db.execute("COMMIT")
            commits += 1
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            refused += 1
            if db.in_transaction:
                db.execute("ROLLBACK")
        longest = max(longest, time.monotonic() - since)
        if commits == 20:
            say(ready=True)
        time.sleep(0.002)
    say(commits=commits, longest=longest, refused=refused)


def count_up(db):
    """Commits 1, 2, 3, … and says how far it came."""
    n = 0
    while not told_to_stop():
        db.execute("INSERT INTO log VALUES (?)", (n + 1,))
        n += 1
        if n == 20:
            say(ready=True)
        time.sleep(0.001)
    say(commits=n)


def idle(db):
    """Has read once, then does nothing until it is told to read and write."""
    say(rows=db.execute("SELECT count(*) FROM ballast").fetchone()[0])
    for _ in sys.stdin:
        rows = db.execute("SELECT count(*) FROM ballast").fetchone()[0]
        db.execute("INSERT INTO log VALUES (4711)")
        say(rows=rows)


def hold(db, begin, statement):
    db.execute(begin)
    db.execute(statement).fetchall()
    say(ready=True)
    sys.stdin.read()


def main():
    path, timeout, role = sys.argv[1], float(sys.argv[2]), sys.argv[3]
    db = sqlite3.connect(path, timeout=timeout, isolation_level=None)
    db.execute("PRAGMA synchronous = OFF")
    if role == "transfer":
        transfer(db)
    elif role == "count_up":
        count_up(db)
    elif role == "idle":
        idle(db)
    elif role == "hold_write":
        hold(db, "BEGIN", "UPDATE a SET v = v + 1")
    elif role == "hold_read":
        hold(db, "BEGIN", "SELECT * FROM a")
    elif role == "hold_all":
        hold(db, "BEGIN EXCLUSIVE", "SELECT * FROM a")


main()
