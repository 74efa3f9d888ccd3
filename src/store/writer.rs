//! The writer: a bounded channel and the one task that commits what comes out of it.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{QueryBuilder, Sqlite, Transaction};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::task::TaskTracker;

use super::agent::put_agent;
use super::recording::put_recording;
use super::usage::put_usage;
use super::{AgentRow, CdrRow, RecordingRow, RegistrationRow, Store};
use crate::trunk::UsageRow;

/// Something to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A call is over.
    Cdr(Box<CdrRow>),
    /// An endpoint is registered, anew or again.
    Registered(RegistrationRow),
    /// A registration ended.
    Unregistered {
        /// The endpoint.
        endpoint: String,
        /// The Contact's URI; every contact if `None`.
        contact: Option<String>,
    },
    /// A recording is over.
    Recording(Box<RecordingRow>),
    /// What an owner has used of a day.
    Usage(UsageRow),
    /// An agent says whether he wants calls.
    Agent(AgentRow),
}

/// The sending end. Cheap to clone; when the last clone is gone, the task writes what is left and ends.
#[derive(Clone, Debug)]
pub struct Writer {
    sender: mpsc::Sender<Record>,
    /// Places for records that wait for room in tasks of their own.
    waiting: Arc<Semaphore>,
}

/// The receiving end: run it on the edge's runtime.
#[derive(Debug)]
pub struct WriterTask {
    store: Store,
    receiver: mpsc::Receiver<Record>,
}

impl Writer {
    /// A writer and its task, with room for [`WRITER_CAPACITY`] records between them.
    pub fn new(store: Store) -> (Self, WriterTask) {
        Self::with_room(store, WRITER_CAPACITY, WAITING_MAX)
    }

    pub(super) fn with_room(store: Store, capacity: usize, waiting: usize) -> (Self, WriterTask) {
        let (sender, receiver) = mpsc::channel(capacity);
        let waiting = Arc::new(Semaphore::new(waiting));
        (Self { sender, waiting }, WriterTask { store, receiver })
    }

    /// Hands over a record at once, or gives it back when the channel is full or the task gone.
    ///
    /// # Errors
    /// The record itself: keep it, and use [`Writer::write`] from where one may wait.
    pub fn offer(&self, record: Record) -> Result<(), Record> {
        self.sender.try_send(record).map_err(|error| {
            metrics::counter!("tandem_store_full_total").increment(1);
            match error {
                mpsc::error::TrySendError::Full(record)
                | mpsc::error::TrySendError::Closed(record) => record,
            }
        })
    }

    /// Hands over a record from where one may not wait: without room for it, it waits in a task of its own,
    /// as [`WAITING_MAX`] may.
    ///
    /// # Errors
    /// The record itself, if as many wait already: the store has been still for long.
    pub fn keep(
        &self,
        record: Record,
        (tasks, runtime): (&TaskTracker, &tokio::runtime::Handle),
    ) -> Result<(), Record> {
        let Err(record) = self.offer(record) else {
            return Ok(());
        };
        let Ok(place) = self.waiting.clone().try_acquire_owned() else {
            return Err(record);
        };
        let writer = self.clone();
        let wait = async move {
            if writer.write(record).await.is_err() {
                lost("the store has stopped");
            }
            drop(place);
        };
        tasks.spawn_on(wait, runtime);
        Ok(())
    }

    /// Hands over a record, waiting for room. For the edge only.
    ///
    /// # Errors
    /// The record itself, if the task is gone.
    pub async fn write(&self, record: Record) -> Result<(), Record> {
        match self.offer(record) {
            Ok(()) => Ok(()),
            Err(record) => self.sender.send(record).await.map_err(|error| error.0),
        }
    }
}

/// Counts and tells a record that is not kept.
pub fn lost(why: &str) {
    metrics::counter!("tandem_store_lost_total").increment(1);
    tracing::error!(why, "a record was lost");
}

impl WriterTask {
    /// Commits what comes, many records to a transaction, until every [`Writer`] is gone and all is
    /// written. A commit that fails is tried again after a pause that grows to [`RETRY_MAX`].
    ///
    /// A record that comes alone is committed at once. When they come faster, those of [`GATHER`] share a
    /// transaction: a commit waits for the disk, and each costs the processor as much as setting up a call.
    pub async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut next = tokio::time::Instant::now();
        while self.receiver.recv_many(&mut batch, BATCH).await > 0 {
            if tokio::time::Instant::now() < next {
                tokio::time::sleep_until(next).await;
                while batch.len() < BATCH
                    && let Ok(record) = self.receiver.try_recv()
                {
                    batch.push(record);
                }
            }
            let mut pause = Duration::from_millis(50);
            while let Err(error) = commit(&self.store, &batch).await {
                metrics::counter!("tandem_store_retries_total").increment(1);
                tracing::error!(%error, records = batch.len(), "the store did not commit");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(RETRY_MAX);
            }
            metrics::counter!("tandem_store_records_total").increment(batch.len() as u64);
            next = tokio::time::Instant::now();
            if batch.len() < BATCH {
                next += GATHER;
            }
            batch.clear();
        }
    }
}

