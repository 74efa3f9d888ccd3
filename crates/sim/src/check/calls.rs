//! Laws of calls: events form words of a grammar, one record each, durations that are true.

use std::collections::BTreeMap;

use clock::{Duration, Now};
use sip::message::Method;
use tandem::call::{CallId, Cause, Cdr, How};
use tandem::control::{Event, What};

use super::Seen;

/// What events have told of one call.
#[derive(Debug)]
struct Life {
    from: String,
    began: Now,
    answered: Option<Now>,
    bridged: Option<Now>,
    queued: bool,
    over: Option<(Now, Cause)>,
    recorded: bool,
}

/// What the wire has shown of one caller.
#[derive(Clone, Copy, Debug, Default)]
struct Seat {
    invited: Option<Now>,
    accepted: Option<Now>,
    /// The ACK of the 200 came: from then on a BYE may follow at once (RFC 3261 §15).
    confirmed: Option<Now>,
    /// It asked for a transfer: its call may outlive it, whatever becomes of that.
    referred: bool,
    /// The first word of the end, from either side.
    ended: Option<Now>,
}

/// All calls of a world.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    lives: BTreeMap<CallId, Life>,
    /// Callers that call once, by the number they call from.
    hosts: BTreeMap<String, usize>,
    seats: BTreeMap<usize, Seat>,
    talked: Duration,
    bridged: usize,
}

impl Calls {
    /// That host makes one call and is known by that number.
    pub(crate) fn expect(&mut self, from: String, host: usize) {
        self.hosts.insert(from, host);
    }

    /// The host that calls from that number.
    pub(crate) fn host_called(&self, number: &str) -> Option<usize> {
        self.hosts.get(number).copied()
    }

    /// The host that makes that call, if it makes but one.
    pub(crate) fn host_of(&self, call: CallId) -> Option<usize> {
        self.hosts.get(&self.lives.get(&call)?.from).copied()
    }

    /// Who began that call.
    pub(crate) fn from(&self, call: CallId) -> Option<&str> {
        self.lives.get(&call).map(|life| life.from.as_str())
    }

