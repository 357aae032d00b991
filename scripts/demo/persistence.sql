-- The demo's SQLite side: what the agents keep locally about their runs, checkpoints and work trees.
-- Deterministic, about 20,000 rows, with a write-ahead log as such a file has while its program runs.
PRAGMA journal_mode = wal;
PRAGMA foreign_keys = on;
BEGIN;
CREATE TABLE execution_runs (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  issue       INTEGER NOT NULL,
  agent       TEXT NOT NULL CHECK (agent IN ('coordinator', 'codegen', 'review', 'deployment')),
  state       TEXT NOT NULL DEFAULT 'queued',
  started_at  TEXT NOT NULL,
  finished_at TEXT,
  cost_usd    REAL,
  summary     TEXT
);
CREATE TABLE checkpoints (
  run    INTEGER NOT NULL REFERENCES execution_runs (id) ON DELETE CASCADE,
  step   INTEGER NOT NULL,
  digest TEXT GENERATED ALWAYS AS (hex(substr(state, 1, 8))) VIRTUAL,
  state  BLOB NOT NULL,
  PRIMARY KEY (run, step)
) WITHOUT ROWID;
CREATE TABLE worktrees (
  path    TEXT PRIMARY KEY,
  branch  TEXT NOT NULL UNIQUE COLLATE NOCASE,
  run     INTEGER REFERENCES execution_runs (id) ON DELETE SET NULL,
  locked  INTEGER NOT NULL DEFAULT 0 CHECK (locked IN (0, 1))
);
CREATE INDEX execution_runs_open ON execution_runs (started_at) WHERE finished_at IS NULL;
CREATE VIEW open_worktrees AS SELECT w.path, r.issue, r.agent FROM worktrees w JOIN execution_runs r ON r.id = w.run WHERE r.finished_at IS NULL;
CREATE TRIGGER worktrees_unlock AFTER UPDATE OF finished_at ON execution_runs WHEN NEW.finished_at IS NOT NULL
BEGIN
  UPDATE worktrees SET locked = 0 WHERE run = NEW.id;
END;

INSERT INTO execution_runs (issue, agent, state, started_at, finished_at, cost_usd, summary)
WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 5000)
SELECT 100 + n % 700, CASE n % 4 WHEN 0 THEN 'coordinator' WHEN 1 THEN 'codegen' WHEN 2 THEN 'review' ELSE 'deployment' END,
       CASE WHEN n % 11 = 0 THEN 'running' ELSE 'done' END, datetime(1767225600 + n * 907, 'unixepoch'),
       CASE WHEN n % 11 <> 0 THEN datetime(1767225600 + n * 907 + n % 600, 'unixepoch') END, n * 7 % 1000 / 250.0,
       CASE n % 3 WHEN 0 THEN 'テスト済み' WHEN 1 THEN 'it''s "done"' END
FROM n;
INSERT INTO checkpoints (run, step, state)
WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < 14999)
SELECT 1 + n / 3, n % 3, CAST(printf('%016x', n * 2654435761) || hex(zeroblob(40 + n % 90)) AS BLOB) FROM n;
INSERT INTO worktrees
WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 400)
SELECT '/srv/worktrees/issue-' || n, 'agent/Issue-' || n, n * 12, n % 11 = 0 FROM n;
COMMIT;
