//! Agents: what each last wanted, and what they write of calls.

use sqlx::{Sqlite, Transaction};

use super::{Store, StoreError};

/// What an agent last wanted, so that a restart does not ring the absent.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct AgentRow {
    /// Who.
    pub name: String,
    /// What, by the name of [`crate::center::Wish`].
    pub wish: String,
    /// Why.
    pub reason: Option<String>,
    /// Since when, in milliseconds since 1970 UTC.
    pub since: i64,
}

/// What an agent writes of a call: one row for each agent who served it. What is `None` stays as it was.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct NoteRow {
    /// The call.
    pub call_id: String,
    /// Who.
    pub agent: String,
    /// His note, whole.
    pub note: Option<String>,
    /// What the call came to.
    pub disposition: Option<String>,
    /// When he last wrote, in milliseconds since 1970 UTC.
    pub at: i64,
}

impl Store {
    /// What each agent last wanted, by name.
    ///
    /// # Errors
    /// [`StoreError::Statement`].
    pub async fn agents(&self) -> Result<Vec<AgentRow>, StoreError> {
        let query = sqlx::query_as("SELECT name, wish, reason, since FROM agents ORDER BY name");
        Ok(query.fetch_all(&self.pool).await?)
    }

    /// Keeps what an agent writes of a call at once, for who waits for that.
    ///
    /// # Errors
    /// [`StoreError::Statement`].
    pub async fn put_note(&self, row: &NoteRow) -> Result<(), StoreError> {
        let query = sqlx::query(
            "INSERT INTO notes (call_id, agent, note, disposition, at) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (call_id, agent) DO UPDATE SET note = coalesce(excluded.note, note),
                 disposition = coalesce(excluded.disposition, disposition), at = excluded.at",
        );
        let query = query
            .bind(&row.call_id)
            .bind(&row.agent)
            .bind(row.note.as_deref())
            .bind(row.disposition.as_deref())
            .bind(row.at);
        query.execute(&self.pool).await?;
        Ok(())
    }

    /// What agents wrote of calls, by call and agent.
    ///
    /// # Errors
    /// [`StoreError::Statement`].
    pub async fn notes(&self, call_ids: &[&str]) -> Result<Vec<NoteRow>, StoreError> {
        let calls = serde_json::to_string(call_ids).unwrap_or_else(|_| "[]".to_owned());
        let query = sqlx::query_as(
            "SELECT call_id, agent, note, disposition, at FROM notes
             WHERE call_id IN (SELECT value FROM json_each(?)) ORDER BY call_id, agent",
        );
        Ok(query.bind(calls).fetch_all(&self.pool).await?)
    }
}

pub(super) async fn put_agent(
    to: &mut Transaction<'_, Sqlite>,
    row: &AgentRow,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT OR REPLACE INTO agents (name, wish, reason, since) VALUES (?, ?, ?, ?)")
        .bind(&row.name)
        .bind(&row.wish)
        .bind(row.reason.as_deref())
        .bind(row.since)
        .execute(&mut **to)
        .await?;
    Ok(())
}
