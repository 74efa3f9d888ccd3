//! What a desk asks, over HTTP: breaks, wrap-ups, picks, missed calls, contexts and notes.

use std::time::Duration;

use clock::Now;
use serde_json::json;

use super::World;
use super::control::give;
use super::records::keep;
use crate::api::DeskCommand;
use crate::call::CallId;
use crate::center::{AgentId, Center, Codes, Input, Missed, Wish};
use crate::control::{Board, CallContext, MissedCall, NotMerged, NotWished, PickRefused};

const CALL: &str = "/v1/calls/c0000000000000001";

fn codes() -> Codes {
    Codes {
        break_reasons: vec!["lunch".to_owned()],
        dispositions: vec!["sold".to_owned(), "call back".to_owned()],
    }
}

/// As control does.
pub(super) fn wish(
    center: &mut Center,
    agent: AgentId,
    wish: Wish,
    reason: Option<String>,
) -> Result<(), NotWished> {
    if center.endpoint_of(&agent).is_none() {
        return Err(NotWished::NoAgent);
    }
    if let Some(found) = reason.clone().filter(|it| !codes().has_reason(it)) {
        let known = codes().break_reasons;
        return Err(NotWished::Reason { found, known });
    }
    let reason = reason.map(Into::into);
    let wish = Input::AgentWish {
        agent,
        wish,
        reason,
    };
    center.handle(Now::ZERO, wish);
    Ok(())
}

/// The same of a desk's commands.
pub(super) fn answer(center: &mut Center, command: DeskCommand) {
    let now = Now::ZERO + Duration::from_secs(3);
    match command {
        DeskCommand::Agent { agent, reply } => give(reply, center.agent(now, &agent)),
        DeskCommand::At { reply, .. } => give(reply, None),
        DeskCommand::Merge { calls, reply, .. } => {
            give(reply, Err(NotMerged::NotBridged(calls[1])));
        }
        DeskCommand::WrapUp { agent, reply, .. } => {
            give(reply, center.endpoint_of(&agent).is_some());
        }
        DeskCommand::Pick { agent, call, reply } => {
            give(reply, center.pick(now, &agent, call).map_err(PickRefused));
        }
        DeskCommand::Missed { agent, reply } => {
            let missed = MissedCall {
                at: now,
                call: CallId(1),
                from: "+33123456789".to_owned(),
                queue: "sales".to_owned(),
                why: Missed::CallerGone,
            };
            let known = center.endpoint_of(&agent).is_some();
            give(
                reply,
                known.then(|| vec![(Duration::from_secs(60), missed)]),
            );
        }
        DeskCommand::Context { call, reply } => {
            let context = CallContext {
                number: "+33123456789".to_owned(),
                queue: center.queue_of(call).map(str::to_owned),
                waited: center.waited(now, call),
                path: vec!["main".to_owned(), "main: 2".to_owned()],
                attributes: vec![("tier".to_owned(), "gold".to_owned())],
                ..CallContext::default()
            };
            give(reply, (call == CallId(1)).then(|| Box::new(context)));
        }
        DeskCommand::Codes { reply } => give(reply, codes()),
        DeskCommand::Board { reply } => give(reply, Box::new(Board::default())),
    }
}

#[tokio::test]
async fn an_agent_takes_a_break_for_one_of_the_reasons_that_there_are() {
    let world = World::new().await;
    let path = "/v1/agents/anna/state";
    let put = |state: &str, reason: &str| json!({"state": state, "reason": reason}).to_string();
    let (status, told) = world.ask("PUT", path, &put("break", "lunch")).await;
    assert_eq!(status, 204, "{told}");
    let (_, agents) = world.ask("GET", "/v1/agents", "").await;
    assert_eq!(
        (
            &agents[0]["state"],
            &agents[0]["reason"],
            &agents[0]["next"]
        ),
        (&json!("break"), &json!("lunch"), &json!(null))
    );
    let (status, told) = world.ask("PUT", path, &put("break", "a nap")).await;
    assert_eq!(
        (status, &told["error"]["id"]),
        (400, &json!("agent-reason"))
    );
    let (_, codes) = world.ask("GET", "/v1/codes", "").await;
    let want = json!({"break_reasons": ["lunch"], "dispositions": ["sold", "call back"]});
    assert_eq!(codes, want);
}

