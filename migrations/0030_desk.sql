-- What an agent wants, and for a break why, in place of whether he is away.
CREATE TABLE wishes (
    name   TEXT PRIMARY KEY,
    wish   TEXT NOT NULL,
    reason TEXT,
    since  INTEGER NOT NULL
) STRICT;
INSERT INTO wishes (name, wish, since)
    SELECT name, CASE away WHEN 1 THEN 'away' ELSE 'available' END, since FROM agents;
DROP TABLE agents;
ALTER TABLE wishes RENAME TO agents;

-- What agents write of calls, beside the calls' records.
CREATE TABLE notes (
    call_id     TEXT NOT NULL,
    agent       TEXT NOT NULL,
    note        TEXT,
    disposition TEXT,
    at          INTEGER NOT NULL,
    PRIMARY KEY (call_id, agent)
) STRICT;
