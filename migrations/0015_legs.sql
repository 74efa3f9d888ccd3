-- How the media of each leg fared: a JSON list, one object a leg; see docs/quality.md.
ALTER TABLE cdrs ADD COLUMN legs TEXT NOT NULL DEFAULT '[]';
