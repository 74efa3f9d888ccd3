//! The ledger against a clerk who counts every millisecond of every call.

use jiff::tz::TimeZone;

use super::account::{MINUTE_MS, TICKS};
use super::*;

fn at(ms: u64) -> Now {
    Now::ZERO + Duration::from_millis(ms)
}

fn price(minute: u64, call: u64) -> Price {
    Price {
        minute: Money(minute),
        call: Money(call),
    }
}

fn limits(minutes: Option<u32>, spend: Option<u64>) -> Limits {
    Limits {
        minutes_per_day: minutes,
        spend_per_day: spend.map(Money),
        ..Limits::default()
    }
}

fn owner() -> Owner {
    Owner::trunk("acme")
}

/// A ledger with one trunk, at that time of day.
fn ledger(limits: &Limits, clock: &str) -> Ledger {
    let mut ledger = Ledger::default();
    let wall = format!("2026-11-20T{clock}Z").parse().unwrap();
    ledger.set_wall(Now::ZERO, wall);
    ledger.configure(Now::ZERO, std::iter::once((owner(), limits)));
    ledger
}

fn open(ledger: &mut Ledger, now: Now, price: Price) -> Result<ChargeId, Barred> {
    let line = Line {
        owner: owner(),
        price: Some(price),
    };
    ledger.open(now, &[line]).map(Option::unwrap)
}

fn up(ledger: &mut Ledger, now: Now, price: Price) -> ChargeId {
    let id = open(ledger, now, price).unwrap();
    ledger.answered(now, id);
    id
}

/// Lets time pass by the ledger's own deadlines; what it says with its time.
fn pass(ledger: &mut Ledger, until: Now) -> Vec<(Now, Word)> {
    let mut said = Vec::new();
    let mut steps = 0;
    while let Some(due) = ledger.deadline().filter(|due| *due <= until) {
        steps += 1;
        assert!(steps < 100_000, "its deadline never passes");
        ledger.handle_timeout(due);
        said.extend(std::iter::from_fn(|| ledger.poll()).map(|word| (due, word)));
    }
    ledger.handle_timeout(until);
    said.extend(std::iter::from_fn(|| ledger.poll()).map(|word| (until, word)));
    said
}

fn ends(said: &[(Now, Word)]) -> Vec<(Now, usize)> {
    let ends = said.iter().filter_map(|(at, word)| match word {
        Word::End { charges, .. } => Some((*at, charges.len())),
        _ => None,
    });
    ends.collect()
}

fn alarms(said: &[(Now, Word)]) -> Vec<(Now, u8)> {
    let alarms = said.iter().filter_map(|(at, word)| match word {
        Word::Alarm(alarm) => Some((*at, alarm.percent)),
        _ => None,
    });
    alarms.collect()
}

#[test]
fn calls_that_run_end_at_the_millisecond_in_which_the_minutes_of_the_day_are_used_up() {
    let mut ledger = ledger(&limits(Some(1), None), "12:00:00");
    up(&mut ledger, at(0), price(0, 0));
    up(&mut ledger, at(10_000), price(0, 0));
    let said = pass(&mut ledger, at(60_000));
    // 10 s of one call, then 25 s of two.
    assert_eq!(ends(&said), [(at(35_000), 2)]);
    assert_eq!(alarms(&said), [(at(29_000), 80), (at(35_000), 100)]);
    assert_eq!(ledger.used(at(60_000), &owner()).unwrap().0, 60_000);
    let refused = open(&mut ledger, at(60_000), price(0, 0)).unwrap_err();
    assert_eq!(refused.id(), "minutes-per-day");
}

#[test]
fn money_is_counted_to_the_tick_and_a_free_call_goes_on() {
    // 0.60 a minute is 10 millionths a millisecond; 0.10 for each answered call.
    let mut ledger = ledger(&limits(None, Some(1_000_000)), "12:00:00");
    up(&mut ledger, at(0), price(600_000, 100_000));
    up(&mut ledger, at(0), price(0, 0));
    let said = pass(&mut ledger, at(200_000));
    assert_eq!(ends(&said), [(at(90_000), 1)]);
    assert_eq!(alarms(&said), [(at(70_000), 80), (at(90_000), 100)]);
    assert_eq!(
        ledger.used(at(200_000), &owner()).unwrap().1,
        Money(1_000_000)
    );
    assert!(open(&mut ledger, at(200_000), price(0, 0)).is_ok());
    let refused = open(&mut ledger, at(200_000), price(1, 0)).unwrap_err();
    assert_eq!(refused.id(), "spend-per-day");
}

#[test]
fn fees_of_calls_that_ring_at_once_are_set_aside_and_come_back_if_nobody_answers() {
    let mut ledger = ledger(&limits(None, Some(1_000_000)), "12:00:00");
    let rung: Vec<_> = (0..500)
        .filter_map(|_| open(&mut ledger, at(0), price(0, 300_000)).ok())
        .collect();
    assert_eq!(rung.len(), 3);
    ledger.close(at(1), rung[0]);
    assert!(open(&mut ledger, at(1), price(0, 300_000)).is_ok());
    assert!(open(&mut ledger, at(1), price(0, 300_000)).is_err());
}

#[test]
fn without_a_price_nothing_is_called_where_money_is_counted() {
    let mut ledger = ledger(&limits(None, Some(1)), "12:00:00");
    let line = Line {
        owner: owner(),
        price: None,
    };
    assert_eq!(
        ledger.open(at(0), &[line]).unwrap_err().id(),
        "destination-unrated"
    );
}

