//! The day's minutes and money of every trunk and endpoint that has a cap on them, calls in progress
//! included.
//!
//! Counting is exact: money in ticks of a 60,000th of a millionth, in which a millisecond of a call
//! costs as many as its price a minute has millionths. The fee of a call is set aside when the call is
//! admitted, so many that ring at once cannot pass a cap together; what runs is counted by the sum of
//! its prices, so a look costs the same whether one call runs or ten thousand. When another
//! millisecond would pass a cap, every call that costs something of it ends.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use clock::{Duration, Now};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::barred::{Barred, Owner};
use super::limits::Limits;
use super::money::{Money, Price};

/// Names one call out in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChargeId(pub u64);

/// What of a day is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// `minutes_per_day`.
    Minutes,
    /// `spend_per_day`.
    Spend,
}

/// So much of a day's limit is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// Whose.
    pub owner: Owner,
    /// Of what.
    pub resource: Resource,
    /// 80 or 100.
    pub percent: u8,
    /// The limit, in words.
    pub limit: String,
}

/// What was used on one day, to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRow {
    /// Whose.
    pub owner: Owner,
    /// The day, in the owner's time zone.
    pub day: Date,
    /// Answered time of all calls, in milliseconds.
    pub ms: u64,
    /// What they cost, rounded up to a millionth.
    pub spent: Money,
    /// Calls answered.
    pub calls: u64,
}

/// What the ledger wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// Keep this, in place of what was kept of that owner and day.
    Save(UsageRow),
    /// Tell the operator.
    Alarm(Alarm),
    /// End these calls.
    End {
        /// Which.
        charges: Vec<ChargeId>,
        /// Why.
        why: Barred,
    },
}

/// What a call costs one owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::trunk) struct Line {
    pub(in crate::trunk) owner: Owner,
    /// `None` if nobody says.
    pub(in crate::trunk) price: Option<Price>,
}

/// The accounts of all owners with a cap.
#[derive(Clone, Debug, Default)]
pub(in crate::trunk) struct Ledger {
    accounts: BTreeMap<Owner, Account>,
    charges: BTreeMap<ChargeId, Vec<Owner>>,
    due: BTreeSet<(i64, Owner)>,
    next: u64,
    /// A moment on both clocks.
    epoch: (Now, i64),
    words: VecDeque<Word>,
}

/// One owner's day.
#[derive(Clone, Debug)]
struct Account {
    minutes: Option<u32>,
    spend: Option<Money>,
    zone: TimeZone,
    day: Date,
    /// When the day ends, in milliseconds since 1970, as all times here.
    midnight: i64,
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
    due: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Ringing(Price),
    Running(Price),
    Ended,
}

impl Ledger {
    /// Pairs the clocks.
    pub(in crate::trunk) fn set_wall(&mut self, now: Now, wall: Timestamp) {
        self.epoch = (now, wall.as_millisecond());
    }

    /// The wall time at `now`.
    pub(in crate::trunk) fn wall(&self, now: Now) -> Timestamp {
        Timestamp::from_millisecond(self.time(now)).unwrap_or(Timestamp::MAX)
    }

    fn time(&self, now: Now) -> i64 {
        let since = i64::try_from(now.since(self.epoch.0).as_millis()).unwrap_or(i64::MAX);
        self.epoch.1.saturating_add(since)
    }

    /// Puts other caps in force; what was used today is kept of owners that stay.
    pub(in crate::trunk) fn configure<'l>(
        &mut self,
        now: Now,
        limits: impl Iterator<Item = (Owner, &'l Limits)>,
    ) {
        let t = self.time(now);
        let mut before = std::mem::take(&mut self.accounts);
        self.due.clear();
        for (owner, limits) in limits {
            if limits.minutes_per_day.is_none() && limits.spend_per_day.is_none() {
                continue;
            }
            let kept = before.remove(&owner);
            let mut account = kept.unwrap_or_else(|| Account::new(t));
            account.minutes = limits.minutes_per_day;
            account.spend = limits.spend_per_day;
            account.due = None;
            account.move_to(t, limits.zone.clone().unwrap_or(TimeZone::UTC));
            self.accounts.insert(owner.clone(), account);
            self.settle(t, &owner);
        }
    }

