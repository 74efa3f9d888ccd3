//! When control is behind: what waits is put in order, and what cannot be served in time is refused
//! for little, before a transaction, a session or admission is touched.
//!
//! ```text
//!  offer ─▶ glance ─┬─ going: what belongs to a dialog, responses, ACK, CANCEL, BYE, emergency calls ─▶ first
//!                   │         (from an address that nobody knows: what names a token of ours)
//!                   ├─ calls: new INVITEs of trunks, and of others with credentials ────────────────▶ then
//!                   └─ rest:  OPTIONS, REGISTER, strangers ─▶ last, but one turn in sixteen at least
//! ```
//!
//! The law, after CoDel (RFC 8289): the *delay* is how long the oldest new call waits. While it stays
//! above `target` for `interval`, an episode begins; within it a new call is refused at once (503,
//! Retry-After jittered) whenever the oldest waits longer than half of `target`, so that the server
//! stays busy and nobody waits long. Whom the tables have no room for is refused at once too. An episode ends a second after the last refusal. Refusing costs
//! too: more than `refusals_per_second` are not answered at all, and the [`Gate`] keeps what is
//! beyond that from being read.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use clock::Now;
use sip::message::{Glance, Method, Name};
use sip::transport::{Flow, Transport};
use sip::ua::Load;

use super::gate::{Gate, Gauge};
use super::random::Random;
use super::{Control, Event, Output, What};
use crate::config::{ConfigError, Section};

/// The `overload` section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverloadConfig {
    /// Whether anything is ever refused for delay (`enabled`).
    pub enabled: bool,
    /// How long the oldest new call may wait (`target`): below what a caller notices.
    pub target: Duration,
    /// How long that may last before it is more than a burst (`interval`).
    pub interval: Duration,
    /// New calls that may wait (`waiting`): a burst that is served within a second.
    pub waiting_max: usize,
    /// 503s a second (`refusals_per_second`); more new calls are dropped unanswered. Each costs about
    /// a tenth of what a call does.
    pub refusals_per_second: u32,
    /// What Retry-After asks for at least; at most twice that, drawn for each (`retry_after`).
    pub retry_after: Duration,
    /// Whether the system's own filter drops what would only be read to be thrown away (`gate`).
    pub gate: bool,
}

impl Default for OverloadConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            target: Duration::from_millis(20),
            interval: Duration::from_millis(100),
            waiting_max: 1_024,
            refusals_per_second: 15_000,
            retry_after: Duration::from_secs(5),
            gate: true,
        }
    }
}

impl OverloadConfig {
    /// Reads the section; what is absent is as in [`OverloadConfig::default`].
    ///
    /// # Errors
    /// [`ConfigError`] with key, rule and value.
    pub fn read(mut file: Section) -> Result<Self, ConfigError> {
        let usual = Self::default();
        let ms = Duration::from_millis;
        let seconds = Duration::from_secs;
        let read = Self {
            enabled: file.boolean("enabled")?.unwrap_or(usual.enabled),
            target: file
                .duration("target", ms(1)..=ms(1_000))?
                .unwrap_or(usual.target),
            interval: file
                .duration("interval", ms(10)..=seconds(10))?
                .unwrap_or(usual.interval),
            waiting_max: file
                .integer("waiting", 16..=65_536)?
                .and_then(|it| usize::try_from(it).ok())
                .unwrap_or(usual.waiting_max),
            refusals_per_second: file
                .integer("refusals_per_second", 1..=1_000_000)?
                .and_then(|it| u32::try_from(it).ok())
                .unwrap_or(usual.refusals_per_second),
            retry_after: file
                .duration("retry_after", seconds(1)..=seconds(600))?
                .unwrap_or(usual.retry_after),
            gate: file.boolean("gate")?.unwrap_or(usual.gate),
        };
        file.finish()?;
        Ok(read)
    }
}

/// What a message is to a server that is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Going,
    Call,
    Rest,
}

/// What overload control has done since the start, and where it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OverloadCounts {
    /// How long the message taken last had waited.
    pub delay: Duration,
    /// The longest since the counts were last taken.
    pub delay_max: Duration,
    /// Messages that wait now.
    pub waiting: usize,
    /// Whether an episode goes on.
    pub is_over: bool,
    /// Episodes begun.
    pub episodes: u64,
    /// New calls refused with 503.
    pub refused: u64,
    /// New calls dropped unanswered, beyond the refusals that a second has.
    pub dropped: u64,
    /// Messages of strangers, OPTIONS and REGISTER dropped.
    pub rest_dropped: u64,
    /// Messages of calls in progress dropped because too many wait: never in good order.
    pub going_dropped: u64,
}

