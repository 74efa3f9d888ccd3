-- Telephony credentials made by the API. No password: it is made from the installation's secret and the id.
CREATE TABLE credentials (
    id            TEXT PRIMARY KEY,
    name          TEXT NOT NULL,
    tag           TEXT,
    connection_id TEXT NOT NULL,
    sip_username  TEXT NOT NULL UNIQUE,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    expires_at    INTEGER
) STRICT;
CREATE INDEX credentials_by_time ON credentials (created_at, id);