#[test]
fn a_call_over_midnight_is_counted_on_both_days_and_the_caps_begin_anew() {
    let mut ledger = ledger(&limits(Some(2), None), "23:59:00");
    let id = up(&mut ledger, at(0), price(0, 0));
    let said = pass(&mut ledger, at(100_000));
    assert_eq!(ends(&said), []);
    let kept: Vec<(String, u64)> = said
        .iter()
        .filter_map(|(_, word)| match word {
            Word::Save(row) => Some((row.day.to_string(), row.ms)),
            _ => None,
        })
        .collect();
    assert!(
        kept.contains(&("2026-11-20".to_owned(), 60_000)),
        "{kept:?}"
    );
    ledger.close(at(100_000), id);
    assert_eq!(ledger.used(at(100_000), &owner()).unwrap().0, 40_000);
}

#[test]
fn days_are_those_of_the_owners_zone() {
    let paris = Limits {
        zone: Some(TimeZone::get("Europe/Paris").unwrap()),
        ..limits(Some(2), None)
    };
    let mut ledger = ledger(&paris, "22:59:30");
    up(&mut ledger, at(0), price(0, 0));
    pass(&mut ledger, at(45_000));
    assert_eq!(ledger.used(at(45_000), &owner()).unwrap().0, 15_000);
}

#[test]
fn what_was_kept_counts_on_after_a_restart_and_a_reload() {
    let caps = limits(Some(1), None);
    let mut before = ledger(&caps, "12:00:00");
    up(&mut before, at(0), price(0, 0));
    let said = pass(&mut before, at(50_000));
    let kept = said.iter().rev().find_map(|(_, word)| match word {
        Word::Save(row) => Some(row.clone()),
        _ => None,
    });
    let kept = kept.unwrap();
    assert!(kept.ms >= 35_000, "a crash forgets 15 s at most: {kept:?}");

    let mut after = ledger(&caps, "12:01:00");
    after.restore(Now::ZERO, &kept);
    up(&mut after, Now::ZERO, price(0, 0));
    after.configure(at(1), std::iter::once((owner(), &caps)));
    let said = pass(&mut after, at(60_000));
    assert_eq!(ends(&said), [(at(60_000 - kept.ms), 1)]);
    let yesterday = UsageRow {
        day: kept.day.yesterday().unwrap(),
        ..kept
    };
    let mut other = ledger(&caps, "12:00:00");
    other.restore(Now::ZERO, &yesterday);
    assert_eq!(other.used(Now::ZERO, &owner()).unwrap().0, 0);
}

/// A call as the clerk knows it.
struct Known {
    id: ChargeId,
    price: Price,
    answered: bool,
}

#[test]
fn no_sequence_of_calls_passes_a_cap_and_every_millisecond_is_counted() {
    for seed in 1..=40_u64 {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut draw = |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let (minutes, spend) = (1 + draw(3), 200_000 + draw(500_000));
        let caps = limits(u32::try_from(minutes).ok(), Some(spend));
        let mut ledger = ledger(&caps, "10:00:00");
        let (mut ms, mut ticks) = (0_u64, 0_u128);
        let mut known: Vec<Known> = Vec::new();
        let mut now = 0;
        for _ in 0..300 {
            let next = now + draw(900);
            // The clerk looks at the ledger each millisecond.
            for time in now..next {
                ledger.handle_timeout(at(time));
                while let Some(word) = ledger.poll() {
                    if let Word::End { charges, .. } = word {
                        known.retain(|call| !charges.contains(&call.id));
                        charges
                            .into_iter()
                            .for_each(|id| ledger.close(at(time), id));
                    }
                }
                for call in known.iter().filter(|call| call.answered) {
                    ms += 1;
                    ticks += u128::from(call.price.minute.0);
                }
                assert!(ms <= minutes * MINUTE_MS, "seed {seed}: {ms} ms");
                assert!(
                    ticks <= u128::from(spend) * TICKS,
                    "seed {seed}: {ticks} ticks"
                );
            }
            now = next;
            match draw(4) {
                0 | 1 => {
                    let price = price(draw(400_000), draw(3) * 1_000);
                    if let Ok(id) = open(&mut ledger, at(now), price) {
                        let answered = false;
                        known.push(Known {
                            id,
                            price,
                            answered,
                        });
                    }
                }
                2 => {
                    if let Some(call) = known.iter_mut().find(|call| !call.answered) {
                        call.answered = true;
                        ticks += u128::from(call.price.call.0) * TICKS;
                        ledger.answered(at(now), call.id);
                    }
                }
                _ if !known.is_empty() => {
                    let index = usize::try_from(draw(known.len() as u64)).unwrap();
                    let call = known.swap_remove(index);
                    ledger.close(at(now), call.id);
                }
                _ => {}
            }
        }
        let (counted, spent) = ledger.used(at(now), &owner()).unwrap();
        while let Some(word) = ledger.poll() {
            assert!(
                !matches!(word, Word::Save(row) if row.ms > counted),
                "seed {seed}"
            );
        }
        let want = Money(u64::try_from(ticks.div_ceil(TICKS)).unwrap());
        assert_eq!((counted, spent), (ms, want), "seed {seed}");
    }
}
