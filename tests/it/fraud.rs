//! Toll fraud: what a stolen password, a looped forwarding or a burst of calls would cost, and what
//! stops it. Each case is run twice on a whole control shard: with the defence the call gets nowhere,
//! and without it, or within its bounds, the same attack goes through.

mod destinations;
mod spirals;

use std::time::Duration;

use sip::message::{Message, Method, Name};
use tandem::control::What;
use tandem::trunk::Owner;

use crate::lab::Lab;

const FAR: &str = "203.0.113.9:5060";

const ANNA: &str = "10.2.0.1:5060";

/// Endpoint anna and a carrier both ways. Anna's calls go out; what the carrier calls rings her, but
/// 800 is forwarded to a number outside and 801 to itself.
const PLAN: &str = r#"
dialplan version=1 tz="UTC"
entry did="+33142685301" flow="in"
entry did="+33142685308" flow="forward"
entry did="+33142685309" flow="round"
entry pattern="*" flow="out"
flow "in" { dial "anna"; }
flow "forward" { transfer "+882123456" trunk="far"; }
flow "round" { transfer "+33142685309" trunk="far"; }
flow "out" { dial "{to}" trunk="far" { on failed { hangup cause="forbidden"; }; }; }
"#;

fn lab(trunk: &str, anna: &str) -> Lab {
    limited("", trunk, anna)
}

/// The same with further limits of the server.
fn limited(server: &str, trunk: &str, anna: &str) -> Lab {
    let country = if trunk.contains("as_is") {
        ""
    } else {
        "[trunks.far.normalize]\ncountry = \"FR\"\n"
    };
    let trunk = trunk.replace("as_is", "").replace('|', "\n");
    let anna = anna.replace('|', "\n");
    Lab::new(
        &format!(
            "[limits]\ncalls = 5000\n{server}\n[trunks.far]\nredirect = \"any\"\nsend_to = [\"{FAR}\"]\nrefer = true\n{trunk}\n{country}\
             [endpoints.anna]\npassword = \"secret\"\n{anna}\n"
        ),
        PLAN,
    )
}

const TRUNK: &str = "[trunks.far.limits]|";

const ENDPOINT: &str = "[endpoints.anna.limits]|";

