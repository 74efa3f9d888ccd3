//! The day's minutes and money of every trunk and endpoint that has a cap on them, calls in progress
//! included.
//!
//! Counting is exact: money in ticks of a 60,000th of a millionth, in which a millisecond of a call
//! costs as many as its price a minute has millionths. The fee of a call is set aside when the call is
//! admitted, so many that ring at once cannot pass a cap together; what runs is counted by the sum of
//! its prices, so a look costs the same whether one call runs or ten thousand. When another
//! millisecond would pass a cap, every call that costs something of it ends.

mod account;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use clock::{Duration, Now};
use jiff::Timestamp;
use jiff::civil::Date;

use super::barred::{Barred, Owner};
use super::limits::Limits;
use super::money::{Money, Price};

use account::Account;

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
            account.configure(t, limits);
            self.accounts.insert(owner.clone(), account);
            self.settle(t, &owner);
        }
    }

    /// Takes back what a run before used of today.
    pub(in crate::trunk) fn restore(&mut self, now: Now, row: &UsageRow) {
        let t = self.time(now);
        self.settle(t, &row.owner);
        if let Some(account) = self.accounts.get_mut(&row.owner) {
            account.restore(row);
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
                account.opened(id, price);
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
        account.is_some_and(Account::counts_money)
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
            if account.is_unkept() {
                self.words.push_back(Word::Save(account.row(owner, t)));
            }
        }
    }

    /// What was used today of an owner: milliseconds and money.
    pub(in crate::trunk) fn used(&mut self, now: Now, owner: &Owner) -> Option<(u64, Money)> {
        let t = self.time(now);
        self.settle(t, owner);
        let account = self.accounts.get(owner)?;
        Some((account.ms(), account.spent()))
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
            let why = account.barred(owner, resource);
            let charges = account.end(resource);
            self.words.push_back(Word::End { charges, why });
            account.tell(owner, resource, 100, &limit, &mut self.words);
        }
        account.warn(owner, &mut self.words);
        if account.is_to_be_kept(t) {
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