#[tokio::test]
async fn a_wrap_up_is_ended_and_extended_by_word() {
    let world = World::new().await;
    let table = [
        ("anna", "{\"action\": \"end\"}", 204),
        ("anna", "{\"action\": \"extend\"}", 204),
        ("anna", "{\"action\": \"stop\"}", 400),
        ("anna", "{}", 400),
        ("nobody", "{\"action\": \"end\"}", 404),
    ];
    for (agent, body, want) in table {
        let path = format!("/v1/agents/{agent}/wrap_up");
        assert_eq!(world.ask("POST", &path, body).await.0, want, "{body}");
    }
}

#[tokio::test]
async fn of_two_agents_who_pick_a_call_one_gets_it_and_the_other_is_told_why_not() {
    let world = World::new().await;
    let one = "c0000000000000001";
    let table = [
        ("anna", one, 409, json!("pick-unreachable")),
        ("nobody", one, 404, json!("agent-unknown")),
        ("bob", "c0000000000000009", 404, json!("pick-gone")),
        ("bob", "nonsense", 404, json!("not-found")),
        ("bob", one, 204, json!(null)),
        ("bob", one, 204, json!(null)),
    ];
    for (agent, call, want, id) in table {
        let path = format!("/v1/agents/{agent}/pick");
        let body = json!({ "call_id": call }).to_string();
        let (status, told) = world.ask("POST", &path, &body).await;
        assert_eq!(
            (status, &told["error"]["id"]),
            (want, &id),
            "{agent} {call}"
        );
    }
}

#[tokio::test]
async fn the_calls_that_an_agent_has_missed_and_what_is_known_of_one_are_shown() {
    let world = World::new().await;
    let (status, missed) = world.ask("GET", "/v1/agents/anna/missed", "").await;
    assert_eq!((status, &missed[0]["why"]), (200, &json!("caller-gone")));
    assert_eq!(missed[0]["from"], "+33123456789");
    assert_eq!(
        world.ask("GET", "/v1/agents/nobody/missed", "").await.0,
        404
    );
    let (status, context) = world.ask("GET", &format!("{CALL}/context"), "").await;
    assert_eq!((status, &context["waited_secs"]), (200, &json!(3.0)));
    assert_eq!(context["path"], json!(["main", "main: 2"]));
    assert_eq!(context["attributes"], json!({"tier": "gold"}));
    let gone = "/v1/calls/c0000000000000009/context";
    assert_eq!(world.ask("GET", gone, "").await.0, 404);
}

#[tokio::test]
async fn what_agents_write_of_a_call_is_kept_with_its_record() {
    let world = World::new().await;
    // Number 1 lives, number 2 was, number 9 neither is nor was.
    keep(&world.store, 2, None).await;
    let long = "x".repeat(900);
    let table = [
        (1, "anna", json!({"note": "wants a new"}), 204),
        (
            1,
            "anna",
            json!({"note": "wants a new one", "disposition": "sold"}),
            204,
        ),
        (1, "bob", json!({"note": long}), 204),
        (2, "anna", json!({"note": "call her back"}), 204),
        (2, "anna", json!({"disposition": "call back"}), 204),
        (1, "anna", json!({"disposition": "eaten"}), 400),
        (1, "anna", json!({}), 400),
        (1, "anna", json!({"notes": "x"}), 400),
        (1, "nobody", json!({"note": "x"}), 404),
        (9, "anna", json!({"note": "x"}), 404),
    ];
    for (call, agent, body, want) in table {
        let path = format!("/v1/calls/c{call:016x}/notes/{agent}");
        let (status, told) = world.ask("PUT", &path, &body.to_string()).await;
        assert_eq!(status, want, "{body}: {told}");
    }
    let (_, notes) = world.ask("GET", &format!("{CALL}/notes"), "").await;
    assert_eq!(notes.as_array().unwrap().len(), 2);
    assert_eq!(
        (
            &notes[0]["agent"],
            &notes[0]["note"],
            &notes[0]["disposition"]
        ),
        (&json!("anna"), &json!("wants a new one"), &json!("sold"))
    );
    let (_, page) = world.ask("GET", "/v1/cdrs", "").await;
    let written = &page["cdrs"][0]["notes"];
    assert_eq!(
        (&written[0]["note"], &written[0]["disposition"]),
        (&json!("call her back"), &json!("call back")),
        "what is left out stays"
    );
}
