//! One owner's day: what is used of its minutes and money, when it is full, and when that is to be kept.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::{Alarm, ChargeId, Line, Resource, UsageRow, Word};
use crate::trunk::fraud::barred::{Barred, Owner};
use crate::trunk::fraud::limits::Limits;
use crate::trunk::fraud::money::{Money, Price};

/// One owner's day.
#[derive(Clone, Debug)]
pub(super) struct Account {
    minutes: Option<u32>,
    spend: Option<Money>,
    zone: TimeZone,
    day: Date,
    /// When the day ends, in milliseconds since 1970, as all times here.
    pub(super) midnight: i64,
    /// Counted up to here.
    at: i64,
    ms: u64,
    ticks: u128,
    calls: u64,
    /// Calls that run, and the sum of their prices a minute, in millionths.
    running: u64,
    rate: u64,
    /// Fees of calls that are not answered yet.
    set_aside: u64,
    lines: BTreeMap<ChargeId, State>,
    /// The last alarm of minutes and of money, in per cent.
    told: [u8; 2],
    saved_at: i64,
    dirty: bool,
    /// When the ledger looks at it next.
    pub(super) due: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Ringing(Price),
    Running(Price),
    Ended,
}

impl Account {
    pub(super) fn new(t: i64) -> Self {
        Self {
            minutes: None,
            spend: None,
            zone: TimeZone::UTC,
            day: Date::default(),
            midnight: i64::MAX,
            at: t,
            ms: 0,
            ticks: 0,
            calls: 0,
            running: 0,
            rate: 0,
            set_aside: 0,
            lines: BTreeMap::new(),
            told: [0; 2],
            saved_at: t,
            dirty: false,
            due: None,
        }
    }

    /// Puts other caps in force.
    pub(super) fn configure(&mut self, t: i64, limits: &Limits) {
        self.minutes = limits.minutes_per_day;
        self.spend = limits.spend_per_day;
        self.due = None;
        self.move_to(t, limits.zone.clone().unwrap_or(TimeZone::UTC));
    }

    /// Takes back what a run before used, if it was today.
    pub(super) fn restore(&mut self, row: &UsageRow) {
        if self.day == row.day {
            self.ms = self.ms.saturating_add(row.ms);
            self.ticks += u128::from(row.spent.0) * TICKS;
            self.calls += row.calls;
        }
    }

    /// The days of that zone count from now on; the day begins anew only if it is another one.
    fn move_to(&mut self, t: i64, zone: TimeZone) {
        let time = Timestamp::from_millisecond(t).unwrap_or(Timestamp::MAX);
        let day = time.to_zoned(zone.clone()).date();
        self.zone = zone;
        self.midnight = self.end_of(day);
        if self.day != day {
            self.begin(day);
        }
    }

    fn end_of(&self, day: Date) -> i64 {
        let next = day
            .tomorrow()
            .and_then(|day| day.to_zoned(self.zone.clone()));
        next.map_or(i64::MAX, |next| next.timestamp().as_millisecond())
    }

    fn begin(&mut self, day: Date) {
        self.day = day;
        (self.ms, self.ticks, self.calls) = (0, 0, 0);
        self.told = [0; 2];
    }

    /// Midnight: `false` at the end of all days.
    pub(super) fn next_day(&mut self) -> bool {
        let Ok(day) = self.day.tomorrow() else {
            self.midnight = i64::MAX;
            return false;
        };
        self.begin(day);
        self.midnight = self.end_of(day);
        true
    }

    pub(super) fn count_to(&mut self, t: i64) {
        let span = u64::try_from(t.saturating_sub(self.at)).unwrap_or(0);
        self.at = self.at.max(t);
        self.ms = self.ms.saturating_add(span.saturating_mul(self.running));
        self.ticks += u128::from(span) * u128::from(self.rate);
    }

    fn minutes_left(&self) -> Option<u64> {
        let cap = u64::from(self.minutes?) * MINUTE_MS;
        Some(cap.saturating_sub(self.ms))
    }

