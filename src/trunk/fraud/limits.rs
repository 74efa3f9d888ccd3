//! Limits as an operator writes them: `[trunks.NAME.limits]` and `[endpoints.NAME.limits]`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;

use super::barred::{Barred, Owner, OwnerKind};
use super::money::{Money, Price};
use super::prefix::{Destinations, Forms, PREFIX_RULE, Rates, is_prefix};
use crate::config::{ConfigError, Section};

/// What the calls of a trunk or an endpoint may do and cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Where they may go (`allow`, `deny`).
    pub destinations: Destinations,
    /// Where they may go by night, besides (`night`).
    pub night: Option<Night>,
    /// Calls that an endpoint makes at once (`calls`); a trunk has this key in its own section.
    pub calls: Option<u32>,
    /// New calls of an endpoint each second (`calls_per_second`); as `calls`.
    pub calls_per_second: Option<u32>,
    /// Answered minutes of all calls out, a day (`minutes_per_day`).
    pub minutes_per_day: Option<u32>,
    /// What all calls out may cost, a day (`spend_per_day`).
    pub spend_per_day: Option<Money>,
    /// What calls cost (`rates`).
    pub rates: Rates,
    /// Whose days and nights these are (`tz`); UTC if `None`.
    pub zone: Option<TimeZone>,
}

/// Hours in which further destinations are closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Night {
    /// When it begins.
    pub from: Time,
    /// When it ends, perhaps on the next day.
    pub to: Time,
    /// What is open and closed then.
    pub destinations: Destinations,
}

impl Limits {
    /// Reads a `limits` section.
    ///
    /// # Errors
    /// [`ConfigError`] with key, rule and value.
    pub fn read(mut file: Section, kind: OwnerKind) -> Result<Self, ConfigError> {
        let zone = match file.text("tz")? {
            None => None,
            Some(name) => match TimeZone::get(&name) {
                Ok(zone) => Some(zone),
                Err(_) => return Err(file.refuse("tz", ZONE_RULE, &name)),
            },
        };
        let own = kind == OwnerKind::Endpoint;
        let mut cap = |key, most| match own {
            true => Ok(file.integer(key, 1..=most)?.and_then(|n| n.try_into().ok())),
            false => Ok(None),
        };
        let (calls, calls_per_second) = (cap("calls", 10_000)?, cap("calls_per_second", 1_000)?);
        let limits = Self {
            destinations: destinations(&mut file)?,
            night: night(file.section("night")?)?,
            calls,
            calls_per_second,
            minutes_per_day: file
                .integer("minutes_per_day", 0..=10_000_000)?
                .and_then(|n| n.try_into().ok()),
            spend_per_day: file.parsed("spend_per_day", MONEY_RULE)?,
            rates: rates(file.section("rates")?)?,
            zone,
        };
        if kind == OwnerKind::Trunk && limits.spend_per_day.is_some() && limits.rates.is_empty() {
            return Err(file.missing("rates", "what calls cost, where spend_per_day is set"));
        }
        file.finish()?;
        Ok(limits)
    }

    /// Whether a number may be called at this moment.
    ///
    /// # Errors
    /// [`Barred`], with the prefix that bars it.
    pub fn permit(&self, owner: &Owner, forms: &Forms, at: Timestamp) -> Result<(), Barred> {
        let barred = |night: bool| {
            move |prefix| Barred::Destination {
                owner: owner.clone(),
                prefix,
                night,
            }
        };
        self.destinations.permit(forms).map_err(barred(false))?;
        let night = self.night.as_ref().filter(|night| {
            let zone = self.zone.clone().unwrap_or(TimeZone::UTC);
            night.is_on(at.to_zoned(zone).time())
        });
        match night {
            Some(night) => night.destinations.permit(forms).map_err(barred(true)),
            None => Ok(()),
        }
    }

    /// Whether only a readable number may be called: something depends on where a call goes.
    pub fn reads_numbers(&self) -> bool {
        !self.destinations.is_open() || self.night.is_some() || self.spend_per_day.is_some()
    }
}

impl Night {
    fn is_on(&self, time: Time) -> bool {
        if self.from <= self.to {
            (self.from..self.to).contains(&time)
        } else {
            time >= self.from || time < self.to
        }
    }
}

fn destinations(file: &mut Section) -> Result<Destinations, ConfigError> {
    let mut lists = [Vec::new(), Vec::new()];
    for (key, list) in ["allow", "deny"].into_iter().zip(&mut lists) {
        *list = file.texts(key)?.unwrap_or_default();
        if let Some(bad) = list.iter().find(|prefix| !is_prefix(prefix)) {
            return Err(file.refuse(key, PREFIX_RULE, bad));
        }
    }
    let [allow, deny] = lists;
    Ok(Destinations::new(allow, deny))
}

fn night(mut file: Section) -> Result<Option<Night>, ConfigError> {
    if file.is_empty() {
        return Ok(None);
    }
    let mut hour = |key| match file.parsed::<Time>(key, HOUR_RULE)? {
        Some(time) => Ok(time),
        None => Err(file.missing(key, HOUR_RULE)),
    };
    let (from, to) = (hour("from")?, hour("to")?);
    let destinations = destinations(&mut file)?;
    if destinations.is_open() {
        return Err(file.missing("allow", "what is open by night, or deny"));
    }
    file.finish()?;
    Ok(Some(Night {
        from,
        to,
        destinations,
    }))
}

/// Prefix by prefix; `default` is every other number's.
fn rates(mut file: Section) -> Result<Rates, ConfigError> {
    let mut rows = BTreeMap::new();
    for prefix in file.names() {
        if prefix != "default" && !is_prefix(&prefix) {
            return Err(file.refuse(&prefix, PREFIX_RULE, &prefix));
        }
        let price: Option<Price> = file.parsed(&prefix, PRICE_RULE)?;
        let key = if prefix == "default" {
            String::new()
        } else {
            prefix
        };
        rows.extend(price.map(|price| (key, price)));
    }
    Ok(Rates::new(rows))
}

const ZONE_RULE: &str = "a time zone such as \"Europe/Paris\"";
const HOUR_RULE: &str = "a time of day such as \"20:00\"";
const MONEY_RULE: &str = "an amount such as \"250\" or \"12.50\"";
const PRICE_RULE: &str =
    "a price a minute such as \"0.02\", or a minute and a call such as \"0.02 + 0.05\"";
