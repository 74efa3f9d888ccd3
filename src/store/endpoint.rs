//! Endpoints made at run time.

use super::{EndpointRow, Store, StoreError};

impl Store {
    /// Every endpoint, by name.
    ///
    /// # Errors
    /// [`StoreError::Statement`].
    pub async fn endpoints(&self) -> Result<Vec<EndpointRow>, StoreError> {
        let query = sqlx::query_as(
            "SELECT name, realm, ha1_md5, ha1_sha256, ha1_sha512_256, caller_id, created_at
             FROM endpoints ORDER BY name",
        );
        Ok(query.fetch_all(&self.pool).await?)
    }

    /// Makes an endpoint; `false` if the name is taken.
    ///
    /// # Errors
    /// [`StoreError::Statement`].
    pub async fn add_endpoint(&self, row: &EndpointRow) -> Result<bool, StoreError> {
        let query = sqlx::query(
            "INSERT OR IGNORE INTO endpoints
             (name, realm, ha1_md5, ha1_sha256, ha1_sha512_256, caller_id, created_at)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        );
        let query = query
            .bind(&row.name)
            .bind(&row.realm)
            .bind(&row.ha1_md5)
            .bind(&row.ha1_sha256)
            .bind(&row.ha1_sha512_256)
            .bind(row.caller_id.as_deref())
            .bind(row.created_at);
        Ok(query.execute(&self.pool).await?.rows_affected() == 1)
    }

    /// Removes an endpoint and where it is registered; `false` if there was none.
    ///
    /// # Errors
    /// [`StoreError::Statement`].
    pub async fn remove_endpoint(&self, name: &str) -> Result<bool, StoreError> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query("DELETE FROM registrations WHERE endpoint = ?")
            .bind(name)
            .execute(&mut *transaction)
            .await?;
        let removed = sqlx::query("DELETE FROM endpoints WHERE name = ?")
            .bind(name)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(removed.rows_affected() == 1)
    }
}
