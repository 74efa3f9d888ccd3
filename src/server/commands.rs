//! The API's commands, carried out on the control thread.

use clock::Now;
use sip::auth::{Algorithm, Ha1};

use super::edge::Edge;
use crate::api::{
    self, AccessCommand, CallState, Command, Counts, EndpointRefused, EndpointSnapshot,
    NewEndpoint, SipCounts, WaitsFor,
};
use crate::call::CallId;
use crate::center::Obstacle;
use crate::config::Secret;
use crate::control::{CallSnapshot, Control, Refused};
use crate::store::{EndpointRow, LegRow};
use crate::trunk::{Digests, EndpointConfig, GENERATED_DIGESTS, Handling, Secrets};

/// Carries out one command. A client that has gone away hears nothing.
pub(super) fn carry_out(control: &mut Control, edge: &Edge, now: Now, command: Command) {
    match command {
        Command::Calls { reply } => {
            let calls = control.calls(now).into_iter();
            let calls = calls.map(|call| snapshot(control, now, call)).collect();
            drop(reply.send(calls));
        }
        Command::Call { call, reply } => {
            let found = control.calls(now).into_iter().find(|it| it.call == call);
            let whole = |it| api::CallSnapshot {
                legs: Some(control.figures_now(call).iter().map(LegRow::new).collect()),
                ..snapshot(control, now, it)
            };
            drop(reply.send(found.map(whole)));
        }
        Command::Hangup { call, cause, reply } => {
            let _ = reply.send(control.hang_up(now, call, cause));
        }
        Command::Record {
            call,
            ask,
            key,
            reply,
        } => drop(reply.send(control.record(now, call, ask, key))),
        Command::Capture { call, reply } => drop(reply.send(control.capture(now, call))),
        Command::CaptureNext { from, reply } => {
            control.capture_next(from);
            let _ = reply.send(());
        }
        Command::Center { reply } => drop(reply.send(control.center().snapshot(now))),
        Command::SetAgent {
            agent,
            wish,
            reason,
            reply,
        } => {
            let done = control.agent_wish(now, agent.clone(), wish, reason.as_deref());
            if done.is_ok() {
                edge.keep_wish(&agent, wish, reason);
            }
            drop(reply.send(done));
        }
        Command::Desk(command) => super::desk::carry_out(control, now, command),
        Command::Conferences { reply } => drop(reply.send(control.conferences(now))),
        Command::Conference { name, reply } => {
            drop(reply.send(control.conference(now, &name)));
        }
        Command::AskConference { name, ask, reply } => {
            let _ = reply.send(control.ask_conference(now, &name, *ask));
        }
        Command::Supervise { calls, mode, reply } => {
            let _ = reply.send(control.supervise(now, calls, mode));
        }
        Command::Dismiss { call, reply } => drop(reply.send(control.dismiss(now, call))),
        Command::Mute {
            call,
            party,
            on,
            reply,
        } => drop(reply.send(control.mute(now, call, party, on))),
        Command::Endpoints { reply } => drop(reply.send(endpoints(control, now))),
        Command::AddEndpoint { new, reply } => {
            drop(reply.send(add_endpoint(control, &edge.realm, new)));
        }
        Command::RemoveEndpoint { name, reply } => {
            let _ = reply.send(remove_endpoint(control, now, &name));
        }
        Command::Explain { probe, reply } => drop(reply.send(control.rehearse(now, &probe))),
        Command::Refusals {
            call,
            id,
            limit,
            reply,
        } => {
            let kept = control.refusals();
            let of_id = |it: &&Refused| id.as_ref().is_none_or(|id| it.why.id == id);
            let age = |it: &Refused| (now - it.at, it.clone());
            let found = match &call {
                Some(call) => kept
                    .of_call(call)
                    .filter(of_id)
                    .take(limit)
                    .map(age)
                    .collect(),
                None => kept.iter().filter(of_id).take(limit).map(age).collect(),
            };
            drop(reply.send(found));
        }
        Command::Trunks { reply } => drop(reply.send(control.trunk_snapshots(now))),
        Command::PingTrunk { name, reply } => {
            let _ = reply.send(control.ping_trunk(now, &name));
        }
        Command::Bans { reply } => drop(reply.send(control.bans(now, BANS_LISTED))),
        Command::LiftBan { source, reply } => {
            let _ = reply.send(control.lift_ban(now, source));
        }
        Command::Access(command) => on_access(control, edge, now, command),
        Command::Reload { reply } => edge.reload(reply),
        Command::Counts { reply } => {
            let net = edge.net_counts.named().to_vec();
            let _ = reply.send(counts(now, control, net));
        }
    }
}

