//! What control wants outside, carried out: clips, recordings, records, events.
//!
//! Nothing here waits on the control thread: each way out is a bounded queue, and what a full one means
//! is said at its place.

use std::sync::Arc;

use clock::Now;
use media::source::Clip;
use tokio::sync::broadcast;
use tokio_util::task::TaskTracker;

use super::reload::Reloader;
use super::shard::ShardHandle;
use crate::api::{self, Reloaded};
use crate::call::{CallId, ClipRequest, LegFigures, Listening, Prompt};
use crate::center::{AgentId, Wish};
use crate::control::{Event, Output, What};
use crate::io::clock::SystemClock;
use crate::io::dns::Dns;
use crate::io::net::NetCounts;
use crate::io::record::{Order, Recorder, RecordingId};
use crate::io::voice::{Hearing, VoiceId, VoicePool};
use crate::prompt::ClipLibrary;
use crate::store::{self, AgentRow, Anchor, CdrRow, Record, RegistrationRow, Writer};
use crate::trunk::{Change, Question};

/// The control thread's ways out.
pub(super) struct Edge {
    pub(super) clock: SystemClock,
    /// The realm of our digests.
    pub(super) realm: String,
    pub(super) clips: ClipLibrary,
    pub(super) dns: Dns,
    pub(super) recorder: Recorder,
    pub(super) voices: VoicePool,
    pub(super) writer: Writer,
    pub(super) events: broadcast::Sender<Event>,
    pub(super) handle: ShardHandle,
    pub(super) reloader: Arc<Reloader>,
    pub(super) net_counts: Arc<NetCounts>,
    pub(super) runtime: tokio::runtime::Handle,
    pub(super) tasks: TaskTracker,
}

impl Edge {
    pub(super) fn carry_out(&self, output: Output) {
        match output {
            Output::LoadClips { call, request } => self.load(call, request),
            Output::Record {
                call,
                part,
                file,
                key,
                rate,
                frames,
            } => {
                let order = Order {
                    id: RecordingId { call: call.0, part },
                    path: file.into(),
                    rate,
                    key,
                    began_ms: self.anchor().wall_ms,
                };
                if self.recorder.record(order, frames).is_err() {
                    tracing::error!(%call, "the recorder takes no more recordings");
                    metrics::counter!("tandem_recordings_refused_total").increment(1);
                }
            }
            Output::Listen { call, listening } => self.listen(call, *listening),
            Output::Cdr(cdr) => {
                metrics::counter!("tandem_calls_ended_total").increment(1);
                cdr.legs.iter().for_each(rated);
                self.write(Record::Cdr(Box::new(CdrRow::new(&cdr, self.anchor()))));
            }
            Output::Registered(change) => self.registered(change),
            Output::Usage(row) => self.write(Record::Usage(row)),
            Output::Event(event) => self.tell(event),
            Output::Resolve(question) => self.resolve(question),
            Output::Transmit { .. }
            | Output::Rebuff { .. }
            | Output::Vouch { .. }
            | Output::Close { .. }
            | Output::RecordEnded { .. }
            | Output::Gate(_)
            | Output::Note(_)
            | Output::Captured(_) => {}
        }
    }

    /// The moment that pairs both clocks, read anew each time: the wall clock may be set.
    pub(super) fn anchor(&self) -> Anchor {
        Anchor {
            now: self.clock.now(),
            wall_ms: self.clock.wall().as_millisecond(),
        }
    }

    /// Has a voice thread listen to a leg. When they are full the leg's voice goes as it is.
    fn listen(&self, call: CallId, listening: Listening) {
        let hearing = Hearing {
            id: VoiceId(call.0, listening.leg.0),
            wanted: listening.wanted,
            patience: listening.patience,
            tap: listening.end.tap,
            back: Some(listening.end.back),
            listener: None,
        };
        if self.voices.listen(hearing).is_err() {
            tracing::error!(%call, "the voice threads take no more legs");
            metrics::counter!("tandem_voice_refused_total").increment(1);
        }
    }

