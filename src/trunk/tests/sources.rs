//! Access-list entries and the rate cap.

use clock::{Duration, Now};
use proptest::prelude::{prop, prop_assert, proptest};

use super::super::Source;
use super::super::rate::Rate;

#[test]
fn an_entry_contains_what_it_says_and_nothing_else() {
    let table = [
        ("203.0.113.7", "203.0.113.7:5060", true),
        ("203.0.113.7", "203.0.113.8:5060", false),
        ("203.0.113.0/24", "203.0.113.255:1", true),
        ("203.0.113.0/24", "203.0.114.0:1", false),
        ("203.0.113.8/30", "203.0.113.11:1", true),
        ("203.0.113.8/30", "203.0.113.12:1", false),
        ("0.0.0.0/0", "255.255.255.255:1", true),
        ("0.0.0.0/0", "[2001:db8::1]:1", false),
        ("203.0.113.7:5060", "203.0.113.7:5060", true),
        ("203.0.113.7:5060", "203.0.113.7:5061", false),
        ("2001:db8::/32", "[2001:db8:ffff::1]:1", true),
        ("2001:db8::/32", "[2001:db9::1]:1", false),
        ("[2001:db8::1]:5060", "[2001:db8::1]:5060", true),
        ("::/0", "192.0.2.1:1", false),
        ("203.0.113.0/24", "[::ffff:203.0.113.9]:1", true),
        ("::ffff:203.0.113.7", "203.0.113.7:1", true),
    ];
    for (entry, remote, want) in table {
        let source: Source = entry.parse().unwrap();
        assert_eq!(
            source.contains(remote.parse().unwrap()),
            want,
            "{entry} {remote}"
        );
    }
}

#[test]
fn an_entry_prints_as_it_is_written() {
    for text in [
        "203.0.113.7",
        "203.0.113.0/24",
        "203.0.113.7:5060",
        "2001:db8::/32",
        "[2001:db8::1]:5060",
        "0.0.0.0/0",
    ] {
        assert_eq!(text.parse::<Source>().unwrap().to_string(), text);
    }
}

#[test]
fn an_entry_that_means_something_else_than_it_says_is_none() {
    let wrong = [
        "",
        "carrier.example",
        "203.0.113.7/24",
        "203.0.113.0/33",
        "203.0.113.0/",
        "203.0.113.0/+8",
        "203.0.113.7:0",
        "203.0.113.7:65536",
        "2001:db8::1/64",
        "2001:db8::/129",
        "203.0.113",
        "*",
    ];
    for text in wrong {
        assert!(text.parse::<Source>().is_err(), "{text}");
    }
}

#[test]
fn a_second_of_calls_passes_at_once_and_then_one_each_interval() {
    let mut rate = Rate::new(20);
    let start = Now::ZERO + Duration::from_secs(9);
    let burst = (0..100).filter(|_| rate.take(start)).count();
    assert_eq!(burst, 20);
    assert!(!rate.take(start + Duration::from_micros(49_999)));
    assert!(rate.take(start + Duration::from_millis(50)));
    assert!(!rate.take(start + Duration::from_millis(50)));
}

proptest! {
    #[test]
    fn a_rate_never_admits_more_than_its_cap_and_never_refuses_the_pace(
        per_second in 1..600_u32,
        gaps_us in prop::collection::vec(0..40_000_u64, 1..400),
    ) {
        let mut rate = Rate::new(per_second);
        let mut now = Now::ZERO + Duration::from_secs(1);
        let mut admitted: Vec<Now> = Vec::new();
        for gap in gaps_us {
            now += Duration::from_micros(gap);
            if rate.take(now) {
                admitted.push(now);
            }
        }
        for (index, first) in admitted.iter().enumerate() {
            for (count, last) in admitted.iter().skip(index).enumerate() {
                let span = last.since(*first).as_secs_f64();
                prop_assert!(count as f64 + 1.0 <= f64::from(per_second) * (1.0 + span) + 1e-3);
            }
        }
        let mut paced = Rate::new(per_second);
        let step = Duration::from_nanos(1_000_000_000_u64.div_ceil(per_second.into()));
        prop_assert!((1..500).all(|call| paced.take(Now::ZERO + step * call)));
    }
}