fn on_access(control: &mut Control, edge: &Edge, now: Now, command: AccessCommand) {
    match command {
        AccessCommand::MayLogIn { source, reply } => {
            let _ = reply.send(control.may_log_in(now, source));
        }
        AccessCommand::LoginFailed {
            source,
            secure,
            agent,
            reply,
        } => {
            control.login_failed(now, source, secure, &agent);
            let _ = reply.send(());
        }
        AccessCommand::Stands { subject, reply } => {
            let _ = reply.send(control.trunks().roll().stands(&subject));
        }
        AccessCommand::LogOut { subject, reply } => {
            control.log_out(now, &subject);
            let _ = reply.send(());
        }
        AccessCommand::PutCredential {
            credential,
            password,
            reply,
        } => {
            let endpoint = generated(&credential.endpoint, &edge.realm, &password);
            control.put_credential(now, credential, endpoint);
            let _ = reply.send(());
        }
        AccessCommand::EndCredential { id, reply } => {
            let _ = reply.send(control.end_credential(now, &id));
        }
        AccessCommand::HasEntry { number, reply } => {
            let _ = reply.send(control.has_entry(&number));
        }
    }
}

fn counts(now: Now, control: &mut Control, net: Vec<(&'static str, u64)>) -> Counts {
    let overload = control.overload_counts();
    let sip = control.sip_counts();
    let (calls, ports) = control.holds();
    let caps = control.trunks().trunks();
    let caps = caps.filter_map(|(trunk, _)| Some((trunk.name.clone(), trunk.calls?)));
    let trunks = control.trunks().trunks();
    Counts {
        calls,
        transactions: sip.transactions,
        dialogs: sip.dialogs,
        ports,
        registrations: control.registrations(),
        draining: control.is_draining(),
        trunks: trunks
            .map(|(trunk, calls)| (trunk.name.clone(), calls))
            .collect(),
        trunk_caps: caps.collect(),
        trunk_states: control.trunk_states(now),
        sip: SipCounts {
            malformed: sip.malformed,
            strays: sip.strays,
            refused_full: sip.refused_full,
            retransmissions: sip.retransmissions,
            forgotten: sip.forgotten,
        },
        overload,
        net,
        guard: control.guard_counts(),
        udp: control.udp_listeners().collect(),
    }
}

/// What keeps each agent of its queue from a call that waits.
fn waits_for(control: &Control, now: Now, call: CallId) -> Vec<WaitsFor> {
    let left = |obstacle| match obstacle {
        Obstacle::Resting { until } | Obstacle::WrapUp { until } => Some(until - now),
        _ => None,
    };
    let obstacles = control.center().why_waiting(call).unwrap_or_default();
    let waits = obstacles.into_iter().map(|(agent, obstacle)| WaitsFor {
        agent,
        obstacle,
        left: left(obstacle),
    });
    waits.collect()
}

fn snapshot(control: &Control, now: Now, call: CallSnapshot) -> api::CallSnapshot {
    let state = match call.state {
        "bridged" => CallState::Bridged,
        "waiting" => CallState::Queued,
        "ringing" => CallState::Ringing,
        _ => CallState::Answered,
    };
    api::CallSnapshot {
        call: call.call,
        direction: crate::call::Direction::Inbound,
        from: call.from,
        to: call.to,
        trunk: call.trunk,
        state,
        age: call.lasted,
        answered: call.answered,
        queue: call.queue,
        agent: call.agent,
        step: call.step,
        waits_for: waits_for(control, now, call.call),
        supervision: control
            .supervision(call.call)
            .map(|it| (it.supervisor, it.mode)),
        muted: control.muted(call.call),
        legs: None,
    }
}

fn endpoints(control: &Control, now: Now) -> Vec<EndpointSnapshot> {
    let all = control.trunks().endpoints();
    all.map(|endpoint| EndpointSnapshot {
        name: endpoint.name.clone(),
        configured: !control.is_run_time(&endpoint.name),
        contacts: control.contacts(now, &endpoint.name),
    })
    .collect()
}

fn remove_endpoint(control: &mut Control, now: Now, name: &str) -> Result<(), EndpointRefused> {
    if control.trunks().endpoint(name).is_none() {
        return Err(EndpointRefused::Unknown);
    }
    // It is the credential's, which is removed by its own name.
    if control.is_credential(name) {
        return Err(EndpointRefused::Unknown);
    }
    if !control.is_run_time(name) {
        return Err(EndpointRefused::Configured);
    }
    control.remove_endpoint(now, name);
    Ok(())
}

/// A stored endpoint in the words of `trunk`; `None` if its hashes are of another realm or broken.
pub(super) fn endpoint_of(row: &EndpointRow, realm: &str) -> Option<EndpointConfig> {
    let hashes = vec![
        Ha1::from_hex(&row.ha1_md5, Algorithm::Md5)?,
        Ha1::from_hex(&row.ha1_sha256, Algorithm::Sha256)?,
        Ha1::from_hex(&row.ha1_sha512_256, Algorithm::Sha512_256)?,
    ];
    let secrets = Secrets::from_hashes(hashes, Digests::default()).ok()?;
    (row.realm == realm).then(|| EndpointConfig {
        name: row.name.clone(),
        secrets: Some(secrets),
        sources: Vec::new(),
        codecs: Vec::new(),
        contacts_max: CONTACTS_MAX,
        contact: None,
        caller_id: row.caller_id.clone(),
        limits: crate::trunk::Limits::default(),
        handling: Handling::ENDPOINT,
    })
}

/// The endpoint that a telephony credential is.
pub(super) fn generated(name: &str, realm: &str, password: &Secret) -> EndpointConfig {
    let secrets = Secrets::from_password(name, realm, password.reveal(), GENERATED_DIGESTS);
    EndpointConfig {
        name: name.to_owned(),
        secrets: Some(secrets),
        sources: Vec::new(),
        codecs: Vec::new(),
        contacts_max: CONTACTS_MAX,
        contact: None,
        caller_id: None,
        limits: crate::trunk::Limits::default(),
        handling: Handling::ENDPOINT,
    }
}

/// Hashes a new endpoint's password and admits it.
pub(super) fn add_endpoint(
    control: &mut Control,
    realm: &str,
    new: NewEndpoint,
) -> Result<EndpointRow, EndpointRefused> {
    if new.name.is_empty() || sip::message::escape_user(&new.name) != new.name {
        return Err(EndpointRefused::BadName);
    }
    if control.trunks().endpoint(&new.name).is_some() {
        let made = control.is_run_time(&new.name);
        return Err(if made {
            EndpointRefused::Taken
        } else {
            EndpointRefused::Configured
        });
    }
    let hash =
        |algorithm| Ha1::from_password(&new.name, realm, new.password.reveal(), algorithm).to_hex();
    let row = EndpointRow {
        realm: realm.to_owned(),
        ha1_md5: hash(Algorithm::Md5),
        ha1_sha256: hash(Algorithm::Sha256),
        ha1_sha512_256: hash(Algorithm::Sha512_256),
        caller_id: new.caller_id.clone(),
        created_at: new.created_ms,
        name: new.name,
    };
    let endpoint = endpoint_of(&row, realm).ok_or(EndpointRefused::BadName)?;
    control.put_endpoint(endpoint);
    Ok(row)
}

/// Bans that are listed at once.
const BANS_LISTED: usize = 1_000;
/// Phones that one run-time endpoint may have registered at once.
const CONTACTS_MAX: usize = 8;