/// One message that waits.
#[derive(Debug)]
struct Waiting {
    since: Now,
    flow: Flow,
    bytes: Bytes,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// `above`: since when the oldest call waits too long.
    Calm { above: Option<Now> },
    /// `last`: when something was last refused.
    Over { since: Now, last: Now, refused: u64 },
}

/// What becomes of a message that is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Wait,
    Refuse,
    Drop,
}

/// The queues and the law.
#[derive(Debug)]
pub(super) struct Intake {
    config: OverloadConfig,
    going: VecDeque<Waiting>,
    calls: VecDeque<Waiting>,
    rest: VecDeque<Waiting>,
    turn: u8,
    state: State,
    /// Refusals left, thousandths; and since when.
    tokens: u64,
    filled: Now,
    gauge: Gauge,
    counts: OverloadCounts,
    random: Random,
}

impl Intake {
    pub(super) fn new(config: OverloadConfig, now: Now, seed: u64) -> Self {
        Self {
            going: VecDeque::new(),
            calls: VecDeque::new(),
            rest: VecDeque::new(),
            turn: 0,
            state: State::Calm { above: None },
            tokens: u64::from(config.refusals_per_second) * 100,
            filled: now,
            gauge: Gauge::new(now, config.refusals_per_second),
            counts: OverloadCounts::default(),
            random: Random::new(seed),
            config,
        }
    }

    pub(super) fn set_config(&mut self, config: OverloadConfig) {
        self.gauge.set_refusals(config.refusals_per_second);
        self.config = config;
    }

    fn delay(&self, now: Now) -> Duration {
        self.calls
            .front()
            .map_or(Duration::ZERO, |it| now.since(it.since))
    }

    /// `room`: whether the tables would take one call more than those that wait.
    fn judge(&mut self, now: Now, class: Class, room: bool) -> Verdict {
        let enabled = self.config.enabled;
        match class {
            Class::Going if self.going.len() < GOING_MAX => Verdict::Wait,
            Class::Going => {
                self.counts.going_dropped += 1;
                Verdict::Drop
            }
            Class::Rest => {
                let over = enabled && matches!(self.state, State::Over { .. });
                let room = if over { REST_MAX / 8 } else { REST_MAX };
                self.gauge.rest(self.rest.len() >= room);
                if self.rest.len() < room {
                    return Verdict::Wait;
                }
                self.counts.rest_dropped += 1;
                Verdict::Drop
            }
            Class::Call => {
                let verdict = self.judge_call(now, room);
                self.gauge.call(verdict == Verdict::Wait);
                verdict
            }
        }
    }

    fn judge_call(&mut self, now: Now, room: bool) -> Verdict {
        if !self.config.enabled {
            return Verdict::Wait;
        }
        let delay = self.delay(now);
        let is_full = self.calls.len() >= self.config.waiting_max || !room;
        let shed = match self.state {
            State::Over { .. } => delay > self.config.target / 2 || is_full,
            State::Calm { above: Some(since) } => {
                is_full || now.since(since) >= self.config.interval
            }
            State::Calm { above: None } => is_full,
        };
        if !shed {
            return Verdict::Wait;
        }
        match &mut self.state {
            State::Over { last, refused, .. } => {
                *last = now;
                *refused += 1;
            }
            State::Calm { .. } => {
                self.counts.episodes += 1;
                self.state = State::Over {
                    since: now,
                    last: now,
                    refused: 1,
                };
            }
        }
        if self.may_refuse(now) {
            self.counts.refused += 1;
            Verdict::Refuse
        } else {
            self.counts.dropped += 1;
            Verdict::Drop
        }
    }

    /// A bucket of a tenth of a second's refusals.
    fn may_refuse(&mut self, now: Now) -> bool {
        let rate = u64::from(self.config.refusals_per_second);
        let passed = now.since(self.filled).as_micros();
        self.filled = now;
        let gained = u64::try_from(passed)
            .unwrap_or(u64::MAX)
            .saturating_mul(rate)
            / 1_000;
        let full = (rate * 100).max(1_000);
        self.tokens = self.tokens.saturating_add(gained).min(full);
        let may = self.tokens >= 1_000;
        self.tokens -= if may { 1_000 } else { 0 };
        may
    }

