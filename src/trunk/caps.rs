//! How many calls there may be, and the one way out: [`Trunks::dial`].
//!
//! Whatever places a call, a plan, a transfer, a forwarding, a redirection or a client of the API, asks
//! here, for the number as it was dialled. A call to an emergency number is counted and never refused.

use std::sync::Arc;

use clock::Now;

use super::admission::Trunks;
use super::file::{EndpointConfig, TrunkConfig};
use super::fraud::{Barred, ChargeId, Forms, Limits, Line, Owner, Turn, UsageRow, Word};
use super::rate::Rate;
use super::refusal::Refusal;

/// A call that is to go out by a trunk.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// By which trunk.
    pub trunk: &'a str,
    /// The number as it was dialled.
    pub number: &'a str,
    /// The number that it shows.
    pub shown: &'a str,
    /// The endpoints on whose behalf it goes: who called, who transferred.
    pub sponsors: &'a [String],
    /// How often the call that it belongs to has come back to us.
    pub depth: u8,
}

/// One call's place in the caps of its trunk or endpoint, and its account. Give it back with
/// [`Trunks::release`].
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Admitted {
    owner: Owner,
    charge: Option<ChargeId>,
    turn: Option<Turn>,
}

impl Admitted {
    /// The account of what it costs, if somebody counts that.
    pub fn charge(&self) -> Option<ChargeId> {
        self.charge
    }
}

/// The calls that an endpoint makes.
#[derive(Clone, Debug, Default)]
pub(super) struct EndpointUse {
    calls: u32,
    rate: Option<Rate>,
}

impl Trunks {
    /// Takes a call of a trunk's caps for a call of ours, and opens its accounts.
    ///
    /// # Errors
    /// No such trunk, nowhere to send to, a cap, or [`Refusal::Barred`].
    pub fn dial(
        &mut self,
        now: Now,
        out: &Outgoing<'_>,
    ) -> Result<(Arc<TrunkConfig>, Admitted), Refusal> {
        let Some(config) = self.trunk(out.trunk).cloned() else {
            let trunk = out.trunk.to_owned();
            return Err(Refusal::NoSuchTrunk { trunk });
        };
        if config.targets.is_empty() {
            let trunk = config.name.clone();
            return Err(Refusal::NoTarget { trunk });
        }
        let mut admitted = Admitted {
            owner: Owner::trunk(&config.name),
            charge: None,
            turn: None,
        };
        if self.emergency.is_emergency(out.number) {
            if let Some(state) = self.trunks.get_mut(&config.name) {
                state.calls += 1;
            }
            return Ok((config, admitted));
        }
        let lines = self.permit(now, &config, out)?;
        self.room(now, &config)?;
        admitted.charge = self.ledger.open(now, &lines)?;
        self.take(now, &config);
        let called = config.numbers.received(out.number);
        let shown = config.numbers.received(out.shown);
        admitted.turn = Some(self.spirals.out(&called, &shown, out.depth));
        Ok((config, admitted))
    }

    /// The far end has answered: the call costs from now on.
    pub fn answered(&mut self, now: Now, admitted: &Admitted) {
        if let Some(charge) = admitted.charge {
            self.ledger.answered(now, charge);
        }
    }

    /// Gives a call's place back and closes its accounts.
    pub fn release(&mut self, now: Now, admitted: Admitted) {
        let name = &admitted.owner.name;
        match admitted.owner.kind {
            super::OwnerKind::Trunk => {
                if let Some(trunk) = self.trunks.get_mut(name) {
                    trunk.calls = trunk.calls.saturating_sub(1);
                }
            }
            super::OwnerKind::Endpoint => {
                if let Some(used) = self.endpoint_use.get_mut(name) {
                    used.calls = used.calls.saturating_sub(1);
                    if used.calls == 0 && used.rate.is_none() {
                        self.endpoint_use.remove(name);
                    }
                }
            }
        }
        if let Some(charge) = admitted.charge {
            self.ledger.close(now, charge);
        }
        if let Some(turn) = &admitted.turn {
            self.spirals.forget(turn);
        }
    }

    /// Whether every limit lets the number be called now; what it costs each owner.
    fn permit(
        &self,
        now: Now,
        config: &TrunkConfig,
        out: &Outgoing<'_>,
    ) -> Result<Vec<Line>, Barred> {
        let sponsors = out.sponsors.iter().filter_map(|name| self.endpoint(name));
        let sponsors = sponsors.map(|it| (Owner::endpoint(&it.name), &it.limits));
        let trunk = (Owner::trunk(&config.name), &config.limits);
        let all: Vec<(Owner, &Limits)> = std::iter::once(trunk).chain(sponsors).collect();
        let forms = Forms::of(out.number, &config.numbers);
        // What leaves is another text where the trunk has rules of its own: what that may mean counts too.
        let sent = Forms::of(&config.numbers.sent(out.number), &config.numbers);
        let wall = self.ledger.wall(now);
        let mut lines = Vec::new();
        for (owner, limits) in all {
            if limits.reads_numbers() && (forms.is_none() || sent.is_none()) {
                return Err(Barred::NotANumber { owner });
            }
            if let Some(forms) = &forms {
                limits.permit(&owner, forms, wall)?;
            }
            let rates = if limits.rates.is_empty() {
                &config.limits.rates
            } else {
                &limits.rates
            };
            let price = forms.as_ref().and_then(|forms| rates.price(forms));
            lines.push(Line { owner, price });
        }
        Ok(lines)
    }

