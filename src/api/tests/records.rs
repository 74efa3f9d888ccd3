//! What is kept of a call: its record and its recordings.

use media::port::PortStats;
use media::quality::Rating;

use super::*;
use crate::call::{CallId, Cause, Cdr, Direction, Handover, How, LegFigures};
use crate::store::{Anchor, CdrRow, HoleRow, Record, RecordingRow, Writer};

/// A leg of which all is known.
pub(super) fn leg_figures() -> LegFigures {
    let ms = Duration::from_millis;
    LegFigures {
        who: "anna".to_owned(),
        trunk: None,
        codec: "PCMA",
        stats: PortStats {
            received: 500,
            sent: 498,
            lost: 5,
            jitter_max: ms(12),
            round_trip: Some(ms(30)),
            rating: Some(Rating::reported(90)),
            unauthentic: 2,
            ..PortStats::default()
        },
    }
}

pub(super) async fn keep(store: &Store, call: u64, recording: Option<&str>) {
    let at = |secs| clock::Now::ZERO + Duration::from_secs(secs);
    let cdr = Cdr {
        call: CallId(call),
        direction: Direction::Inbound,
        from: "+33123456789".to_owned(),
        to: "100".to_owned(),
        trunk: Some("acme".to_owned()),
        started: at(0),
        answered: Some(at(1)),
        bridged: Some(at(6)),
        ended: at(11),
        cause: Cause::Normal,
        sip_status: Some(200),
        q850: 16,
        queue: Some("sales".to_owned()),
        agent: Some("anna".to_owned()),
        waited: Duration::from_millis(4_500),
        recording: recording.map(str::to_owned),
        refusal: None,
        handovers: vec![Handover {
            at: at(8),
            by: "anna".to_owned(),
            to: "bob".to_owned(),
            how: How::Blind,
        }],
        legs: vec![leg_figures()],
    };
    let row = CdrRow::new(
        &cdr,
        Anchor {
            now: at(0),
            wall_ms: 1_700_000_000_000,
        },
    );
    let (writer, task) = Writer::new(store.clone());
    writer.write(Record::Cdr(Box::new(row))).await.unwrap();
    drop(writer);
    task.run().await;
}

#[tokio::test]
async fn call_records_come_page_by_page_with_the_promised_columns() {
    let world = World::new().await;
    for call in 1..=3 {
        keep(&world.store, call, Some("one.wav").filter(|_| call == 3)).await;
    }
    let hole = HoleRow {
        at: 1_500,
        lasts: 40,
        why: "lost".to_owned(),
    };
    let row = RecordingRow {
        file: "one.wav".to_owned(),
        call_id: CallId(3).to_string(),
        part: 1,
        began_at: 1_700_000_006_000,
        length_ms: 5_000,
        rate: 16_000,
        lost_ms: 40,
        holes: RecordingRow::holes_text(&[hole]),
        key_id: Some("00ff".to_owned()),
        ending: "complete".to_owned(),
    };
    let (writer, task) = Writer::new(world.store.clone());
    let row = Record::Recording(Box::new(row));
    // Twice is once.
    for _ in 0..2 {
        writer.write(row.clone()).await.unwrap();
    }
    drop(writer);
    task.run().await;
    let (status, page) = world.ask("GET", "/v1/cdrs?limit=2", "").await;
    let record = &page["cdrs"][0];
    let want = json!({
        "call_id": "c0000000000000003", "direction": "inbound", "from": "+33123456789", "to": "100",
        "trunk": "acme", "started_at": "2023-11-14T22:13:20.000Z",
        "answered_at": "2023-11-14T22:13:21.000Z", "bridged_at": "2023-11-14T22:13:26.000Z",
        "ended_at": "2023-11-14T22:13:31.000Z", "duration": 11.0, "billsec": 10.0,
        "hangup_cause": "normal", "sip_status": 200, "q850": 16, "queue": "sales", "agent": "anna",
        "wait_secs": 4.5, "recording_url": "/v1/recordings/c0000000000000003",
        "recordings": [{
            "file": "one.wav", "part": 1, "began_at": "2023-11-14T22:13:26.000Z", "duration": 5.0,
            "rate": 16_000, "lost": 0.04, "encrypted": true, "key_id": "00ff", "ending": "complete",
            "holes": [{"at": 1.5, "duration": 0.04, "why": "lost"}],
        }],
        "transfers": [{"at": "2023-11-14T22:13:28.000Z", "by": "anna", "to": "bob", "how": "blind"}],
        "notes": [],
    });
    let mut record = record.clone();
    let legs = record.as_object_mut().unwrap().remove("legs").unwrap();
    assert_eq!((status, &record), (200, &want));
    let leg = json!({
        "who": "anna", "trunk": null, "codec": "PCMA", "received": 500, "sent": 498, "lost": 5,
        "late": 0, "recovered": 0, "frames": 0, "concealed": 0, "jitter_max_ms": 12.0,
        "round_trip_ms": 30.0, "r": 90.0, "mos": 4.34, "mos_worst": null, "peer_mos": null,
        "peer_lost": 0, "silences": 0, "silence_longest_ms": 0.0, "silent_percent": null,
        "clipped_percent": null, "foreign": 0, "srtp_bad_tag": 2, "srtp_replayed": 0,
        "srtp_no_key": 0, "srtp_unsent": 0,
    });
    assert_eq!(legs, json!([leg]));
    let next = page["next"].as_i64().unwrap();
    let (_, rest) = world
        .ask("GET", &format!("/v1/cdrs?limit=2&cursor={next}"), "")
        .await;
    assert_eq!(rest["cdrs"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&rest["cdrs"][0]["recording_url"], rest.get("next")),
        (&Value::Null, None)
    );
    let (_, none) = world.ask("GET", "/v1/cdrs?queue=other", "").await;
    assert_eq!(none["cdrs"], json!([]));
    for bad in ["limit=0", "limit=x", "since=yesterday", "colour=red"] {
        assert_eq!(
            world.ask("GET", &format!("/v1/cdrs?{bad}"), "").await.0,
            400,
            "{bad}"
        );
    }
}

#[tokio::test]
async fn a_recording_is_downloaded_whole_and_never_from_outside_its_folder() {
    let world = World::new().await;
    std::fs::create_dir_all(world.folder.join("recordings")).unwrap();
    std::fs::write(world.folder.join("recordings/one.wav"), "RIFF...").unwrap();
    keep(&world.store, 1, Some("one.wav")).await;
    keep(&world.store, 2, Some("../tandem.db")).await;
    keep(&world.store, 3, Some("gone.wav")).await;
    let get = async |n: u32| {
        world
            .send("GET", &format!("/v1/recordings/c{n:016x}"), Some(KEY), "")
            .await
    };
    assert_eq!(get(1).await, (200, "RIFF...".to_owned()));
    for n in 2..=4 {
        assert_eq!(get(n).await.0, 404, "{n}");
    }
}