    fn push(&mut self, class: Class, waiting: Waiting) {
        match class {
            Class::Going => self.going.push_back(waiting),
            Class::Call => self.calls.push_back(waiting),
            Class::Rest => self.rest.push_back(waiting),
        }
    }

    /// The next message: what goes on before what begins, and that before the rest, which has one turn
    /// in sixteen of its own.
    fn take(&mut self, now: Now) -> Option<Waiting> {
        self.watch(now);
        self.turn = (self.turn + 1) % REST_TURN;
        let first = if self.turn == 0 {
            self.rest.pop_front()
        } else {
            None
        };
        let next = first
            .or_else(|| self.going.pop_front())
            .or_else(|| self.calls.pop_front())
            .or_else(|| self.rest.pop_front())?;
        let delay = now.since(next.since);
        self.counts.delay = delay;
        self.counts.delay_max = self.counts.delay_max.max(delay);
        Some(next)
    }

    /// Notes since when the oldest call waits too long.
    fn watch(&mut self, now: Now) {
        let late = self.delay(now) > self.config.target;
        if let State::Calm { above } = &mut self.state {
            *above = if late { above.or(Some(now)) } else { None };
        }
    }

    /// Ends an episode whose last refusal is long ago.
    fn settle(&mut self, now: Now) -> Option<(Duration, u64)> {
        let State::Over {
            since,
            last,
            refused,
        } = self.state
        else {
            return None;
        };
        if now.since(last) < CALM {
            return None;
        }
        self.state = State::Calm { above: None };
        Some((last.since(since), refused))
    }

    fn retry_after_secs(&mut self) -> u32 {
        let least = u32::try_from(self.config.retry_after.as_secs()).unwrap_or(u32::MAX);
        let spread = u64::from(least) + 1;
        let more = u32::try_from(self.random.next() % spread).unwrap_or(0);
        least.saturating_add(more)
    }
}

impl Control {
    /// Puts other bounds in force.
    pub fn set_overload(&mut self, config: OverloadConfig) {
        self.intake.set_config(config);
    }

    /// Takes one message as it was received, to be served in its order ([`Control::next`]); refuses it
    /// here and now when control is behind.
    pub fn offer(&mut self, now: Now, flow: Flow, bytes: Bytes) {
        if !self.hears(now, flow) {
            return;
        }
        let Some(glance) = Glance::of(&bytes) else {
            // What is no message is heard with the strangers: it may earn a 400, or nothing.
            return self.admit_to(
                now,
                Class::Rest,
                Waiting {
                    since: now,
                    flow,
                    bytes,
                },
            );
        };
        if self.ua.is_ack_of_rebuff(&glance) {
            return;
        }
        let class = self.class_of(flow, &glance);
        let was_over = matches!(self.intake.state, State::Over { .. });
        let room = self.ua.has_room_for_call(now, self.intake.calls.len());
        let mut verdict = self.intake.judge(now, class, room);
        let class = match verdict {
            // It may repeat a request that has its transaction, and with it its answer.
            Verdict::Refuse | Verdict::Drop if class == Class::Call && self.ua.knows(&glance) => {
                verdict = Verdict::Wait;
                Class::Going
            }
            _ => class,
        };
        match verdict {
            Verdict::Wait => {
                let waiting = Waiting {
                    since: now,
                    flow,
                    bytes,
                };
                self.intake.push(class, waiting);
            }
            Verdict::Refuse => {
                // It is not looked at further, but its bytes came: so much may be answered.
                self.guard.received(now, flow, bytes.len());
                let seconds = self.intake.retry_after_secs();
                let rebuff = self.ua.rebuff(flow, &glance, seconds);
                if let Some((flow, bytes)) = rebuff
                    && self.guard.may_send(now, flow, &bytes)
                {
                    self.outputs.push_back(Output::Rebuff { flow, bytes });
                }
            }
            Verdict::Drop => {}
        }
        if !was_over && matches!(self.intake.state, State::Over { .. }) {
            let delay = self.intake.delay(now);
            self.tell_overload(now, What::Overloaded { delay });
        }
    }

    /// The message whose turn it is, for [`Control::receive`].
    pub fn next(&mut self, now: Now) -> Option<(Flow, Bytes)> {
        let next = self.intake.take(now)?;
        Some((next.flow, next.bytes))
    }

