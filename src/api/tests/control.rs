//! A control that has one call and one queue, and answers from a table.

use std::collections::HashSet;

use super::records::leg_figures;
use super::*;
use crate::call::{CallId, Direction};
use crate::center::{Center, Input, QueueConfig, Wish};
use crate::conference::{Standing, Supervisions};
use crate::control::{Refused, Rehearsal, Step, Verdict};
use crate::store::{EndpointRow, LegRow};

/// A control that has one call and one queue, remembers endpoints, and refuses to reload.
pub(super) async fn answer(mut commands: tokio::sync::mpsc::Receiver<Command>) {
    let mut endpoints = HashSet::new();
    let mut rooms = crate::conference::Conferences::default();
    for n in [1, 2] {
        rooms.join(clock::Now::ZERO, CallId(n), "r", Default::default());
    }
    let (mut watches, mut muted) = (Supervisions::default(), Vec::new());
    let mut center = Center::new();
    let now = clock::Now::ZERO;
    let queues = vec![QueueConfig {
        agents: vec!["anna".into(), "bob".into()],
        ..QueueConfig::named("sales")
    }];
    let agent = |name: &str, wish| crate::center::AgentConfig {
        id: name.into(),
        endpoint: "desk1".to_owned(),
        wish,
    };
    let agents = vec![agent("anna", Wish::Available), agent("bob", Wish::Break)];
    center.handle(now, Input::Configure { queues, agents });
    let (bob, yes) = ("bob".into(), true);
    center.handle(now, Input::AgentReachable { agent: bob, yes });
    let (queue, max_wait) = ("sales".to_owned(), None);
    center.handle(
        now,
        Input::Join {
            call: CallId(1),
            queue,
            priority: 2,
            max_wait,
        },
    );
    while let Some(command) = commands.recv().await {
        match command {
            Command::Calls { reply } => give(reply, vec![call()]),
            Command::Call { call: id, reply } => {
                let whole = CallSnapshot {
                    legs: Some(vec![LegRow::new(&leg_figures())]),
                    supervision: watches.of(id).map(|it| (it.supervisor, it.mode)),
                    muted: muted.clone(),
                    ..call()
                };
                give(reply, Some(whole).filter(|c| c.call == id));
            }
            Command::Supervise { calls, mode, reply } => {
                let there = |call, is| (call < CallId(4)).then_some(is);
                let standing = Standing {
                    bridged: there(calls.0, calls.0 == CallId(1)),
                    free: there(calls.1, calls.1 == CallId(2)),
                    room: None,
                };
                give(reply, watches.supervise(calls, mode, standing));
            }
            Command::Dismiss { call, reply } => give(reply, watches.end(call)),
            Command::Mute {
                call,
                party,
                on,
                reply,
            } => {
                muted = on.then_some(party).into_iter().collect();
                give(reply, call == CallId(1));
            }
            Command::Hangup { call, reply, .. } => give(reply, call == CallId(1)),
            Command::Center { reply } => {
                give(reply, center.snapshot(now + Duration::from_secs(3)));
            }
            Command::SetAgent {
                agent,
                wish,
                reason,
                reply,
            } => give(reply, desk::wish(&mut center, agent, wish, reason)),
            Command::Desk(command) => desk::answer(&mut center, command),
            Command::Conferences { reply } => give(reply, vec![room_of(&rooms)]),
            Command::Conference { name, reply } => {
                give(reply, Some(room_of(&rooms)).filter(|_| name == "r"));
            }
            Command::AskConference { name, ask, reply } => give(reply, rooms.ask(&name, *ask)),
            Command::Endpoints { reply } => give(reply, Vec::new()),
            Command::Trunks { reply } => give(reply, Vec::new()),
            Command::PingTrunk { name, reply } => give(reply, name == "acme"),
            Command::AddEndpoint { new, reply } => give(
                reply,
                match new.name.as_str() {
                    "configured" => Err(EndpointRefused::Configured),
                    name if !endpoints.insert(name.to_owned()) => Err(EndpointRefused::Taken),
                    name => Ok(EndpointRow {
                        name: name.to_owned(),
                        realm: "tandem".to_owned(),
                        ha1_md5: "a".to_owned(),
                        ha1_sha256: "b".to_owned(),
                        ha1_sha512_256: "c".to_owned(),
                        caller_id: new.caller_id,
                        created_at: new.created_ms,
                    }),
                },
            ),
            Command::RemoveEndpoint { name, reply } => {
                let removed = endpoints.remove(&name);
                give(
                    reply,
                    if removed {
                        Ok(())
                    } else {
                        Err(EndpointRefused::Unknown)
                    },
                );
            }
            Command::Record { call, reply, .. } | Command::Capture { call, reply } => {
                give(reply, call == CallId(1));
            }
            Command::CaptureNext { reply, .. } => give(reply, ()),
            Command::Explain { probe, reply } => {
                let verdict = Verdict::Taken(format!("rings {}", probe.to));
                let steps = vec![Step {
                    name: "listener",
                    text: probe.source.to_string(),
                }];
                give(reply, Rehearsal { steps, verdict });
            }
            Command::Refusals { call, reply, .. } => {
                let refused = Refused {
                    at: now,
                    call: None,
                    status: 404,
                    why: crate::explain::Explanation {
                        id: "no-entry",
                        expected: "a".to_owned(),
                        found: "b".to_owned(),
                        fix: "c".to_owned(),
                    },
                    request: None,
                };
                let wanted = call.is_none_or(|call| call == "sip-1");
                let kept = wanted.then_some((Duration::from_secs(1), refused));
                give(reply, kept.into_iter().collect());
            }
            Command::Bans { reply } => give(
                reply,
                vec![crate::trunk::Ban {
                    source: "2001:db8::".parse().unwrap(),
                    left: Duration::from_secs(77),
                    times: 2,
                }],
            ),
            Command::LiftBan { source, reply } => {
                give(reply, source == std::net::IpAddr::from([192, 0, 2, 7]));
            }
            Command::Access(command) => access::answer(command),
            Command::Reload { reply } => give(reply, Err(vec!["main.kdl:3:1: no".to_owned()])),
            Command::Counts { reply } => {
                give(
                    reply,
                    Counts {
                        calls: 1,
                        ..Counts::default()
                    },
                );
            }
        }
    }
}

pub(super) fn call() -> CallSnapshot {
    CallSnapshot {
        call: CallId(1),
        direction: Direction::Inbound,
        from: "+33123456789".to_owned(),
        to: "100".to_owned(),
        trunk: Some("acme".to_owned()),
        state: CallState::Queued,
        age: Duration::from_secs(12),
        answered: Some(Duration::from_secs(10)),
        queue: Some("sales".to_owned()),
        agent: None,
        step: Some("menu".to_owned()),
        waits_for: vec![WaitsFor {
            agent: "anna".into(),
            obstacle: crate::center::Obstacle::WrapUp {
                until: clock::Now::ZERO,
            },
            left: Some(Duration::from_secs(4)),
        }],
        supervision: None,
        muted: Vec::new(),
        legs: None,
    }
}

fn room_of(rooms: &crate::conference::Conferences) -> crate::control::RoomSnapshot {
    let room = rooms.room("r").unwrap().clone();
    let stayed = vec![Duration::from_secs(5); room.members.len()];
    let file = room.recording.then(|| "day/conference-r.wav".to_owned());
    crate::control::RoomSnapshot { room, file, stayed }
}

/// A client that is gone needs no reply.
pub(super) fn give<T>(reply: Reply<T>, value: T) {
    let _ = reply.send(value);
}
