-- Times are milliseconds since 1970-01-01 UTC.

CREATE TABLE cdrs (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    call_id      TEXT NOT NULL,
    direction    TEXT NOT NULL,
    caller       TEXT NOT NULL,
    called       TEXT NOT NULL,
    trunk        TEXT,
    started_at   INTEGER NOT NULL,
    answered_at  INTEGER,
    bridged_at   INTEGER,
    ended_at     INTEGER NOT NULL,
    bill_ms      INTEGER NOT NULL,
    hangup_cause TEXT NOT NULL,
    sip_status   INTEGER,
    q850         INTEGER NOT NULL,
    queue        TEXT,
    agent        TEXT,
    wait_ms      INTEGER NOT NULL,
    recording    TEXT
) STRICT;

-- A record that is written again after a failed commit is the same record.
CREATE UNIQUE INDEX cdrs_once ON cdrs (call_id, started_at);
CREATE INDEX cdrs_by_queue ON cdrs (queue, id);
CREATE INDEX cdrs_by_agent ON cdrs (agent, id);

CREATE TABLE endpoints (
    name           TEXT PRIMARY KEY,
    realm          TEXT NOT NULL,
    ha1_md5        TEXT NOT NULL,
    ha1_sha256     TEXT NOT NULL,
    ha1_sha512_256 TEXT NOT NULL,
    caller_id      TEXT,
    created_at     INTEGER NOT NULL
) STRICT;

CREATE TABLE registrations (
    endpoint   TEXT NOT NULL,
    contact    TEXT NOT NULL,
    transport  TEXT NOT NULL,
    listener   INTEGER NOT NULL,
    remote     TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (endpoint, contact)
) STRICT;

-- What each agent last wanted, so that a restart does not ring the absent.
CREATE TABLE agents (
    name  TEXT PRIMARY KEY,
    away  INTEGER NOT NULL,
    since INTEGER NOT NULL
) STRICT;

CREATE TABLE api_keys (
    name       TEXT PRIMARY KEY,
    sha256     BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
