//! What trunks and endpoints have used of each day.

use sqlx::{Sqlite, Transaction};

use super::{Store, StoreError};
use crate::trunk::{Money, Owner, OwnerKind, UsageRow};

#[derive(sqlx::FromRow)]
struct Row {
    kind: String,
    name: String,
    day: String,
    ms: i64,
    spent: i64,
    calls: i64,
}

impl Store {
    /// The usage of the last days, in every time zone that today may be in.
    ///
    /// # Errors
    /// [`StoreError::Statement`].
    pub async fn usage(&self, now_ms: i64) -> Result<Vec<UsageRow>, StoreError> {
        let query = sqlx::query_as::<_, Row>(
            "SELECT kind, name, day, ms, spent, calls FROM usage
             WHERE day >= date(?1 / 1000, 'unixepoch', '-1 day') ORDER BY kind, name, day",
        );
        let rows = query.bind(now_ms).fetch_all(&self.pool).await?;
        Ok(rows.into_iter().filter_map(Row::read).collect())
    }
}

impl Row {
    fn read(self) -> Option<UsageRow> {
        let kind = match self.kind.as_str() {
            "trunk" => OwnerKind::Trunk,
            "endpoint" => OwnerKind::Endpoint,
            _ => return None,
        };
        let name = self.name;
        Some(UsageRow {
            owner: Owner { kind, name },
            day: self.day.parse().ok()?,
            ms: self.ms.try_into().ok()?,
            spent: Money(self.spent.try_into().ok()?),
            calls: self.calls.try_into().ok()?,
        })
    }
}

/// Usage of a day only grows: what was written late does not undo what was written after it.
pub(super) async fn put_usage(
    to: &mut Transaction<'_, Sqlite>,
    row: &UsageRow,
) -> Result<(), sqlx::Error> {
    let whole = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    sqlx::query(
        "INSERT INTO usage (kind, name, day, ms, spent, calls) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (kind, name, day) DO UPDATE SET ms = max(ms, excluded.ms),
             spent = max(spent, excluded.spent), calls = max(calls, excluded.calls)",
    )
    .bind(row.owner.kind.name())
    .bind(&row.owner.name)
    .bind(row.day.to_string())
    .bind(whole(row.ms))
    .bind(whole(row.spent.0))
    .bind(whole(row.calls))
    .execute(&mut **to)
    .await?;
    Ok(())
}
