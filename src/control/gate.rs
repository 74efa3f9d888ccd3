//! How much of what comes is worth reading at all, decided anew ten times a second.
//!
//! A message that is read only to be refused or dropped costs a system call and its answer. Beyond
//! what a second has of refusals, a share of new INVITEs, and of what nobody waits for, is dropped by
//! a filter in the system (`io::net`), for a tenth of the price and on another processor's time; and
//! then only a third as many are refused. What belongs to calls in progress, and emergency calls, always
//! pass.

use std::net::IpAddr;
use std::time::Duration;

use clock::Now;

/// What the system's filter lets through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// The shares.
    pub pass: Pass,
    /// Numbers whose INVITEs always pass.
    pub emergency: Vec<String>,
    /// The networks of everybody who may speak to us, as address and length of the prefix; `None` if
    /// that may be anybody.
    pub known: Option<Vec<(IpAddr, u8)>>,
}

/// Shares of a thousand; 1,000 is all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// Of new INVITEs.
    pub calls: u16,
    /// Of OPTIONS, REGISTER and the like, and of everything from strangers.
    pub rest: u16,
}

impl Pass {
    /// Everything passes: no filter is needed.
    pub const ALL: Self = Self {
        calls: ALL,
        rest: ALL,
    };
}

/// What a turn of the gauge comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    /// How many of a hundred new calls are not taken.
    pub(super) reduce_percent: u8,
    /// New shares, if they change.
    pub(super) pass: Option<Pass>,
}

/// Counts what comes in a window of time, and sets the shares of the next.
#[derive(Debug)]
pub(super) struct Gauge {
    since: Now,
    taken: u32,
    refused: u32,
    rest: u32,
    rest_is_full: bool,
    refusals_per_second: u32,
    /// As if a thousand were the whole, in finer steps.
    calls_pass: f64,
    rest_pass: f64,
    set: Pass,
    reduce: f64,
}

impl Gauge {
    pub(super) fn new(now: Now, refusals_per_second: u32) -> Self {
        Self {
            since: now,
            taken: 0,
            refused: 0,
            rest: 0,
            rest_is_full: false,
            refusals_per_second,
            calls_pass: 1.0,
            rest_pass: 1.0,
            set: Pass::ALL,
            reduce: 0.0,
        }
    }

    pub(super) fn set_refusals(&mut self, refusals_per_second: u32) {
        self.refusals_per_second = refusals_per_second;
    }

    /// A new call was taken or not.
    pub(super) fn call(&mut self, taken: bool) {
        if taken {
            self.taken += 1;
        } else {
            self.refused += 1;
        }
    }

    /// Something of the rest came, and found its queue full or not.
    pub(super) fn rest(&mut self, full: bool) {
        self.rest += 1;
        self.rest_is_full |= full;
    }

    /// When a turn is due though nothing comes: only while something is held back.
    pub(super) fn deadline(&self) -> Option<Now> {
        (self.set != Pass::ALL || self.reduce > 0.0).then_some(self.since + WINDOW)
    }

    /// Sets the shares anew when a window is over.
    pub(super) fn turn(&mut self, now: Now) -> Option<Share> {
        let passed = now.since(self.since);
        if passed < WINDOW {
            return None;
        }
        let seconds = passed.as_secs_f64().min(1.0);
        let came = f64::from(self.taken) + f64::from(self.refused);
        let refusals = f64::from(self.refusals_per_second) * seconds;
        let all = f64::from(self.taken) + refusals;
        // Where not everybody can be answered, most are not spared their wait, and each answer costs
        // what a tenth of a call does: then a third of them is enough.
        let offered = came / self.calls_pass;
        let worth = if offered <= all {
            all
        } else {
            all - refusals * 2.0 / 3.0
        };
        self.calls_pass = next_share(self.calls_pass, worth / came.max(1.0));
        let room = f64::from(REST_PER_SECOND) * seconds / f64::from(self.rest.max(1));
        // What finds room does no harm, however much it is.
        let room = if self.rest_is_full || self.rest_pass < 1.0 {
            room
        } else {
            1.0
        };
        self.rest_pass = next_share(self.rest_pass, room);
        let not_taken = 1.0 - self.calls_pass * f64::from(self.taken) / came.max(1.0);
        let reduce = if came == 0.0 { 0.0 } else { not_taken };
        self.reduce = (self.reduce + reduce) / 2.0;
        if self.reduce < 0.005 {
            self.reduce = 0.0;
        }
        self.since = now;
        (self.taken, self.refused, self.rest) = (0, 0, 0);
        self.rest_is_full = false;
        let pass = Pass {
            calls: whole(self.calls_pass),
            rest: whole(self.rest_pass),
        };
        let changes = pass != self.set && (pass == Pass::ALL || self.differs(pass));
        if changes {
            self.set = pass;
        }
        Some(Share {
            reduce_percent: (self.reduce * 100.0).round().clamp(0.0, 100.0) as u8,
            pass: changes.then_some(pass),
        })
    }

    /// Whether a share moved by more than a tenth of itself.
    fn differs(&self, pass: Pass) -> bool {
        let far = |old: u16, new: u16| old.abs_diff(new) * 10 > old.min(new);
        far(self.set.calls, pass.calls) || far(self.set.rest, pass.rest)
    }
}

/// A share that lets pass what there is room for: at most four times as much as before at once, and
/// never nothing, so that the end of a flood is noticed.
fn next_share(share: f64, room: f64) -> f64 {
    (share * room.clamp(0.01, 4.0)).clamp(1.0 / f64::from(ALL), 1.0)
}

fn whole(share: f64) -> u16 {
    (share * f64::from(ALL)).round().clamp(1.0, f64::from(ALL)) as u16
}

const ALL: u16 = 1_000;
const WINDOW: Duration = Duration::from_millis(100);
/// Of the rest, so many a second are worth reading while others wait for room.
const REST_PER_SECOND: u32 = 2_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// The share of new calls that passes in the end, when `offered` come each second and 100 are taken.
    fn settled(gauge: &mut Gauge, offered: f64, seconds: u32) -> f64 {
        for _ in 0..seconds * 10 {
            let came = (offered / 10.0 * gauge.calls_pass).round() as u32;
            (0..came).for_each(|n| gauge.call(n < 10));
            gauge.turn(gauge.since + WINDOW);
        }
        gauge.calls_pass
    }

    #[test]
    fn all_are_refused_while_that_can_be_paid_and_a_third_as_many_when_it_cannot() {
        let mut gauge = Gauge::new(Now::ZERO, 1_000);
        for (offered, passes) in [
            (1_090.0, 1.0),
            (6_000.0, 0.07),
            (1_200.0, 0.36),
            (900.0, 1.0),
        ] {
            let share = settled(&mut gauge, offered, 3);
            assert!((share - passes).abs() < 0.05, "{offered}: {share}");
        }
    }
}