    /// In ticks, beside what is set aside.
    fn spend_left(&self) -> Option<u128> {
        let cap = u128::from(self.spend?.0) * TICKS;
        let used = self.ticks + u128::from(self.set_aside) * TICKS;
        Some(cap.saturating_sub(used))
    }

    /// Whether a call may be had yet.
    pub(super) fn check(&self, line: &Line) -> Result<(), Barred> {
        if self.minutes_left().is_some_and(|left| left <= self.running) {
            return Err(self.barred(&line.owner, Resource::Minutes));
        }
        let Some(left) = self.spend_left() else {
            return Ok(());
        };
        let Some(price) = line.price else {
            let owner = line.owner.clone();
            return Err(Barred::Unrated { owner });
        };
        let first = u128::from(price.call.0) * TICKS + u128::from(price.minute.0);
        if !price.is_free() && left < first + u128::from(self.rate) {
            return Err(self.barred(&line.owner, Resource::Spend));
        }
        Ok(())
    }

    /// Why a call may not be had when that is used up.
    pub(super) fn barred(&self, owner: &Owner, resource: Resource) -> Barred {
        let owner = owner.clone();
        match resource {
            Resource::Minutes => Barred::Minutes {
                owner,
                limit: self.minutes.unwrap_or(0),
            },
            Resource::Spend => Barred::Spend {
                owner,
                limit: self.spend.unwrap_or_default(),
            },
        }
    }

    pub(super) fn counts_money(&self) -> bool {
        self.spend.is_some()
    }

    /// A call rings: its fee is set aside.
    pub(super) fn opened(&mut self, id: ChargeId, price: Price) {
        self.lines.insert(id, State::Ringing(price));
        self.set_aside = self.set_aside.saturating_add(price.call.0);
    }

    pub(super) fn answered(&mut self, id: ChargeId) {
        let Some(state) = self.lines.get_mut(&id) else {
            return;
        };
        if let State::Ringing(price) = *state {
            *state = State::Running(price);
            self.set_aside = self.set_aside.saturating_sub(price.call.0);
            self.ticks += u128::from(price.call.0) * TICKS;
            self.calls += 1;
            self.running += 1;
            self.rate = self.rate.saturating_add(price.minute.0);
            self.dirty = true;
        }
    }

    pub(super) fn closed(&mut self, id: ChargeId) {
        match self.lines.remove(&id) {
            Some(State::Ringing(price)) => {
                self.set_aside = self.set_aside.saturating_sub(price.call.0);
            }
            Some(State::Running(price)) => self.stops(price),
            Some(State::Ended) | None => {}
        }
    }

    fn stops(&mut self, price: Price) {
        self.running = self.running.saturating_sub(1);
        self.rate = self.rate.saturating_sub(price.minute.0);
        self.dirty = true;
    }

    /// The cap that another millisecond would pass, with its limit in words.
    pub(super) fn at_cap(&self) -> Option<(Resource, String)> {
        let minutes = self.minutes_left().filter(|_| self.running > 0);
        if minutes.is_some_and(|left| left < self.running) {
            return Some((Resource::Minutes, format!("{} minutes", self.minutes?)));
        }
        let spend = self.spend_left().filter(|_| self.rate > 0);
        let full = spend.is_some_and(|left| left < u128::from(self.rate));
        Some((Resource::Spend, self.spend?.to_string())).filter(|_| full)
    }

    /// Stops counting every call that costs of the resource, and says which.
    pub(super) fn end(&mut self, resource: Resource) -> Vec<ChargeId> {
        let mut ended = Vec::new();
        let mut prices = Vec::new();
        for (id, state) in &mut self.lines {
            if let State::Running(price) = *state
                && (resource == Resource::Minutes || price.minute.0 > 0)
            {
                *state = State::Ended;
                ended.push(*id);
                prices.push(price);
            }
        }
        for price in prices {
            self.stops(price);
        }
        ended
    }

    /// Tells that so much is used, once a day.
    pub(super) fn tell(
        &mut self,
        owner: &Owner,
        resource: Resource,
        percent: u8,
        limit: &str,
        words: &mut VecDeque<Word>,
    ) {
        let [minutes, spend] = &mut self.told;
        let told = match resource {
            Resource::Minutes => minutes,
            Resource::Spend => spend,
        };
        if *told < percent {
            *told = percent;
            words.push_back(Word::Alarm(Alarm {
                owner: owner.clone(),
                resource,
                percent,
                limit: limit.to_owned(),
            }));
        }
    }