    /// Keeps what an agent wishes, for the next start.
    pub(super) fn keep_wish(&self, agent: &AgentId, wish: Wish, reason: Option<String>) {
        self.write(Record::Agent(AgentRow {
            name: agent.to_string(),
            wish: wish.name().to_owned(),
            reason: reason.filter(|_| !wish.takes_calls()),
            since: self.anchor().wall_ms,
        }));
    }

    /// Reads dialplans and configuration again, beside the control thread.
    pub(super) fn reload(&self, reply: api::Reply<Result<Reloaded, Vec<String>>>) {
        let reloader = self.reloader.clone();
        self.tasks.spawn_on(
            async move {
                // The client may have gone away.
                let _ = reply.send(reloader.reload().await);
            },
            &self.runtime,
        );
    }

    /// A record waits for room at the edge when the store is behind; control does not.
    fn write(&self, record: Record) {
        let edge = (&self.tasks, &self.runtime);
        if self.writer.keep(record, edge).is_err() {
            store::lost("the store has not written for long, and as many wait as may");
        }
    }

    fn resolve(&self, question: Question) {
        let (dns, handle) = (self.dns.clone(), self.handle.clone());
        self.tasks.spawn_on(
            async move {
                let answer = dns.answer(&question).await;
                handle
                    .tell(move |control, now: Now| control.resolved(now, &question, answer))
                    .await;
            },
            &self.runtime,
        );
    }

    fn load(&self, call: CallId, request: ClipRequest) {
        let clips = self.clips.clone();
        let handle = self.handle.clone();
        self.tasks.spawn_on(
            async move {
                let ClipRequest { leg, play, items } = request;
                let loaded = load_all(&clips, items).await;
                handle
                    .tell(move |control, now: Now| {
                        control.clips_loaded(now, call, leg, play, loaded);
                    })
                    .await;
            },
            &self.runtime,
        );
    }

    fn registered(&self, change: Change) {
        let record = match change {
            Change::Bound(row) => {
                Record::Registered(RegistrationRow::of(&row, self.anchor().wall_ms))
            }
            Change::Unbound { endpoint, contact } => Record::Unregistered {
                endpoint,
                contact: Some(contact),
            },
            Change::Reachable { .. } | Change::Moved { .. } => return,
        };
        self.write(record);
    }

    fn tell(&self, event: Event) {
        log(&event);
        // Nobody may be watching.
        let _ = self.events.send(event);
    }
}

async fn load_all(clips: &ClipLibrary, items: Vec<Prompt>) -> Result<Vec<Arc<Clip>>, String> {
    let mut loaded = Vec::with_capacity(items.len());
    for item in items {
        loaded.push(clips.load(item).await.map_err(|error| error.to_string())?);
    }
    Ok(loaded)
}

/// Publishes how one leg fared, by its trunk: endpoints have none.
fn rated(leg: &LegFigures) {
    let stats = &leg.stats;
    let labels = [("trunk", leg.trunk.clone().unwrap_or_default())];
    if let Some(rating) = stats.rating {
        metrics::histogram!("tandem_leg_mos", &labels).record(rating.mos());
    }
    if let Some(rating) = stats.peer_rating {
        metrics::histogram!("tandem_leg_peer_mos", &labels).record(rating.mos());
    }
    if stats.received > 0 {
        let jitter = stats.jitter_max.as_secs_f64();
        metrics::histogram!("tandem_leg_jitter_max_seconds", &labels).record(jitter);
    }
    if let Some(time) = stats.round_trip {
        metrics::histogram!("tandem_leg_round_trip_seconds", &labels).record(time.as_secs_f64());
    }
}

