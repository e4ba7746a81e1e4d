-- A database of schema version 1, written by the store of that version and dumped: test_store_baselines
-- opens it. sqlite3's .dump leaves the two pragmas out.
PRAGMA application_id = 1685545582;
PRAGMA user_version = 1;
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE job (  number INTEGER PRIMARY KEY,  id TEXT NOT NULL UNIQUE,  state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 4),  uid INTEGER NOT NULL,  idempotency_key TEXT,  name TEXT NOT NULL,  spec TEXT NOT NULL,  reason TEXT NOT NULL DEFAULT '',  created_ns INTEGER NOT NULL,  started_ns INTEGER NOT NULL DEFAULT 0,  finished_ns INTEGER NOT NULL DEFAULT 0,  UNIQUE (uid, idempotency_key)) STRICT;
INSERT INTO job VALUES(1,'first',2,1000,'key','dws3','{"Dk":3}','done',1000,2001,2002);
INSERT INTO job VALUES(2,'second',0,1001,NULL,'dws3','{"Dk":3}','',1000,0,0);
INSERT INTO job VALUES(3,'third',4,1001,NULL,'dws3','{"Dk":3}','cancelled',1000,0,2004);
CREATE TABLE replicate (  job INTEGER NOT NULL REFERENCES job (number),  layer INTEGER NOT NULL,  replicate INTEGER NOT NULL,  record TEXT NOT NULL,  UNIQUE (job, layer, replicate)) STRICT;
INSERT INTO replicate VALUES(1,0,0,'{"samples":[[0,0,0,1,5,5,0]]}');
CREATE TABLE result (  job INTEGER PRIMARY KEY REFERENCES job (number),  document TEXT NOT NULL) STRICT;
INSERT INTO result VALUES(1,'{"schema":"dwbench.result/1"}');
CREATE INDEX job_by_state ON job (state, number);
COMMIT;