    /// Calls that began, and of those the ones that were bridged.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.lives.len(), self.bridged)
    }

    /// From INVITE to end, over all records.
    pub(crate) fn lasted(&self) -> Duration {
        self.talked
    }

    pub(super) fn server_heard(&mut self, now: Now, host: usize, seen: &Seen) {
        let seat = self.seats.entry(host).or_default();
        match (seen.method, seen.status) {
            (Some(Method::Invite), 0) if !seen.inside => {
                seat.invited.get_or_insert(now);
            }
            (Some(Method::Ack), 0) if seat.accepted.is_some() => {
                seat.confirmed.get_or_insert(now);
            }
            // A CANCEL that crosses the answer changes nothing (RFC 3261 §9.2).
            (Some(Method::Cancel), 0) if seat.accepted.is_some() => {}
            (Some(Method::Refer), 0) => seat.referred = true,
            (Some(Method::Bye | Method::Cancel), 0) => {
                seat.ended.get_or_insert(now);
            }
            _ => {}
        }
    }

    pub(super) fn server_said(&mut self, now: Now, host: usize, seen: &Seen) {
        let seat = self.seats.entry(host).or_default();
        match (seen.method, seen.status) {
            (Some(Method::Invite), 200..=299) => {
                seat.accepted.get_or_insert(now);
            }
            (Some(Method::Invite), 300..) if seat.accepted.is_none() => {
                seat.ended.get_or_insert(now);
            }
            (Some(Method::Bye), 0) => {
                seat.ended.get_or_insert(now);
            }
            _ => {}
        }
    }

    pub(super) fn event(&mut self, event: &Event) -> Option<String> {
        let call = event.call?;
        if let What::Initiated { from, .. } = &event.what {
            let life = Life {
                from: from.clone(),
                began: event.at,
                answered: None,
                bridged: None,
                queued: false,
                over: None,
                recorded: false,
            };
            let before = self.lives.insert(call, life);
            return before.map(|_| format!("{call} began twice"));
        }
        let Some(life) = self.lives.get_mut(&call) else {
            return Some(format!("{call} speaks before it began: {:?}", event.what));
        };
        if life.over.is_some() {
            return Some(format!("{call} speaks after its end: {:?}", event.what));
        }
        let wrong = |why: &str| Some(format!("{call}: {why}"));
        match &event.what {
            What::Answered if life.answered.is_some() => return wrong("was answered twice"),
            What::Answered => life.answered = Some(event.at),
            What::Queued { .. } => life.queued = true,
            What::Offered { .. } if !life.queued => return wrong("was offered, but never queued"),
            What::Bridged { .. } => {
                if life.answered.is_none() {
                    return wrong("was bridged before it was answered");
                }
                if life.bridged.is_none() {
                    self.bridged += 1;
                }
                life.bridged.get_or_insert(event.at);
            }
            // A caller who waits can only be replaced.
            What::Transferred { how, .. } if life.bridged.is_none() && *how != How::Replaced => {
                return wrong("was transferred before it was bridged");
            }
            What::Recording { .. } if life.answered.is_none() => {
                return wrong("was recorded before it was answered");
            }
            What::HungUp { cause } => life.over = Some((event.at, *cause)),
            _ => {}
        }
        None
    }

    pub(super) fn record(&mut self, now: Now, cdr: &Cdr) -> Vec<String> {
        let call = cdr.call;
        let seat = self
            .host_of(call)
            .and_then(|host| self.seats.get(&host))
            .copied();
        let Some(life) = self.lives.get_mut(&call) else {
            return vec![format!("a record of {call}, which never began")];
        };
        let mut broken = Vec::new();
        let mut check = |holds: bool, what: &str| {
            if !holds {
                broken.push(format!("the record of {call}: {what}: {cdr:?}"));
            }
        };
        check(!life.recorded, "is the second");
        life.recorded = true;
        let over = life.over.map(|(at, _)| at);
        check(over == Some(now), "does not come with its end");
        check(
            life.over.map(|it| it.1) == Some(cdr.cause),
            "tells another cause",
        );
        check(cdr.started == life.began, "began at another time");
        // The 200 was asked for and never went out: it waited for a PRACK (RFC 3262 §3).
        let unanswered = seat.is_some_and(|seat| seat.accepted.is_none());
        check(
            cdr.bridged == life.bridged || (unanswered && cdr.bridged.is_none()),
            "was bridged at another time",
        );
        check(
            cdr.answered.is_some() || life.answered.is_none() || unanswered,
            "forgets the answer",
        );
        check(
            cdr.ended <= now && cdr.started <= cdr.ended,
            "ends at the wrong time",
        );
        check(
            cdr.answered
                .is_none_or(|at| cdr.started <= at && at <= cdr.ended),
            "was answered at the wrong time",
        );
        check(now - cdr.ended <= LINGERS, "comes too late");
        check(cdr.queue.is_some() == life.queued, "names the wrong queue");
        // A caller who was handed on to another call, or has gone by a transfer.
        let outlived = cdr.handovers.iter();
        let outlived = outlived.filter(|it| it.by == cdr.from || it.how == How::Attended);
        let outlived = outlived.count() > 0;
        if let Some(seat) = seat {
            check(
                seat.invited == Some(cdr.started),
                "did not begin with its INVITE",
            );
            check(
                seat.accepted == cdr.answered,
                "was not answered with its 200",
            );
            let could_say =
                seat.accepted.is_none() || seat.confirmed.is_some_and(|at| at < cdr.ended);
            check(
                outlived
                    || seat.referred
                    || seat
                        .ended
                        .is_none_or(|at| at == cdr.ended || (at > cdr.ended && !could_say)),
                "did not end when its caller's leg did",
            );
        }
        self.talked += cdr.ended - cdr.started;
        broken
    }

    pub(super) fn end(&self) -> Vec<String> {
        let unfinished = self.lives.iter().filter(|(_, life)| life.over.is_none());
        let unrecorded = self.lives.iter().filter(|(_, life)| !life.recorded);
        unfinished
            .map(|(call, _)| format!("{call} never ended"))
            .chain(unrecorded.map(|(call, _)| format!("{call} has no record")))
            .collect()
    }
}

/// From a call's end to its record at most: what 64·T1 and a slow worker take.
const LINGERS: Duration = Duration::from_secs(41);