/// One log line an event; what people say and press stays out of it.
fn log(event: &Event) {
    // Written only where somebody reads such lines.
    let call = || event.call.map(|call| call.to_string()).unwrap_or_default();
    match &event.what {
        What::Initiated { from, to } => tracing::info!(call = call(), from, to, "call"),
        What::Refused {
            status,
            why,
            request,
        } => {
            metrics::counter!("tandem_sip_rejected_total", "status" => status.to_string())
                .increment(1);
            let source = request
                .as_ref()
                .map(|it| tracing::field::display(it.source));
            let why_id = why.id;
            tracing::warn!(status, source, id = why_id, why = why.sentence(), "refused");
        }
        What::AuthFailed {
            source,
            transport,
            is_proven,
            user,
            method,
            banned,
        } => {
            // fail2ban reads these lines: contrib/fail2ban/tandem.conf, held to them by a test. What
            // the sender chose stands last.
            let transport = transport.uri_name();
            if *is_proven {
                tracing::warn!(%source, transport, method, user, "authentication failed");
            } else {
                tracing::warn!(unproven = %source, transport, method, user, "authentication failed");
            }
            if let Some(lasts) = banned {
                tracing::warn!(%source, seconds = lasts.as_secs(), "source banned");
            }
        }
        What::Answered => tracing::info!(call = call(), "answered"),
        What::Step { flow, step } => tracing::debug!(call = call(), flow, step, "step"),
        What::Digit(_) => tracing::debug!(call = call(), "digit"),
        What::Queued { queue } => tracing::info!(call = call(), queue, "queued"),
        What::Conferring { name } => tracing::info!(call = call(), name, "in a conference"),
        What::Offered { agent } => tracing::info!(call = call(), agent, "offered"),
        What::Bridged { with } => tracing::info!(call = call(), with, "bridged"),
        What::Transferred { by, to, how } => {
            tracing::info!(call = call(), by, to, how = how.name(), "transferred");
        }
        What::Rerouted {
            trunk,
            from,
            to,
            why,
        } => {
            metrics::counter!("tandem_trunk_rerouted_total", "trunk" => trunk.clone()).increment(1);
            tracing::warn!(call = call(), trunk, %from, %to, why, "rerouted");
        }
        What::Registration { trunk, state, why } => {
            tracing::warn!(trunk, state = state.name(), why, "registration");
        }
        What::Target {
            trunk,
            target,
            state,
            why,
        } => tracing::warn!(trunk, %target, state = state.name(), why, "target"),
        What::Recording { file } => tracing::info!(call = call(), file, "recording"),
        What::Hearing { who, is } => {
            metrics::counter!("tandem_audio_lost_total", "state" => is.name()).increment(1);
            tracing::warn!(call = call(), who, is = is.name(), "audio");
        }
        What::Talk { party, spurt } => {
            tracing::debug!(call = call(), party = party.name(), ?spurt, "talk");
        }
        What::Supervision { by, is } => {
            let mode = is.map_or("none", |mode| mode.name());
            tracing::info!(call = call(), %by, mode, "supervised");
        }
        What::Trouble(why) if matches!(why.id, "callee-busy" | "callee-no-answer") => {
            tracing::info!(call = call(), id = why.id, why = why.sentence(), "trouble");
        }
        What::Trouble(why) => {
            tracing::warn!(call = call(), id = why.id, why = why.sentence(), "trouble");
        }
        What::HungUp { cause } => tracing::info!(call = call(), %cause, "ended"),
        What::Missed { agent, missed } => {
            tracing::info!(call = call(), agent, why = missed.why.name(), "missed");
        }
        What::Agent { agent, state } => tracing::info!(agent, state = state.name(), "agent"),
        What::Emergency { from, to } => {
            metrics::counter!("tandem_emergency_calls_total").increment(1);
            tracing::warn!(call = call(), from, to, "emergency call");
        }
        What::LimitNear(alarm) => {
            let (owner, percent, limit) = (&alarm.owner, alarm.percent, &alarm.limit);
            let labels = [
                ("kind", owner.kind.name()),
                ("percent", if percent < 100 { "80" } else { "100" }),
            ];
            metrics::counter!("tandem_limit_alarms_total", &labels).increment(1);
            tracing::warn!(%owner, percent, limit, "limit");
        }
        What::Reachable { endpoint, yes } => tracing::info!(endpoint, yes, "reachable"),
        What::Overloaded { delay } => tracing::warn!(
            waited_ms = delay.as_millis(),
            "overloaded: new calls are refused with 503 until the queueing delay falls"
        ),
        What::Relieved { lasted, refused } => {
            tracing::warn!(
                lasted_ms = lasted.as_millis(),
                refused,
                "no longer overloaded"
            );
        }
    }
}