async fn commit(store: &Store, batch: &[Record]) -> Result<(), sqlx::Error> {
    let mut transaction = store.pool.begin().await?;
    // Neighbours of a kind go together: each statement is a way to the store's thread and back.
    let is_cdr = |record: &Record| matches!(record, Record::Cdr(_));
    for run in batch.chunk_by(|a, b| is_cdr(a) && is_cdr(b)) {
        let Some(record) = run.first() else { continue };
        match record {
            Record::Cdr(_) => insert_cdrs(&mut transaction, run).await?,
            Record::Registered(row) => put_registration(&mut transaction, row).await?,
            Record::Recording(row) => put_recording(&mut transaction, row).await?,
            Record::Usage(row) => put_usage(&mut transaction, row).await?,
            Record::Unregistered { endpoint, contact } => {
                sqlx::query(
                    "DELETE FROM registrations WHERE endpoint = ?1 AND (?2 IS NULL OR contact = ?2)",
                )
                .bind(endpoint)
                .bind(contact.as_deref())
                .execute(&mut *transaction)
                .await?;
            }
            Record::Agent(row) => put_agent(&mut transaction, row).await?,
        }
    }
    transaction.commit().await
}

async fn insert_cdrs(
    to: &mut Transaction<'_, Sqlite>,
    records: &[Record],
) -> Result<(), sqlx::Error> {
    let rows = records.iter().filter_map(|record| match record {
        Record::Cdr(row) => Some(row),
        _ => None,
    });
    let mut query = QueryBuilder::new(
        "INSERT OR IGNORE INTO cdrs
         (call_id, direction, caller, called, trunk, started_at, answered_at, bridged_at, ended_at,
          bill_ms, hangup_cause, sip_status, q850, queue, agent, wait_ms, recording,
          refusal_id, refusal, transfers, legs) ",
    );
    query.push_values(rows, |mut values, row| {
        values
            .push_bind(&row.call_id)
            .push_bind(&row.direction)
            .push_bind(&row.caller)
            .push_bind(&row.called)
            .push_bind(row.trunk.as_deref())
            .push_bind(row.started_at)
            .push_bind(row.answered_at)
            .push_bind(row.bridged_at)
            .push_bind(row.ended_at)
            .push_bind(row.bill_ms)
            .push_bind(&row.hangup_cause)
            .push_bind(row.sip_status)
            .push_bind(row.q850)
            .push_bind(row.queue.as_deref())
            .push_bind(row.agent.as_deref())
            .push_bind(row.wait_ms)
            .push_bind(row.recording.as_deref())
            .push_bind(row.refusal_id.as_deref())
            .push_bind(row.refusal.as_deref())
            .push_bind(&row.transfers)
            .push_bind(&row.legs);
    });
    // Its length changes with every batch: not worth keeping prepared.
    query.build().persistent(false).execute(&mut **to).await?;
    Ok(())
}

async fn put_registration(
    to: &mut Transaction<'_, Sqlite>,
    row: &RegistrationRow,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT OR REPLACE INTO registrations
         (endpoint, contact, transport, listener, remote, expires_at) VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(&row.endpoint)
    .bind(&row.contact)
    .bind(&row.transport)
    .bind(row.listener)
    .bind(&row.remote)
    .bind(row.expires_at)
    .execute(&mut **to)
    .await?;
    Ok(())
}

/// Records between the edge and the database: some ten seconds of 400 calls a second.
pub const WRITER_CAPACITY: usize = 4_096;

/// Records that wait for room in the channel: with it, a minute of 1,000 calls a second, in about 60 MB.
pub const WAITING_MAX: usize = 60_000;

/// How long records gather after a commit: what a lost power line may cost when they come fast.
const GATHER: Duration = Duration::from_millis(100);

/// Records in one transaction.
const BATCH: usize = 256;

/// The longest pause between two tries of a commit.
const RETRY_MAX: Duration = Duration::from_secs(5);
