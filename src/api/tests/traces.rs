//! Traces and captures: asked for, and missing.

use super::control::{answer, give};
use super::*;

#[tokio::test]
async fn without_a_journal_there_is_no_trace_and_the_answer_says_how_to_have_one() {
    let world = World::new().await;
    for (method, path, body) in [
        ("GET", "/v1/calls/last/trace", ""),
        ("GET", "/v1/calls/last/pcap", ""),
        ("POST", "/v1/calls/c0000000000000001/capture", ""),
        ("POST", "/v1/captures", "{\"from\":\"+331\"}"),
    ] {
        let (status, answer) = world.ask(method, path, body).await;
        assert_eq!(status, 409, "{path}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains("trace.enabled = true"), "{message}");
        assert_eq!(world.send(method, path, None, body).await.0, 401, "{path}");
    }
}

#[tokio::test]
async fn a_capture_is_asked_for_by_call_or_by_who_calls_next_and_a_missing_trace_is_told() {
    let (control, commands) = Control::new();
    tokio::spawn(answer(commands));
    let (traces, mut queries) = Traces::new();
    tokio::spawn(async move {
        while let Some(query) = queries.recv().await {
            match query {
                TraceQuery::Story { reply, .. } => give(reply, None),
                TraceQuery::File { name, reply } => give(reply, Some(name.into_bytes())),
            }
        }
    });
    let world = World::with_traces(control, Duration::from_secs(10), Some(traces)).await;
    for (method, path, body, want) in [
        ("POST", "/v1/calls/c0000000000000001/capture", "", 204),
        ("POST", "/v1/calls/c0000000000000002/capture", "", 404),
        ("POST", "/v1/captures", "{\"from\":\"+331\"}", 202),
        ("POST", "/v1/captures", "{\"from\":\"\"}", 400),
        ("POST", "/v1/captures", "{\"form\":\"+331\"}", 400),
        ("GET", "/v1/calls/last/trace", "", 404),
        ("GET", "/v1/calls/last/trace?before=1", "", 400),
    ] {
        assert_eq!(world.ask(method, path, body).await.0, want, "{path} {body}");
    }
    // A SIP Call-ID may have every sign that means something in a path.
    let path = "/v1/calls/a%2Fb%3Fc%40d%25/pcap";
    let (status, file) = world.send("GET", path, Some(KEY), "").await;
    assert_eq!((status, file.as_str()), (200, "a/b?c@d%"));
}
