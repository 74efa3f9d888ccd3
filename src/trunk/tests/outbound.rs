//! Our registration with a carrier, and what is rewritten on the way.

use super::super::{
    BACK_OFF, BACK_OFF_MAX, CSEQ_STEP, HeaderRule, NextHop, NumberRule, NumberRules, Registered,
    Registration, RegistrationConfig, RegistrationState,
};
use super::at_ms;
use clock::{Duration, Now};

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn registration() -> Registration {
    let config = RegistrationConfig {
        registrar: NextHop::parse("registrar.example", None).unwrap(),
        expires: secs(3_600),
        contact_user: None,
        refuses: true,
    };
    Registration::new(Now::ZERO, config, 7)
}

fn answer(status: u16, granted: Option<u64>, least: Option<u64>) -> Registered {
    Registered {
        status,
        granted: granted.map(secs),
        least: least.map(secs),
    }
}

// covers: RFC 3261 §10.2, RFC 3261 §10.2.4
#[test]
fn a_registration_is_refreshed_at_80_to_90_percent_of_what_was_granted() {
    for (lot, share) in [(0, 80), (10, 90), (11, 80), (5, 85)] {
        let mut it = registration();
        let first = it.due(at_ms(0)).unwrap();
        assert_eq!((first.cseq, first.expires_secs), (CSEQ_STEP, 3_600));
        assert_eq!(it.due(at_ms(1)), None, "one at a time");
        let (changed, again) = it.on_response(at_ms(0), answer(200, Some(1_000), None), lot);
        assert!(changed && again.is_none() && it.stands(at_ms(999_999)));
        assert!(!it.stands(at_ms(1_000_000)));
        assert_eq!(it.deadline(), Some(at_ms(share * 10_000)), "lot {lot}");
        let second = it.due(at_ms(share * 10_000)).unwrap();
        assert_eq!(second.call_id, first.call_id);
        assert_eq!(second.cseq, 2 * CSEQ_STEP);
    }
}

#[test]
fn failures_back_off_to_half_an_hour_and_a_success_forgets_them() {
    let mut it = registration();
    let mut now = Now::ZERO;
    let mut waits = Vec::new();
    for _ in 0..9 {
        it.due(now).unwrap();
        it.on_response(now, answer(408, None, None), 0);
        let next = it.deadline().unwrap();
        waits.push((next - now).as_secs());
        now = next;
    }
    // Half of 30 s, 60 s … 30 min: the lot of 0 leaves the random half out whole.
    assert_eq!(waits, [15, 30, 60, 120, 240, 480, 900, 900, 900]);
    assert_eq!((BACK_OFF, BACK_OFF_MAX), (secs(30), secs(1_800)));
    let mut most = registration();
    most.due(Now::ZERO).unwrap();
    most.on_response(Now::ZERO, answer(503, None, None), 14_999);
    assert_eq!(most.deadline(), Some(at_ms(29_999)));
    it.due(now).unwrap();
    let (changed, _) = it.on_response(now, answer(200, Some(60), None), 0);
    assert!(changed && it.state().0 == RegistrationState::Registered);
    let refresh = it.deadline().unwrap();
    it.due(refresh).unwrap();
    it.on_response(refresh, answer(500, None, None), 0);
    assert_eq!(
        it.deadline(),
        Some(now + secs(60)),
        "it lapses before the next try"
    );
}

#[test]
fn it_stands_while_its_refresh_fails_and_lapses_when_its_time_is_over() {
    let mut it = registration();
    it.due(Now::ZERO).unwrap();
    it.on_response(Now::ZERO, answer(200, Some(100), None), 0);
    it.due(at_ms(80_000)).unwrap();
    let (changed, _) = it.on_response(at_ms(80_000), answer(503, None, None), 0);
    assert!(!changed && it.stands(at_ms(99_999)));
    assert!(!it.lapse(at_ms(99_999)));
    assert!(it.lapse(at_ms(100_000)));
    assert_eq!(it.state().0, RegistrationState::Failed);
    assert_eq!(it.state().2, "503 to REGISTER");
    assert!(!it.lapse(at_ms(100_001)));
}

// covers: RFC 3261 §10.2.8
#[test]
fn too_brief_is_asked_for_longer_once() {
    let mut it = registration();
    it.due(Now::ZERO).unwrap();
    let (_, again) = it.on_response(Now::ZERO, answer(423, None, Some(7_200)), 0);
    assert_eq!(again.unwrap().expires_secs, 7_200);
    let (changed, again) = it.on_response(Now::ZERO, answer(423, None, Some(9_000)), 0);
    assert!(
        changed && again.is_none(),
        "a registrar that wants ever more is a failure"
    );
    let mut greedy = registration();
    greedy.due(Now::ZERO).unwrap();
    let (_, again) = greedy.on_response(Now::ZERO, answer(423, None, Some(900_000)), 0);
    assert!(again.is_none());
}

#[test]
fn who_goes_takes_his_registration_back_once() {
    let mut it = registration();
    assert_eq!(it.leave(Now::ZERO), None, "it never stood");
    let mut it = registration();
    it.due(Now::ZERO).unwrap();
    it.on_response(Now::ZERO, answer(200, Some(3_600), None), 0);
    assert_eq!(it.leave(at_ms(5)).unwrap().expires_secs, 0);
    assert_eq!(it.leave(at_ms(6)), None);
    assert!(!it.stands(at_ms(6)));
    assert_eq!(
        it.on_response(at_ms(7), answer(200, None, None), 0),
        (false, None)
    );
    assert_eq!(it.due(at_ms(9_000_000)), None);
}

#[test]
fn a_prefix_is_replaced_by_the_first_rule_that_fits() {
    let rule = |prefix: &str, replace: &str| NumberRule {
        prefix: prefix.to_owned(),
        replace: replace.to_owned(),
    };
    let rules = NumberRules {
        received: vec![rule("00", "+"), rule("0", "+33")],
        sent: vec![rule("+33", "0"), rule("+", "00"), rule("", "9")],
    };
    for (came, want) in [
        ("0044123", "+44123"),
        ("0142", "+33142"),
        ("142", "142"),
        ("", ""),
    ] {
        assert_eq!(rules.on_received(came), want, "{came}");
    }
    let table = [
        ("+33142", "0142"),
        ("+44123", "0044123"),
        ("142", "9142"),
        ("anna", "anna"),
    ];
    for (number, want) in table {
        assert_eq!(rules.on_sent(number), want, "{number}");
    }
}

#[test]
fn header_rules_set_add_and_remove_in_order() {
    let rules = [
        HeaderRule::Remove("p-asserted-identity".to_owned()),
        HeaderRule::Set("X-Customer".to_owned(), "42".to_owned()),
        HeaderRule::Add("X-Tag".to_owned(), "b".to_owned()),
    ];
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut headers = vec![
        header("P-Asserted-Identity", "<sip:1@x>"),
        header("X-CUSTOMER", "1"),
        header("X-Tag", "a"),
        header("Privacy", "id"),
    ];
    HeaderRule::apply(&rules, &mut headers);
    let want = [
        header("X-Tag", "a"),
        header("Privacy", "id"),
        header("X-Customer", "42"),
        header("X-Tag", "b"),
    ];
    assert_eq!(headers, want);
}
