//! The store: what must outlive the process, in SQLite.
//!
//! The law: nothing waits on it to answer a call or to keep audio flowing. Records of calls,
//! registrations and agents go through a [`Writer`]: a bounded channel and one task that commits
//! what has gathered in one transaction. A full channel gives the record back to the edge, which
//! waits and is counted; a failed commit is tried again until it succeeds, and since a record has a
//! key of its own, twice is once. What the API reads and provisions goes straight to the pool.
//!
//! The journal is SQLite's own (WAL, `synchronous = FULL`): a killed process or a lost power line
//! leaves every committed record and no torn one. Lost with the process are only the records not yet
//! committed: those of the last transaction's time, a tenth of a second.

mod agent;
mod cdr;
mod credential;
mod endpoint;
mod leg;
mod recording;
mod row;
#[cfg(test)]
mod tests;
mod usage;
mod writer;

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

pub use agent::{AgentRow, NoteRow};
pub use cdr::CdrFilter;
pub use credential::{CredentialFilter, CredentialRow};
pub use leg::LegRow;
pub use recording::{HoleRow, RecordingRow};
pub use row::{Anchor, CdrRow, EndpointRow, RegistrationRow, TransferRow};
pub use writer::{Record, WAITING_MAX, WRITER_CAPACITY, Writer, WriterTask, lost};

/// The database. Cheap to clone; all clones share one pool.
#[derive(Clone, Debug)]
pub struct Store {
    pool: SqlitePool,
}

/// The database refused, or could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder or file cannot be made or opened.
    #[error("{}: cannot be opened: {source}", .file.display())]
    Open {
        /// The database file.
        file: PathBuf,
        /// What SQLite or the system said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The schema cannot be brought up to date.
    #[error("the schema cannot be brought up to date: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A statement failed.
    #[error("the database refused: {0}")]
    Statement(#[from] sqlx::Error),
}

impl Store {
    /// Opens or makes `tandem.db` in the folder `data` and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::Open`] and [`StoreError::Migrate`].
    pub async fn open(data: &Path) -> Result<Self, StoreError> {
        let file = data.join(DATABASE);
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| StoreError::Open {
            file: file.clone(),
            source,
        };
        std::fs::create_dir_all(data).map_err(|error| failed(error.into()))?;
        let options = SqliteConnectOptions::new()
            .filename(&file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("cache_size", CACHE)
            .busy_timeout(Duration::from_secs(5));
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(Duration::from_secs(5))
            .connect_with(options)
            .await
            .map_err(|error| failed(error.into()))?;
        sqlx::migrate!("./migrations").run(&pool).await?;
        Ok(Self { pool })
    }

    /// Whether a statement succeeds: the store's part of readiness.
    pub async fn is_ready(&self) -> bool {
        sqlx::query("SELECT 1").execute(&self.pool).await.is_ok()
    }

    /// The SHA-256 of the API key that was made at first start, if one was.
    ///
    /// # Errors
    /// [`StoreError::Statement`].
    pub async fn api_key_hash(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let query = sqlx::query_scalar("SELECT sha256 FROM api_keys WHERE name = 'default'");
        Ok(query.fetch_optional(&self.pool).await?)
    }

    /// Keeps the SHA-256 of the API key, replacing the one before.
    ///
    /// # Errors
    /// [`StoreError::Statement`].
    pub async fn set_api_key_hash(&self, sha256: &[u8; 32], at_ms: i64) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT OR REPLACE INTO api_keys (name, sha256, created_at) VALUES ('default', ?, ?)",
        )
        .bind(sha256.as_slice())
        .bind(at_ms)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Registrations that hold beyond `now_ms`: where endpoints are found after a restart.
    ///
    /// # Errors
    /// [`StoreError::Statement`].
    pub async fn registrations(&self, now_ms: i64) -> Result<Vec<RegistrationRow>, StoreError> {
        let query = sqlx::query_as(
            "SELECT endpoint, contact, transport, listener, remote, expires_at
             FROM registrations WHERE expires_at > ? ORDER BY endpoint, contact",
        );
        Ok(query.bind(now_ms).fetch_all(&self.pool).await?)
    }

    /// Waits for open statements and closes every connection.
    pub async fn close(self) {
        self.pool.close().await;
    }
}

/// The database's file name below the data folder.
pub const DATABASE: &str = "tandem.db";

/// One writer and a few readers: SQLite has one writer at a time.
const CONNECTIONS: u32 = 4;
/// What a connection keeps of the file in memory, in KiB and negative for SQLite: records are appended
/// and seldom read, and the system keeps the file's pages besides.
const CACHE: &str = "-512";
