-- What became of each recording: its file, where it has holes, and which key opens it.
CREATE TABLE recordings (
    file      TEXT PRIMARY KEY,
    call_id   TEXT NOT NULL,
    part      INTEGER NOT NULL,
    began_at  INTEGER NOT NULL,
    length_ms INTEGER NOT NULL,
    rate      INTEGER NOT NULL,
    lost_ms   INTEGER NOT NULL,
    holes     TEXT NOT NULL,
    key_id    TEXT,
    ending    TEXT NOT NULL
) STRICT;
CREATE INDEX recordings_by_call ON recordings (call_id, part);
