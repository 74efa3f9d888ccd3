//! What became of recordings: a row each, beside the record of its call.

use sqlx::{Sqlite, Transaction};

use super::{Store, StoreError};

/// One recording.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct RecordingRow {
    /// Its file below the recordings folder.
    pub file: String,
    /// The call.
    pub call_id: String,
    /// Which of the call's, from 1.
    pub part: i64,
    /// When it began, in milliseconds since 1970 UTC.
    pub began_at: i64,
    /// How long it plays, in milliseconds.
    pub length_ms: i64,
    /// Samples per second.
    pub rate: i64,
    /// How much of it was lost against anybody's will, in milliseconds.
    pub lost_ms: i64,
    /// Where it holds silence instead of what was said: a JSON list of [`HoleRow`]s.
    pub holes: String,
    /// The name of the key that opens it, if it is encrypted.
    pub key_id: Option<String>,
    /// `complete`, `too-long`, `stopped`, `crashed`, `disk-full` or `failed`.
    pub ending: String,
}

/// A stretch of silence in a recording.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct HoleRow {
    /// From there, in milliseconds from the recording's beginning.
    pub at: i64,
    /// For so many milliseconds.
    pub lasts: i64,
    /// `paused`, `lost` or `disk-full`.
    pub why: String,
}

impl RecordingRow {
    /// Its holes, in order.
    pub fn holes(&self) -> Vec<HoleRow> {
        serde_json::from_str(&self.holes).unwrap_or_default()
    }

    /// Holes as they are stored.
    pub fn holes_text(holes: &[HoleRow]) -> String {
        serde_json::to_string(holes).unwrap_or_else(|_| "[]".to_owned())
    }
}

impl Store {
    /// The recordings of those calls, each call's in order.
    ///
    /// # Errors
    /// [`StoreError::Statement`].
    pub async fn recordings(&self, calls: &[&str]) -> Result<Vec<RecordingRow>, StoreError> {
        let query = sqlx::query_as(
            "SELECT file, call_id, part, began_at, length_ms, rate, lost_ms, holes, key_id, ending
             FROM recordings WHERE call_id IN (SELECT value FROM json_each(?1))
             ORDER BY call_id, began_at, part",
        );
        let calls = serde_json::to_string(calls).unwrap_or_else(|_| "[]".to_owned());
        Ok(query.bind(calls).fetch_all(&self.pool).await?)
    }
}

pub(super) async fn put_recording(
    to: &mut Transaction<'_, Sqlite>,
    row: &RecordingRow,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT OR REPLACE INTO recordings
         (file, call_id, part, began_at, length_ms, rate, lost_ms, holes, key_id, ending)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&row.file)
    .bind(&row.call_id)
    .bind(row.part)
    .bind(row.began_at)
    .bind(row.length_ms)
    .bind(row.rate)
    .bind(row.lost_ms)
    .bind(&row.holes)
    .bind(row.key_id.as_deref())
    .bind(&row.ending)
    .execute(&mut **to)
    .await?;
    Ok(())
}
