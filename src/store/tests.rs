//! The store on real files, and under `kill -9`.

#![expect(
    clippy::disallowed_methods,
    reason = "a test's tasks end with its runtime"
)]

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use clock::Now;

use super::*;
use crate::call::{CallId, Cause, Cdr, Direction};

/// A folder that vanishes with its test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tandem-store-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn secs(n: u64) -> Now {
    Now::ZERO + Duration::from_secs(n)
}

fn row(n: u64) -> CdrRow {
    let cdr = Cdr {
        call: CallId(n),
        direction: Direction::Inbound,
        from: "+33123456789".to_owned(),
        to: "100".to_owned(),
        trunk: Some("acme".to_owned()),
        started: secs(1),
        answered: Some(secs(2)),
        bridged: Some(secs(7)),
        ended: secs(12),
        cause: Cause::Normal,
        sip_status: Some(200),
        q850: 16,
        queue: Some(if n.is_multiple_of(2) { "even" } else { "odd" }.to_owned()),
        agent: Some("anna".to_owned()),
        waited: Duration::from_millis(4_500),
        recording: None,
        refusal: Some(crate::explain::Explanation {
            id: "queue-max-wait",
            expected: "an agent".to_owned(),
            found: "none".to_owned(),
            fix: "add one".to_owned(),
        }),
        handovers: Vec::new(),
        legs: Vec::new(),
    };
    CdrRow::new(
        &cdr,
        Anchor {
            now: secs(20),
            wall_ms: 1_700_000_020_000,
        },
    )
}

async fn write(store: &Store, records: impl IntoIterator<Item = Record>) {
    let (writer, task) = Writer::new(store.clone());
    let task = tokio::spawn(task.run());
    for record in records {
        writer.write(record).await.unwrap();
    }
    drop(writer);
    task.await.unwrap();
}

#[test]
fn monotonic_times_become_wall_times_on_both_sides_of_the_anchor() {
    let row = row(1);
    assert_eq!(row.started_at, 1_700_000_001_000);
    assert_eq!(
        (row.answered_at, row.ended_at),
        (Some(1_700_000_002_000), 1_700_000_012_000)
    );
    assert_eq!((row.bill_ms, row.wait_ms), (10_000, 4_500));
    let early = Anchor {
        now: Now::ZERO,
        wall_ms: 1_000,
    };
    assert_eq!(early.wall_ms(secs(3)), 4_000);
}

#[tokio::test]
async fn records_come_back_newest_first_page_by_page_and_filtered() {
    let folder = Folder::new("pages");
    let store = Store::open(&folder.0).await.unwrap();
    write(&store, (1..=5).map(|n| Record::Cdr(Box::new(row(n))))).await;
    let page = store.cdrs(&CdrFilter::default(), 2).await.unwrap();
    assert_eq!(page.iter().map(|r| r.id).collect::<Vec<_>>(), [5, 4]);
    assert_eq!(page.first().unwrap(), &CdrRow { id: 5, ..row(5) });
    let next = CdrFilter {
        before: Some(4),
        queue: Some("odd".to_owned()),
        ..CdrFilter::default()
    };
    let page = store.cdrs(&next, 10).await.unwrap();
    assert_eq!(page.iter().map(|r| r.id).collect::<Vec<_>>(), [3, 1]);
    let never = CdrFilter {
        since_ms: Some(1_700_000_001_001),
        ..CdrFilter::default()
    };
    assert_eq!(store.cdrs(&never, 10).await.unwrap(), []);
}

#[tokio::test]
async fn a_record_written_twice_is_kept_once() {
    let folder = Folder::new("once");
    let store = Store::open(&folder.0).await.unwrap();
    write(&store, [1, 1, 2].map(|n| Record::Cdr(Box::new(row(n))))).await;
    assert_eq!(
        store.cdrs(&CdrFilter::default(), 10).await.unwrap().len(),
        2
    );
}

#[tokio::test]
async fn a_full_channel_gives_the_record_back_and_none_is_lost() {
    let folder = Folder::new("full");
    let store = Store::open(&folder.0).await.unwrap();
    let (writer, task) = Writer::with_room(store.clone(), 2, 0);
    let record = |n| Record::Cdr(Box::new(row(n)));
    assert!(writer.offer(record(1)).is_ok() && writer.offer(record(2)).is_ok());
    assert_eq!(writer.offer(record(3)), Err(record(3)));
    let task = tokio::spawn(task.run());
    writer.write(record(3)).await.unwrap();
    drop(writer);
    task.await.unwrap();
    assert_eq!(
        store.cdrs(&CdrFilter::default(), 10).await.unwrap().len(),
        3
    );
}

#[tokio::test]
async fn as_many_wait_as_may_and_one_more_is_given_back() {
    let folder = Folder::new("waiting");
    let store = Store::open(&folder.0).await.unwrap();
    let (writer, task) = Writer::with_room(store.clone(), 1, 2);
    let tasks = tokio_util::task::TaskTracker::new();
    let runtime = tokio::runtime::Handle::current();
    let record = |n| Record::Cdr(Box::new(row(n)));
    for n in 1..=3 {
        assert_eq!(writer.keep(record(n), (&tasks, &runtime)), Ok(()));
    }
    assert_eq!(
        writer.keep(record(4), (&tasks, &runtime)),
        Err(record(4)),
        "one is in the channel, two wait"
    );
    tasks.close();
    let task = tokio::spawn(task.run());
    tasks.wait().await;
    // There is room again.
    assert_eq!(writer.keep(record(5), (&tasks, &runtime)), Ok(()));
    tasks.wait().await;
    drop(writer);
    task.await.unwrap();
    let kept = store.cdrs(&CdrFilter::default(), 10).await.unwrap();
    assert_eq!(kept.len(), 4);
}