    /// Whether a call of ours to the number `before` may be redirected to another one.
    ///
    /// # Errors
    /// [`Refusal::Barred`]: a limit bars it, or it costs more where money is counted.
    pub fn may_redirect(&self, now: Now, out: &Outgoing<'_>, before: &str) -> Result<(), Refusal> {
        let Some(config) = self.trunk(out.trunk) else {
            return Ok(());
        };
        if self.emergency.is_emergency(before) {
            return Ok(());
        }
        let lines = self.permit(now, config, out)?;
        let number = before;
        let agreed = self.permit(now, config, &Outgoing { number, ..*out })?;
        for (line, agreed) in lines.into_iter().zip(agreed) {
            let owner = line.owner;
            let price = agreed.price.unwrap_or_default();
            let dearer = match line.price {
                Some(new) => new.minute > price.minute || new.call > price.call,
                None => true,
            };
            if dearer && self.ledger.counts_money(&owner) {
                return Err(Barred::Unrated { owner }.into());
            }
        }
        Ok(())
    }

    /// Takes a call that comes by a trunk: both caps or none.
    pub(super) fn take_call(
        &mut self,
        now: Now,
        config: &Arc<TrunkConfig>,
        called: &str,
    ) -> Result<Admitted, Refusal> {
        if !self.emergency.is_emergency(called) {
            self.room(now, config)?;
        }
        self.take(now, config);
        Ok(Admitted {
            owner: Owner::trunk(&config.name),
            charge: None,
            turn: None,
        })
    }

    /// Whether both caps of a trunk have room; neither is taken of.
    fn room(&self, now: Now, config: &TrunkConfig) -> Result<(), Refusal> {
        let trunk = || config.name.clone();
        let Some(state) = self.trunks.get(&config.name) else {
            return Err(Refusal::NoSuchTrunk { trunk: trunk() });
        };
        if let Some(limit) = config.calls.filter(|&limit| state.calls >= limit) {
            return Err(Refusal::CallLimit {
                trunk: trunk(),
                limit,
            });
        }
        match state.rate.as_ref().filter(|rate| !rate.has(now)) {
            Some(rate) => Err(Refusal::CallRate {
                trunk: trunk(),
                limit: rate.per_second(),
            }),
            None => Ok(()),
        }
    }

    fn take(&mut self, now: Now, config: &TrunkConfig) {
        if let Some(state) = self.trunks.get_mut(&config.name) {
            state.calls += 1;
            if let Some(rate) = &mut state.rate {
                rate.take(now);
            }
        }
    }

    /// Takes a call that an endpoint makes: both caps or none.
    pub(super) fn take_endpoint_call(
        &mut self,
        now: Now,
        endpoint: &EndpointConfig,
        called: &str,
    ) -> Result<Admitted, Refusal> {
        let owner = Owner::endpoint(&endpoint.name);
        let limits = &endpoint.limits;
        let used = self.endpoint_use.entry(endpoint.name.clone()).or_default();
        let cap = limits.calls_per_second;
        if used.rate.as_ref().map(Rate::per_second) != cap {
            used.rate = cap.map(Rate::new);
        }
        if !self.emergency.is_emergency(called) {
            if let Some(limit) = limits.calls.filter(|&limit| used.calls >= limit) {
                return Err(Barred::CallLimit { owner, limit }.into());
            }
            if let Some(rate) = &mut used.rate
                && !rate.take(now)
            {
                let limit = rate.per_second();
                return Err(Barred::CallRate { owner, limit }.into());
            }
        }
        used.calls += 1;
        Ok(Admitted {
            owner,
            charge: None,
            turn: None,
        })
    }

    /// How often a call that comes in has come back to us already.
    ///
    /// # Errors
    /// [`Barred::Loop`] if too often.
    pub(super) fn turns(&self, called: &str, caller: &str) -> Result<u8, Barred> {
        let barred = || Barred::Loop {
            number: called.to_owned(),
            limit: self.spirals.returns_max(),
        };
        self.spirals.depth(called, caller).ok_or_else(barred)
    }

    /// Says what time it is at `now`: days and nights of limits begin to count.
    pub fn set_wall(&mut self, now: Now, wall: jiff::Timestamp) {
        self.ledger.set_wall(now, wall);
        self.configure_ledger(now);
    }

    pub(super) fn configure_ledger(&mut self, now: Now) {
        let trunks = self.trunks.values().map(|it| &it.config);
        let trunks = trunks.map(|it| (Owner::trunk(&it.name), &it.limits));
        let endpoints = self.endpoints.values();
        let endpoints = endpoints.map(|it| (Owner::endpoint(&it.name), &it.limits));
        self.ledger.configure(now, trunks.chain(endpoints));
    }

    /// Takes back what a run before has used of this day.
    pub fn restore_usage(&mut self, now: Now, row: &UsageRow) {
        self.ledger.restore(now, row);
    }

    /// What an owner has used today, in milliseconds and money; `None` where nothing is counted.
    pub fn used(&mut self, now: Now, owner: &Owner) -> Option<(u64, super::Money)> {
        self.ledger.used(now, owner)
    }

    /// When [`Trunks::handle_timeout`] is next due.
    pub fn deadline(&self) -> Option<Now> {
        self.ledger.deadline()
    }

    /// Acts on caps that are reached and on days that end.
    pub fn handle_timeout(&mut self, now: Now) {
        self.ledger.handle_timeout(now);
    }

    /// Has all usage kept now: the server is going down.
    pub fn flush_usage(&mut self, now: Now) {
        self.ledger.flush(now);
    }

    /// The next thing that follows from usage.
    pub fn poll_word(&mut self) -> Option<Word> {
        self.ledger.poll()
    }
}
