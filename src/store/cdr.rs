//! Call records, read page by page.

use super::{CdrRow, Store, StoreError};

/// Which records, newest first. `None` means any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CdrFilter {
    /// Only records older than that number: the last of the page before.
    pub before: Option<i64>,
    /// Only that call.
    pub call_id: Option<String>,
    /// Only calls that waited in that queue.
    pub queue: Option<String>,
    /// Only calls that this agent served.
    pub agent: Option<String>,
    /// Only calls from that number.
    pub caller: Option<String>,
    /// Only calls to that number.
    pub called: Option<String>,
    /// Only calls that started then or later, in milliseconds since 1970 UTC.
    pub since_ms: Option<i64>,
    /// Only calls that started before then.
    pub until_ms: Option<i64>,
}

impl Store {
    /// At most `limit` records, newest first.
    ///
    /// # Errors
    /// [`StoreError::Statement`].
    pub async fn cdrs(&self, filter: &CdrFilter, limit: u32) -> Result<Vec<CdrRow>, StoreError> {
        let query = sqlx::query_as(
            "SELECT id, call_id, direction, caller, called, trunk, started_at, answered_at,
                    bridged_at, ended_at, bill_ms, hangup_cause, sip_status, q850, queue, agent,
                    wait_ms, recording, refusal_id, refusal, transfers, legs
             FROM cdrs
             WHERE (?1 IS NULL OR id < ?1) AND (?2 IS NULL OR call_id = ?2)
               AND (?3 IS NULL OR queue = ?3) AND (?4 IS NULL OR agent = ?4)
               AND (?5 IS NULL OR caller = ?5) AND (?6 IS NULL OR called = ?6)
               AND (?7 IS NULL OR started_at >= ?7) AND (?8 IS NULL OR started_at < ?8)
             ORDER BY id DESC LIMIT ?9",
        );
        let query = query
            .bind(filter.before)
            .bind(filter.call_id.as_deref())
            .bind(filter.queue.as_deref())
            .bind(filter.agent.as_deref())
            .bind(filter.caller.as_deref())
            .bind(filter.called.as_deref())
            .bind(filter.since_ms)
            .bind(filter.until_ms)
            .bind(i64::from(limit));
        Ok(query.fetch_all(&self.pool).await?)
    }

    /// Whether there is a record of that call.
    ///
    /// # Errors
    /// [`StoreError::Statement`].
    pub async fn has_cdr(&self, call_id: &str) -> Result<bool, StoreError> {
        let query = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM cdrs WHERE call_id = ?)");
        Ok(query.bind(call_id).fetch_one(&self.pool).await?)
    }
}