#[tokio::test]
async fn a_locked_database_delays_records_but_loses_none() {
    let folder = Folder::new("locked");
    let store = Store::open(&folder.0).await.unwrap();
    let mut lock = store.pool.acquire().await.unwrap();
    sqlx::query("BEGIN EXCLUSIVE")
        .execute(&mut *lock)
        .await
        .unwrap();
    let (writer, task) = Writer::new(store.clone());
    writer.write(Record::Cdr(Box::new(row(1)))).await.unwrap();
    drop(writer);
    let task = tokio::spawn(task.run());
    tokio::task::yield_now().await;
    sqlx::query("COMMIT").execute(&mut *lock).await.unwrap();
    drop(lock);
    task.await.unwrap();
    assert_eq!(
        store.cdrs(&CdrFilter::default(), 10).await.unwrap().len(),
        1
    );
}

#[tokio::test]
async fn registrations_agents_endpoints_and_the_key_survive_a_restart() {
    let folder = Folder::new("restart");
    let store = Store::open(&folder.0).await.unwrap();
    let registration = |contact: &str, expires_at| RegistrationRow {
        endpoint: "anna".to_owned(),
        contact: contact.to_owned(),
        transport: "udp".to_owned(),
        listener: 0,
        remote: "127.0.0.1:5070".to_owned(),
        expires_at,
    };
    let wants = |name: &str, wish: &str, reason: Option<&str>| AgentRow {
        name: name.to_owned(),
        wish: wish.to_owned(),
        reason: reason.map(str::to_owned),
        since: 1,
    };
    let ended = Record::Unregistered {
        endpoint: "anna".to_owned(),
        contact: Some("c".to_owned()),
    };
    let records = [
        Record::Registered(registration("a", 100)),
        Record::Registered(registration("a", 300)),
        Record::Registered(registration("b", 150)),
        Record::Registered(registration("c", 900)),
        ended,
        Record::Agent(wants("anna", "break", Some("lunch"))),
        Record::Agent(wants("bob", "away", None)),
        Record::Agent(wants("bob", "available", None)),
    ];
    write(&store, records).await;
    let endpoint = EndpointRow {
        name: "desk1".to_owned(),
        realm: "tandem".to_owned(),
        ha1_md5: "aa".to_owned(),
        ha1_sha256: "bb".to_owned(),
        ha1_sha512_256: "cc".to_owned(),
        caller_id: None,
        created_at: 7,
    };
    assert!(store.add_endpoint(&endpoint).await.unwrap());
    assert!(
        !store.add_endpoint(&endpoint).await.unwrap(),
        "the name is taken"
    );
    store.set_api_key_hash(&[9; 32], 1).await.unwrap();
    store.close().await;

    let store = Store::open(&folder.0).await.unwrap();
    assert_eq!(
        store.registrations(200).await.unwrap(),
        [registration("a", 300)]
    );
    let agents = store.agents().await.unwrap();
    let wanted = [
        wants("anna", "break", Some("lunch")),
        wants("bob", "available", None),
    ];
    assert_eq!(agents, wanted);
    assert_eq!(store.endpoints().await.unwrap(), [endpoint]);
    assert_eq!(store.api_key_hash().await.unwrap(), Some(vec![9; 32]));
    assert!(store.remove_endpoint("desk1").await.unwrap());
    assert!(!store.remove_endpoint("desk1").await.unwrap());
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_made_is_refused_by_name() {
    let error = Store::open(Path::new("/dev/null/data")).await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("/dev/null/data/tandem.db: cannot be opened"),
        "{error}"
    );
}

/// Writes for ever and prints how far it is; run by the test below, in a process of its own.
#[tokio::test]
#[ignore = "the victim of `a_killed_process_leaves_every_record_that_it_saw_committed`"]
async fn victim() {
    let Ok(folder) = std::env::var("STORE_VICTIM") else {
        return;
    };
    let store = Store::open(Path::new(&folder)).await.unwrap();
    let round: u64 = std::env::var("STORE_ROUND").unwrap().parse().unwrap();
    for n in round * 1_000.. {
        write(&store, [Record::Cdr(Box::new(row(n)))]).await;
        eprintln!("committed {n}");
    }
}

#[test]
fn a_killed_process_leaves_every_record_that_it_saw_committed() {
    let folder = Folder::new("killed");
    for round in 0..3u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--ignored",
                "--exact",
                "--nocapture",
                "store::tests::victim",
            ])
            .env("STORE_VICTIM", &folder.0)
            .env("STORE_ROUND", round.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let committed = lines
            .map_while(Result::ok)
            .filter(|l| l.starts_with("committed"))
            .nth(25);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(
            committed.is_some(),
            "round {round}: the victim wrote nothing"
        );
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let store = Store::open(&folder.0).await.unwrap();
            let check: String = sqlx::query_scalar("PRAGMA integrity_check")
                .fetch_one(&store.pool)
                .await
                .unwrap();
            assert_eq!(check, "ok");
            let count = store
                .cdrs(&CdrFilter::default(), 10_000)
                .await
                .unwrap()
                .len();
            assert!(
                count >= 26,
                "round {round}: {count} records of 26 committed"
            );
            store.close().await;
        });
    }
}
