//! Telephony credentials: who may be an endpoint that the API has made, and until when.

use sqlx::{QueryBuilder, Sqlite};

use super::{Store, StoreError};

/// A telephony credential. Its password is stored nowhere.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct CredentialRow {
    /// Its id.
    pub id: String,
    /// What its maker calls it.
    pub name: String,
    /// A word to find it by.
    pub tag: Option<String>,
    /// The connection that it was made for: the maker's word.
    pub connection_id: String,
    /// The endpoint that its holder is.
    pub sip_username: String,
    /// When it was made; times are milliseconds since 1970 UTC.
    pub created_at: i64,
    /// When it was last changed.
    pub updated_at: i64,
    /// When it ends; never if `None`.
    pub expires_at: Option<i64>,
}

/// Which credentials; every field narrows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CredentialFilter {
    /// Of that name.
    pub name: Option<String>,
    /// With that tag.
    pub tag: Option<String>,
    /// Of that connection.
    pub connection_id: Option<String>,
    /// Of that user name.
    pub sip_username: Option<String>,
    /// Ended by then, or not.
    pub ended: Option<(bool, i64)>,
}

const COLUMNS: &str =
    "id, name, tag, connection_id, sip_username, created_at, updated_at, expires_at";

impl Store {
    /// Keeps a credential, in the place of the one of its id; `false` if there are `most` others already.
    ///
    /// # Errors
    /// [`StoreError::Statement`].
    pub async fn put_credential(
        &self,
        row: &CredentialRow,
        most: usize,
    ) -> Result<bool, StoreError> {
        let query = sqlx::query(
            "INSERT INTO credentials
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8
             WHERE (SELECT count(*) FROM credentials WHERE id != ?1) < ?9
             ON CONFLICT (id) DO UPDATE SET name = ?2, tag = ?3, connection_id = ?4,
             updated_at = ?7, expires_at = ?8",
        );
        let query = query
            .bind(&row.id)
            .bind(&row.name)
            .bind(row.tag.as_deref())
            .bind(&row.connection_id)
            .bind(&row.sip_username)
            .bind(row.created_at)
            .bind(row.updated_at)
            .bind(row.expires_at)
            .bind(i64::try_from(most).unwrap_or(i64::MAX));
        Ok(query.execute(&self.pool).await?.rows_affected() == 1)
    }

    /// The credential of that id.
    ///
    /// # Errors
    /// [`StoreError::Statement`].
    pub async fn credential(&self, id: &str) -> Result<Option<CredentialRow>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT ");
        query.push(COLUMNS).push(" FROM credentials WHERE id = ");
        query.push_bind(id.to_owned());
        Ok(query.build_query_as().fetch_optional(&self.pool).await?)
    }

    /// The credentials that `filter` wants, the latest first, from `skip` on; and how many there are in all.
    ///
    /// # Errors
    /// [`StoreError::Statement`].
    pub async fn credentials(
        &self,
        filter: &CredentialFilter,
        (skip, most): (u32, u32),
    ) -> Result<(Vec<CredentialRow>, u32), StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT ");
        query.push(COLUMNS).push(" FROM credentials");
        filter.narrow(&mut query);
        query
            .push(" ORDER BY created_at DESC, id LIMIT ")
            .push_bind(most);
        query.push(" OFFSET ").push_bind(skip);
        let rows = query.build_query_as().fetch_all(&self.pool).await?;
        let mut query = QueryBuilder::<Sqlite>::new("SELECT count(*) FROM credentials");
        filter.narrow(&mut query);
        let count: i64 = query.build_query_scalar().fetch_one(&self.pool).await?;
        Ok((rows, u32::try_from(count).unwrap_or(u32::MAX)))
    }

    /// Removes a credential; `false` if there was none.
    ///
    /// # Errors
    /// [`StoreError::Statement`].
    pub async fn remove_credential(&self, id: &str) -> Result<bool, StoreError> {
        let query = sqlx::query("DELETE FROM credentials WHERE id = ?").bind(id);
        Ok(query.execute(&self.pool).await?.rows_affected() == 1)
    }

    /// Forgets those that ended before `ms`; how many.
    ///
    /// # Errors
    /// [`StoreError::Statement`].
    pub async fn forget_credentials(&self, ms: i64) -> Result<u64, StoreError> {
        let query = sqlx::query("DELETE FROM credentials WHERE expires_at < ?").bind(ms);
        Ok(query.execute(&self.pool).await?.rows_affected())
    }
}

impl CredentialFilter {
    fn narrow(&self, query: &mut QueryBuilder<Sqlite>) {
        query.push(" WHERE 1 = 1");
        let texts = [
            (" AND name = ", &self.name),
            (" AND tag = ", &self.tag),
            (" AND connection_id = ", &self.connection_id),
            (" AND sip_username = ", &self.sip_username),
        ];
        for (condition, text) in texts {
            if let Some(text) = text {
                query.push(condition).push_bind(text.clone());
            }
        }
        match self.ended {
            Some((true, at)) => query.push(" AND expires_at <= ").push_bind(at),
            Some((false, at)) => query
                .push(" AND (expires_at IS NULL OR expires_at > ")
                .push_bind(at)
                .push(")"),
            None => query,
        };
    }
}
