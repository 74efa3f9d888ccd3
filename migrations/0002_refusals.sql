-- Why a call failed: a stable id, and the sentence that the log had.
ALTER TABLE cdrs ADD COLUMN refusal_id TEXT;
ALTER TABLE cdrs ADD COLUMN refusal TEXT;
