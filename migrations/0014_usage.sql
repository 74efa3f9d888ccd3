-- What a trunk or an endpoint has used of a day's minutes and money.
CREATE TABLE usage (
    kind   TEXT NOT NULL,
    name   TEXT NOT NULL,
    day    TEXT NOT NULL,
    ms     INTEGER NOT NULL,
    spent  INTEGER NOT NULL,
    calls  INTEGER NOT NULL,
    PRIMARY KEY (kind, name, day)
) STRICT;
