-- Who handed a call on to whom: a JSON list of {"at", "by", "to", "how"}, times as everywhere.
ALTER TABLE cdrs ADD COLUMN transfers TEXT NOT NULL DEFAULT '[]';
