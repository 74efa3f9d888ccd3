//! Opening hours: ranges of a local day by weekday, and dates that have their own.
//!
//! The law: whether it is open is a pure function of a point in time; daylight saving is the zone's.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;

/// Minutes of a local day, from included to excluded; the end may lie in the next day.
pub(super) type Range = (u16, u16);

const DAY: u16 = 1_440;

/// Opening hours by name.
#[derive(Clone, Debug)]
pub(super) struct Hours {
    pub(super) zone: TimeZone,
    /// From Monday.
    pub(super) weekly: [Vec<Range>; 7],
    /// Instead of the weekday's; empty is closed.
    pub(super) dates: BTreeMap<Date, Vec<Range>>,
}

impl Hours {
    pub(super) fn new(zone: TimeZone) -> Self {
        Self {
            zone,
            weekly: Default::default(),
            dates: BTreeMap::new(),
        }
    }

    /// Whether it is open at that point in time.
    pub(super) fn is_open(&self, at: Timestamp) -> bool {
        let local = at.to_zoned(self.zone.clone()).datetime();
        let minute = local.hour() as u16 * 60 + local.minute() as u16;
        let within = |ranges: &[Range], minute: u16| {
            let mut ranges = ranges.iter();
            ranges.any(|(from, to)| (*from..*to).contains(&minute))
        };
        let yesterday = local.date().yesterday().ok();
        within(self.ranges(local.date()), minute)
            || yesterday.is_some_and(|day| within(self.ranges(day), minute + DAY))
    }

    /// Whether a range of that weekday shares a minute with one of its own day, with the end of
    /// the night before, or with the morning after.
    pub(super) fn clashes_weekly(&self, day: usize, range: Range) -> bool {
        let of = |day: usize| self.weekly.get(day % 7).map_or(&[][..], Vec::as_slice);
        clashes(range, of(day + 6), of(day), of(day + 1))
    }

    /// The same for a date, among those that have hours of their own.
    pub(super) fn clashes_date(&self, date: Date, range: Range) -> bool {
        let of = |date: Option<Date>| {
            let ranges = date.and_then(|date| self.dates.get(&date));
            ranges.map_or(&[][..], Vec::as_slice)
        };
        let (before, after) = (date.yesterday().ok(), date.tomorrow().ok());
        clashes(range, of(before), of(Some(date)), of(after))
    }

    fn ranges(&self, date: Date) -> &[Range] {
        let weekly = self.weekly.get(weekday_index(date.weekday()));
        match (self.dates.get(&date), weekly) {
            (Some(ranges), _) | (None, Some(ranges)) => ranges,
            (None, None) => &[],
        }
    }
}

/// The weekday's place in a week that begins on Monday.
pub(super) fn weekday_index(day: Weekday) -> usize {
    usize::from(day.to_monday_zero_offset() as u8)
}

/// The short name of a weekday as dialplans write it.
pub(super) fn weekday_name(day: Weekday) -> &'static str {
    WEEKDAYS.get(weekday_index(day)).copied().unwrap_or("")
}

/// From Monday.
pub(super) const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// `mon`, `mon-fri`, `fri-mon`, `mon,wed,sat-sun` or `daily`, as places in the week.
pub(super) fn parse_days(text: &str) -> Option<Vec<usize>> {
    if text == "daily" {
        return Some((0..7).collect());
    }
    let index = |day: &str| WEEKDAYS.iter().position(|name| *name == day.trim());
    let mut days = Vec::new();
    for part in text.split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (index(first)?, index(last)?),
            None => (index(part)?, index(part)?),
        };
        let mut day = first;
        days.push(day);
        while day != last {
            day = (day + 1) % 7;
            days.push(day);
        }
    }
    Some(days)
}

/// `09:00-17:00`; an end at or before the beginning lies in the next day.
pub(super) fn parse_range(text: &str) -> Option<Range> {
    let (from, to) = text.split_once('-')?;
    let (from, to) = (parse_clock(from.trim())?, parse_clock(to.trim())?);
    if from >= DAY {
        return None;
    }
    Some((from, if to <= from { to + DAY } else { to }))
}

fn parse_clock(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    if hour.is_empty() || hour.len() > 2 || minute.len() != 2 {
        return None;
    }
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    let time = hour * 60 + minute;
    (minute < 60 && time <= DAY).then_some(time)
}

/// Whether two ranges share a minute, the second beginning `days` later.
fn overlap(a: Range, b: Range, days: u16) -> bool {
    let later = days * DAY;
    a.0 < b.1 + later && b.0 + later < a.1
}

fn clashes(range: Range, before: &[Range], same: &[Range], after: &[Range]) -> bool {
    before.iter().any(|other| overlap(*other, range, 1))
        || same.iter().any(|other| overlap(*other, range, 0))
        || after.iter().any(|other| overlap(range, *other, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dublin() -> Hours {
        let mut hours = Hours::new(TimeZone::get("Europe/Dublin").unwrap());
        for day in parse_days("mon-fri").unwrap() {
            hours.weekly[day] = vec![parse_range("09:00-17:00").unwrap()];
        }
        hours.weekly[5] = vec![parse_range("22:00-02:00").unwrap()];
        hours
            .dates
            .insert("2026-12-25".parse().unwrap(), Vec::new());
        hours
    }

    #[test]
    fn hours_follow_the_zone_through_daylight_saving() {
        let table = [
            ("2026-07-15T08:00:00Z", true),  // 09:00 in summer
            ("2026-01-14T08:00:00Z", false), // 08:00 in winter
            ("2026-01-14T16:59:59Z", true),
            ("2026-01-14T17:00:00Z", false),
            ("2026-12-25T12:00:00Z", false), // a Friday, closed by date
            ("2026-11-22T01:30:00Z", true),  // Saturday's night reaches into Sunday
            ("2026-11-22T02:00:00Z", false),
        ];
        for (at, open) in table {
            assert_eq!(dublin().is_open(at.parse().unwrap()), open, "{at}");
        }
    }

    #[test]
    fn a_night_clashes_with_the_morning_after_and_with_nothing_that_only_touches_it() {
        let hours = dublin();
        let table = [
            (6, "01:00-03:00", true), // Saturday's night ends at 02:00 on Sunday
            (6, "02:00-03:00", false),
            (4, "23:00-10:00", false), // Friday's night, and Saturday opens at 22:00
            (6, "22:00-09:01", true),  // Sunday's night into Monday's morning
            (6, "22:00-09:00", false),
            (0, "16:59-17:30", true),
        ];
        for (day, range, clash) in table {
            let range = parse_range(range).unwrap();
            assert_eq!(hours.clashes_weekly(day, range), clash, "{day} {range:?}");
        }
        let mut hours = dublin();
        let night = vec![parse_range("20:00-03:00").unwrap()];
        hours.dates.insert("2026-12-31".parse().unwrap(), night);
        let morning = parse_range("02:00-04:00").unwrap();
        let new_year = |day: &str| hours.clashes_date(day.parse().unwrap(), morning);
        assert!(new_year("2027-01-01") && !new_year("2027-01-02"));
    }

    #[test]
    fn days_and_ranges_that_make_no_sense_are_refused() {
        for text in ["", "mo", "mon-", "mon fri"] {
            assert_eq!(parse_days(text), None, "{text}");
        }
        for text in ["9-17", "09:00", "25:00-26:00", "09:60-10:00", "24:00-25:00"] {
            assert_eq!(parse_range(text), None, "{text}");
        }
        assert_eq!(parse_days("sat-mon"), Some(vec![5, 6, 0]));
        assert_eq!(parse_range("09:00-24:00"), Some((540, 1440)));
    }
}