    /// Alarms at 80 %.
    pub(super) fn warn(&mut self, owner: &Owner, words: &mut VecDeque<Word>) {
        if let Some(cap) = self.minutes
            && self.ms
                >= four_fifths(u128::from(cap) * u128::from(MINUTE_MS))
                    .try_into()
                    .unwrap_or(u64::MAX)
        {
            let limit = format!("{cap} minutes");
            self.tell(owner, Resource::Minutes, 80, &limit, words);
        }
        if let Some(cap) = self.spend
            && self.ticks >= four_fifths(u128::from(cap.0) * TICKS)
        {
            self.tell(owner, Resource::Spend, 80, &cap.to_string(), words);
        }
    }

    /// When something will be due if nothing happens until then.
    pub(super) fn next_due(&self) -> Option<i64> {
        let mut next = self
            .dirty
            .then(|| self.saved_at.saturating_add(COALESCE_MS));
        let mut at = |due: i64| next = Some(next.map_or(due, |next| next.min(due)));
        if self.running > 0 {
            at(self.midnight);
            at(self.saved_at.saturating_add(CHECKPOINT_MS));
        }
        let after = |units: u128, each: u64| {
            let ms = units.checked_div(u128::from(each))?;
            Some(
                self.at
                    .saturating_add(i64::try_from(ms).unwrap_or(i64::MAX)),
            )
        };
        let [minutes_told, spend_told] = self.told;
        if let Some(left) = self.minutes_left() {
            let cap = u128::from(self.minutes.unwrap_or(0)) * u128::from(MINUTE_MS);
            let to_alarm = four_fifths(cap).saturating_sub(u128::from(self.ms));
            if minutes_told < 80 {
                after(
                    to_alarm + u128::from(self.running.saturating_sub(1)),
                    self.running,
                )
                .map(&mut at);
            }
            // One step past the last millisecond that fits: there it ends.
            after(u128::from(left), self.running).map(&mut at);
        }
        if let Some(left) = self.spend_left() {
            let cap = u128::from(self.spend.unwrap_or_default().0) * TICKS;
            let to_alarm = four_fifths(cap).saturating_sub(self.ticks);
            if spend_told < 80 {
                after(
                    to_alarm + u128::from(self.rate.saturating_sub(1)),
                    self.rate,
                )
                .map(&mut at);
            }
            after(left, self.rate).map(&mut at);
        }
        next
    }

    /// Milliseconds used today.
    pub(super) fn ms(&self) -> u64 {
        self.ms
    }

    pub(super) fn spent(&self) -> Money {
        Money(u64::try_from(self.ticks.div_ceil(TICKS)).unwrap_or(u64::MAX))
    }

    /// Whether it holds more than what was last kept of it.
    pub(super) fn is_unkept(&self) -> bool {
        self.dirty || self.running > 0
    }

    /// Whether it has held that for long enough.
    pub(super) fn is_to_be_kept(&self, t: i64) -> bool {
        let wait = if self.dirty {
            COALESCE_MS
        } else {
            CHECKPOINT_MS
        };
        self.is_unkept() && t - self.saved_at >= wait
    }

    /// What is to be kept of it, which it takes as kept.
    pub(super) fn row(&mut self, owner: &Owner, t: i64) -> UsageRow {
        self.dirty = false;
        self.saved_at = t;
        UsageRow {
            owner: owner.clone(),
            day: self.day,
            ms: self.ms,
            spent: self.spent(),
            calls: self.calls,
        }
    }
}

const fn four_fifths(whole: u128) -> u128 {
    (whole * 4).div_ceil(5)
}

/// Ticks in a millionth.
pub(super) const TICKS: u128 = 60_000;
pub(super) const MINUTE_MS: u64 = 60_000;
/// How much of a running call a crash may forget.
const CHECKPOINT_MS: i64 = 15_000;
/// Ends within so long are kept as one.
const COALESCE_MS: i64 = 1_000;