    /// Takes back what a run before used of today.
    pub(in crate::trunk) fn restore(&mut self, now: Now, row: &UsageRow) {
        let t = self.time(now);
        self.settle(t, &row.owner);
        if let Some(account) = self.accounts.get_mut(&row.owner)
            && account.day == row.day
        {
            account.ms = account.ms.saturating_add(row.ms);
            account.ticks += u128::from(row.spent.0) * TICKS;
            account.calls += row.calls;
        }
        self.settle(t, &row.owner);
    }

    /// Admits a call, for all owners or none, and sets its fee aside. `None` if nobody counts it.
    pub(in crate::trunk) fn open(
        &mut self,
        now: Now,
        lines: &[Line],
    ) -> Result<Option<ChargeId>, Barred> {
        let t = self.time(now);
        for line in lines {
            self.settle(t, &line.owner);
            if let Some(account) = self.accounts.get_mut(&line.owner) {
                let refused = account.check(line).err();
                if let Some(why) = refused {
                    self.full(&line.owner, &why);
                    return Err(why);
                }
            }
        }
        let id = ChargeId(self.next);
        let mut owners = Vec::new();
        for line in lines {
            let price = line.price.unwrap_or_default();
            if let Some(account) = self.accounts.get_mut(&line.owner) {
                account.lines.insert(id, State::Ringing(price));
                account.set_aside = account.set_aside.saturating_add(price.call.0);
                owners.push(line.owner.clone());
            }
            self.settle(t, &line.owner);
        }
        if owners.is_empty() {
            return Ok(None);
        }
        self.next += 1;
        self.charges.insert(id, owners);
        Ok(Some(id))
    }

    /// The call is answered: it costs from now on.
    pub(in crate::trunk) fn answered(&mut self, now: Now, id: ChargeId) {
        let t = self.time(now);
        for owner in self.charges.get(&id).cloned().unwrap_or_default() {
            self.settle(t, &owner);
            if let Some(account) = self.accounts.get_mut(&owner) {
                account.answered(id);
            }
            self.settle(t, &owner);
        }
    }

    /// The call is over.
    pub(in crate::trunk) fn close(&mut self, now: Now, id: ChargeId) {
        let t = self.time(now);
        for owner in self.charges.remove(&id).unwrap_or_default() {
            self.settle(t, &owner);
            if let Some(account) = self.accounts.get_mut(&owner) {
                account.closed(id);
            }
            self.settle(t, &owner);
        }
    }

    /// Whether an owner has a cap on money.
    pub(in crate::trunk) fn counts_money(&self, owner: &Owner) -> bool {
        let account = self.accounts.get(owner);
        account.is_some_and(|account| account.spend.is_some())
    }

    /// When [`Ledger::handle_timeout`] is next due.
    pub(in crate::trunk) fn deadline(&self) -> Option<Now> {
        let (at, _) = self.due.first()?;
        let after = u64::try_from(at.saturating_sub(self.epoch.1)).unwrap_or(0);
        Some(self.epoch.0 + Duration::from_millis(after))
    }

    /// Ends what is at a cap, tells and keeps what is due.
    pub(in crate::trunk) fn handle_timeout(&mut self, now: Now) {
        let t = self.time(now);
        while let Some((_, owner)) = self.due.first().filter(|(at, _)| *at <= t).cloned() {
            self.settle(t, &owner);
        }
    }

    /// Has everything kept at once: the server is going down.
    pub(in crate::trunk) fn flush(&mut self, now: Now) {
        let t = self.time(now);
        for (owner, account) in &mut self.accounts {
            account.count_to(t);
            if account.dirty || account.running > 0 {
                self.words.push_back(Word::Save(account.row(owner, t)));
            }
        }
    }

    /// What was used today of an owner: milliseconds and money.
    pub(in crate::trunk) fn used(&mut self, now: Now, owner: &Owner) -> Option<(u64, Money)> {
        let t = self.time(now);
        self.settle(t, owner);
        let account = self.accounts.get(owner)?;
        Some((account.ms, account.spent()))
    }

    pub(in crate::trunk) fn poll(&mut self) -> Option<Word> {
        self.words.pop_front()
    }