/// Who tries what.
enum Attack {
    /// Anna, or who has her password, dials.
    Dials(&'static str),
    /// Anna is called from outside and hands the caller on.
    Transfers(&'static str),
    /// The carrier's other side calls this number of ours.
    Calls(&'static str),
}
use Attack::{Calls, Dials, Transfers};

/// The attack; what the far side gets of it, if anything.
fn attempt(lab: &mut Lab, attack: &Attack) -> Option<Message> {
    match attack {
        Dials(number) => lab.invite_as("anna", ANNA, number, ""),
        Calls(number) => drop(lab.invite(FAR, number, "")),
        Transfers(number) => {
            lab.register("anna", ANNA);
            lab.invite(FAR, "+33142685301", "");
            let rung = lab.invited(ANNA).unwrap();
            lab.reply(ANNA, &rung, 200, "");
            let refer = format!("Refer-To: <sip:{number}@192.0.2.1>");
            lab.within(ANNA, &rung, "REFER", &refer);
        }
    }
    lab.pass(Duration::from_millis(10));
    lab.invited(FAR)
}

/// Calls that anna makes at once; how many reach the far side.
fn burst(lab: &mut Lab, calls: usize, every: Duration) -> usize {
    let mut out = 0;
    for number in 0..calls {
        let to = format!("+4930{number:06}");
        lab.invite_as("anna", ANNA, &to, "");
        lab.pass(every);
        out += usize::from(lab.invited(FAR).is_some());
    }
    out
}

#[test]
fn an_endpoints_calls_at_once_and_a_second_are_what_its_limits_say() {
    let ms = Duration::from_millis;
    let table = [
        ("", 12, ms(1), 12),
        ("calls = 5", 12, ms(1), 5),
        ("calls = 1", 12, ms(1), 1),
        ("calls_per_second = 3", 12, ms(1), 3),
        ("calls_per_second = 3", 12, ms(400), 12),
        ("calls = 5|calls_per_second = 3", 12, ms(400), 5),
    ];
    for (limits, calls, every, want) in table {
        let mut lab = lab("", &format!("{ENDPOINT}{limits}"));
        assert_eq!(burst(&mut lab, calls, every), want, "{limits}");
    }
}

#[test]
fn a_trunks_calls_at_once_and_a_second_are_exact_for_what_goes_out() {
    for (limits, want) in [("", 12), ("calls = 4", 4), ("calls_per_second = 2", 2)] {
        let mut lab = lab(limits, "");
        assert_eq!(
            burst(&mut lab, 12, Duration::from_millis(1)),
            want,
            "{limits}"
        );
    }
}

/// The far side answers whatever it is sent.
fn answer_all(lab: &mut Lab) {
    while let Some(invite) = lab.invited(FAR) {
        lab.reply(FAR, &invite, 200, "");
    }
}

#[test]
fn a_call_that_is_up_ends_when_the_day_is_used_up_and_alarms_come_before() {
    let mut lab = lab(
        &format!("{TRUNK}spend_per_day = \"1\"|rates.\"+882\" = \"0.50 + 0.25\""),
        "",
    );
    lab.invite_as("anna", ANNA, "+882123456", "");
    answer_all(&mut lab);
    // 0.25 at once, then 0.50 a minute: 90 s.
    lab.pass(Duration::from_millis(89_999));
    assert_eq!(lab.control.calls(lab.now).len(), 1);
    assert!(
        lab.take(FAR)
            .iter()
            .all(|it| it.method() != Some(Method::Bye))
    );
    lab.pass(Duration::from_millis(1));
    assert!(
        lab.take(FAR)
            .iter()
            .any(|it| it.method() == Some(Method::Bye))
    );
    assert!(
        lab.troubles().contains("spend-per-day"),
        "{}",
        lab.troubles()
    );
    let alarms: Vec<u8> = lab.alarms().iter().map(|alarm| alarm.percent).collect();
    assert_eq!(alarms, [80, 100]);

    // The control: a cap that is not reached.
    let mut lab = self::lab(
        &format!("{TRUNK}spend_per_day = \"1.01\"|rates.\"+882\" = \"0.50 + 0.25\""),
        "",
    );
    lab.invite_as("anna", ANNA, "+882123456", "");
    answer_all(&mut lab);
    lab.pass(Duration::from_secs(90));
    assert_eq!(lab.control.calls(lab.now).len(), 1);
}

#[test]
fn a_transferred_call_is_counted_for_who_transferred_it() {
    for (limits, ended) in [
        ("minutes_per_day = 1", true),
        ("minutes_per_day = 2", false),
    ] {
        let mut lab = lab("", &format!("{ENDPOINT}{limits}"));
        let sent = attempt(&mut lab, &Transfers("+4930123456"));
        lab.reply(FAR, &sent.unwrap(), 200, "");
        lab.pass(Duration::from_secs(61));
        let byes = lab
            .take(FAR)
            .iter()
            .filter(|it| it.method() == Some(Method::Bye))
            .count();
        assert_eq!(byes > 0, ended, "{limits}: {}", lab.troubles());
    }
}

/// What a race came to.
#[derive(Debug)]
struct Race {
    out: u32,
    at_once: u32,
    /// The most that went out in a second.
    in_a_second: usize,
    ms: u64,
    spent: u64,
}

/// A thousand calls, 500 a second, from anna and from outside, most of them answered and some
/// ended, in a mixed order.
fn race(trunk: &str, anna: &str) -> Race {
    let mut lab = lab(trunk, anna);
    let mut up = Vec::new();
    let mut second = std::collections::VecDeque::new();
    let mut race = Race {
        out: 0,
        at_once: 0,
        in_a_second: 0,
        ms: 0,
        spent: 0,
    };
    for turn in 0..1_000_usize {
        if turn % 10 == 0 {
            let from = format!("From: <sip:+1555{turn:07}@x>;tag=f{turn}");
            lab.invite(FAR, "+33142685308", &from);
        } else {
            lab.invite_as("anna", ANNA, &format!("+4930{turn:06}"), "");
        }
        let got = lab.take(FAR);
        for invite in got
            .into_iter()
            .filter(|it| it.method() == Some(Method::Invite))
        {
            race.out += 1;
            second.push_back(lab.now);
            let refused = turn % 7 == 0;
            lab.reply(FAR, &invite, if refused { 486 } else { 200 }, "");
            up.extend((!refused).then_some(invite));
        }
        while second
            .front()
            .is_some_and(|at| lab.now - *at >= Duration::from_secs(1))
        {
            second.pop_front();
        }
        race.in_a_second = race.in_a_second.max(second.len());
        if turn % 8 == 0 && !up.is_empty() {
            let invite = up.swap_remove(turn % up.len());
            lab.within(FAR, &invite, "BYE", "");
        }
        let calls = lab.control.trunks().trunks().map(|(_, calls)| calls).max();
        race.at_once = race.at_once.max(calls.unwrap_or(0));
        lab.pass(Duration::from_millis(2));
        lab.take(ANNA);
    }
    if let Some((ms, spent)) = lab.control.used(lab.now, &Owner::trunk("far")) {
        (race.ms, race.spent) = (ms, spent.0);
    }
    lab.control
        .hang_up_all(lab.now, tandem::call::Cause::Normal);
    lab.pass(Duration::from_secs(120));
    let left: u32 = lab.control.trunks().trunks().map(|(_, calls)| calls).sum();
    assert_eq!(left, 0, "places that never came back");
    println!("{trunk} {anna}: {race:?}");
    race
}

#[test]
fn a_race_of_500_calls_a_second_passes_no_cap_on_calls() {
    let caps = race("calls = 300", "");
    assert_eq!(caps.at_once, 300, "{caps:?}");
    let pace = race("calls_per_second = 100", "");
    // A bucket admits its depth at once besides its pace.
    assert!(
        (100..=199).contains(&pace.in_a_second) && pace.out <= 300,
        "{pace:?}"
    );
    let open = race("", "");
    assert!(open.out >= 990 && open.at_once > 700, "{open:?}");
    assert!(open.in_a_second > 450, "{open:?}");
}

#[test]
fn a_race_of_500_calls_a_second_passes_no_cap_on_minutes_and_money() {
    let minutes = race("[trunks.far.limits]|minutes_per_day = 5", "");
    assert!((299_000..=300_000).contains(&minutes.ms), "{minutes:?}");
    let fees = "[trunks.far.limits]|spend_per_day = \"3\"|rates.default = \"0 + 0.01\"";
    let fees = race(fees, "");
    assert_eq!(fees.spent, 3_000_000, "{fees:?}");
    let both = "[trunks.far.limits]|spend_per_day = \"6\"|rates.default = \"1.20 + 0.01\"";
    let both = race(both, "");
    assert!((5_970_000..=6_000_000).contains(&both.spent), "{both:?}");
    let high = "[trunks.far.limits]|spend_per_day = \"9000\"|rates.default = \"1.20 + 0.01\"";
    let high = race(high, "");
    assert!(high.spent > 9_000_000, "{high:?}");
}

#[test]
fn what_was_used_is_told_to_the_store_and_counts_on() {
    let mut lab = lab(&format!("{TRUNK}minutes_per_day = 1"), "");
    lab.invite_as("anna", ANNA, "+4930123456", "");
    let invite = lab.invited(FAR).unwrap();
    lab.reply(FAR, &invite, 200, "");
    lab.pass(Duration::from_secs(40));
    lab.within(FAR, &invite, "BYE", "");
    lab.pass(Duration::from_secs(2));
    let kept = lab.usage.last().unwrap().clone();
    assert_eq!((kept.ms, kept.calls), (40_000, 1));

    let mut next = self::lab(&format!("{TRUNK}minutes_per_day = 1"), "");
    next.control.restore_usage(next.now, &kept);
    next.invite_as("anna", ANNA, "+4930123456", "");
    answer_all(&mut next);
    next.pass(Duration::from_millis(19_999));
    assert_eq!(next.control.calls(next.now).len(), 1);
    next.pass(Duration::from_millis(1));
    assert!(
        next.events
            .iter()
            .any(|it| matches!(it, What::HungUp { .. }))
    );
    assert!(
        next.take(FAR)
            .iter()
            .any(|it| it.header(Name::Reason).is_some())
    );
}