    /// Whether messages wait for [`Control::next`].
    pub fn has_waiting(&self) -> bool {
        let intake = &self.intake;
        !(intake.going.is_empty() && intake.calls.is_empty() && intake.rest.is_empty())
    }

    /// Looks after the law while messages come or not: the end of an episode, what peers are told, the
    /// gate. Cheap: to be called at each turn of the loop.
    pub fn look_after_load(&mut self, now: Now) {
        if let Some((lasted, refused)) = self.intake.settle(now) {
            self.tell_overload(now, What::Relieved { lasted, refused });
        }
        let Some(share) = self.intake.gauge.turn(now) else {
            return;
        };
        let sequence_ms = u64::try_from(self.wall.at(now).as_millisecond()).unwrap_or(0);
        self.ua.set_load(Load {
            reduce_percent: share.reduce_percent,
            validity_ms: if share.reduce_percent == 0 {
                0
            } else {
                VALIDITY_MS
            },
            sequence_ms,
        });
        if !self.intake.config.gate || !self.intake.config.enabled {
            return;
        }
        if let Some(pass) = share.pass {
            let gate = Gate {
                pass,
                emergency: self.trunks.emergency().numbers().to_vec(),
                known: self.trunks.known_networks(),
            };
            self.outputs.push_back(Output::Gate(gate));
        }
    }

    /// When [`Control::look_after_load`] wants to be called though nothing comes.
    pub(super) fn load_deadline(&self) -> Option<Now> {
        match self.intake.state {
            State::Over { last, .. } => Some(last + CALM),
            State::Calm { .. } => self.intake.gauge.deadline(),
        }
    }

    /// What overload control has done; the longest delay begins anew.
    pub fn overload_counts(&mut self) -> OverloadCounts {
        let intake = &mut self.intake;
        let counts = OverloadCounts {
            waiting: intake.going.len() + intake.calls.len() + intake.rest.len(),
            is_over: matches!(intake.state, State::Over { .. }),
            ..intake.counts
        };
        intake.counts.delay_max = Duration::ZERO;
        counts
    }

    fn class_of(&self, flow: Flow, glance: &Glance<'_>) -> Class {
        let by_trunk = self.trunks.is_of_trunk(flow);
        // A connection that was let in is no forged source.
        let known = by_trunk || flow.transport != Transport::Udp || self.trunks.may_speak(flow);
        if !known {
            // A call may go on by an address that nobody configured: its own tokens tell it.
            let awaited = self.ua.awaits(glance);
            return if awaited { Class::Going } else { Class::Rest };
        }
        if !glance.opens() {
            return Class::Going;
        }
        match glance.method() {
            Some(Method::Invite) if self.trunks.is_emergency_uri(glance.uri()) => Class::Going,
            Some(Method::Invite) if by_trunk => Class::Call,
            Some(Method::Invite)
                if glance.has(Name::Authorization) || glance.has(Name::ProxyAuthorization) =>
            {
                Class::Call
            }
            _ => Class::Rest,
        }
    }

    fn admit_to(&mut self, now: Now, class: Class, waiting: Waiting) {
        if self.intake.judge(now, class, true) == Verdict::Wait {
            self.intake.push(class, waiting);
        }
    }

    fn tell_overload(&mut self, now: Now, what: What) {
        self.outputs.push_back(Output::Event(Event {
            at: now,
            call: None,
            what,
        }));
    }
}

/// Messages of calls in progress that may wait: four for each of a second's calls.
const GOING_MAX: usize = 16_384;
/// Messages of the rest that may wait; an eighth of that in an episode.
const REST_MAX: usize = 512;
/// Of so many turns one is the rest's.
const REST_TURN: u8 = 16;
/// How long after its last refusal an episode is over.
const CALM: Duration = Duration::from_secs(1);
/// For how long what peers are told of our load holds: a few looks.
const VALIDITY_MS: u32 = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_the_tables_have_no_room_for_is_refused_before_he_waits() {
        let mut intake = Intake::new(OverloadConfig::default(), Now::ZERO, 1);
        let judged = [true, false, true].map(|room| intake.judge(Now::ZERO, Class::Call, room));
        // And whoever finds room then is served, though an episode goes on.
        assert_eq!(judged, [Verdict::Wait, Verdict::Refuse, Verdict::Wait]);
        assert_eq!(intake.counts.refused, 1);
        // What goes on makes room, and is never asked for any.
        let going = intake.judge(Now::ZERO, Class::Going, false);
        assert_eq!(going, Verdict::Wait);
    }
}