    /// Counts an account up to `t`, over midnight where it lies between, and says what follows.
    fn settle(&mut self, t: i64, owner: &Owner) {
        let Some(account) = self.accounts.get_mut(owner) else {
            return;
        };
        while t >= account.midnight {
            account.count_to(account.midnight);
            self.words
                .push_back(Word::Save(account.row(owner, account.midnight)));
            if !account.next_day() {
                break;
            }
        }
        account.count_to(t);
        if let Some((resource, limit)) = account.at_cap() {
            let why = match resource {
                Resource::Minutes => Barred::Minutes {
                    owner: owner.clone(),
                    limit: account.minutes.unwrap_or(0),
                },
                Resource::Spend => Barred::Spend {
                    owner: owner.clone(),
                    limit: account.spend.unwrap_or_default(),
                },
            };
            let charges = account.end(resource);
            self.words.push_back(Word::End { charges, why });
            account.tell(owner, resource, 100, &limit, &mut self.words);
        }
        account.warn(owner, &mut self.words);
        let wait = if account.dirty {
            COALESCE_MS
        } else {
            CHECKPOINT_MS
        };
        if (account.dirty || account.running > 0) && t - account.saved_at >= wait {
            self.words.push_back(Word::Save(account.row(owner, t)));
        }
        let due = account.next_due();
        if due != account.due {
            if let Some(before) = account.due.take() {
                self.due.remove(&(before, owner.clone()));
            }
            if let Some(at) = due {
                self.due.insert((at, owner.clone()));
            }
            account.due = due;
        }
    }

    /// A call was refused for a cap: the alarm, if it was not told yet.
    fn full(&mut self, owner: &Owner, why: &Barred) {
        let (resource, limit) = match why {
            Barred::Minutes { limit, .. } => (Resource::Minutes, format!("{limit} minutes")),
            Barred::Spend { limit, .. } => (Resource::Spend, limit.to_string()),
            _ => return,
        };
        if let Some(account) = self.accounts.get_mut(owner) {
            account.tell(owner, resource, 100, &limit, &mut self.words);
        }
    }
}

impl Account {
    fn new(t: i64) -> Self {
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
    fn next_day(&mut self) -> bool {
        let Ok(day) = self.day.tomorrow() else {
            self.midnight = i64::MAX;
            return false;
        };
        self.begin(day);
        self.midnight = self.end_of(day);
        true
    }

    fn count_to(&mut self, t: i64) {
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

    fn check(&self, line: &Line) -> Result<(), Barred> {
        let owner = || line.owner.clone();
        if self.minutes_left().is_some_and(|left| left <= self.running) {
            let limit = self.minutes.unwrap_or(0);
            return Err(Barred::Minutes {
                owner: owner(),
                limit,
            });
        }
        let Some(left) = self.spend_left() else {
            return Ok(());
        };
        let Some(price) = line.price else {
            return Err(Barred::Unrated { owner: owner() });
        };
        let first = u128::from(price.call.0) * TICKS + u128::from(price.minute.0);
        if !price.is_free() && left < first + u128::from(self.rate) {
            let limit = self.spend.unwrap_or_default();
            return Err(Barred::Spend {
                owner: owner(),
                limit,
            });
        }
        Ok(())
    }

    fn answered(&mut self, id: ChargeId) {
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

    fn closed(&mut self, id: ChargeId) {
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
    fn at_cap(&self) -> Option<(Resource, String)> {
        let minutes = self.minutes_left().filter(|_| self.running > 0);
        if minutes.is_some_and(|left| left < self.running) {
            return Some((Resource::Minutes, format!("{} minutes", self.minutes?)));
        }
        let spend = self.spend_left().filter(|_| self.rate > 0);
        let full = spend.is_some_and(|left| left < u128::from(self.rate));
        Some((Resource::Spend, self.spend?.to_string())).filter(|_| full)
    }

    /// Stops counting every call that costs of the resource, and says which.
    fn end(&mut self, resource: Resource) -> Vec<ChargeId> {
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

    fn tell(
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
    fn warn(&mut self, owner: &Owner, words: &mut VecDeque<Word>) {
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
    fn next_due(&self) -> Option<i64> {
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

    fn spent(&self) -> Money {
        Money(u64::try_from(self.ticks.div_ceil(TICKS)).unwrap_or(u64::MAX))
    }

    fn row(&mut self, owner: &Owner, t: i64) -> UsageRow {
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
const TICKS: u128 = 60_000;
const MINUTE_MS: u64 = 60_000;
/// How much of a running call a crash may forget.
const CHECKPOINT_MS: i64 = 15_000;
/// Ends within so long are kept as one.
const COALESCE_MS: i64 = 1_000;

#[cfg(test)]
mod tests;
