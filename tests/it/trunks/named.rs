//! A carrier given by its name: the production resolver asks a name server on loopback, and the call is
//! heard (RFC 3263 §4).

use std::time::Instant;

use sip::message::Name;
use tandem::control::What;

use super::zone::{Mood, NOTHING_SECS, Zone};
use super::{CALLER, ONE, THREE, TWO, a_thousand_calls, final_of, invite_at, ms, talk};
use crate::lab::Lab;

const BY_NAME: &str = "send_to = [\"acme.example\"]";

const WHOLE: &str = "
    acme.example 60 NAPTR 20 10 s SIP+D2T _sip._tcp.acme.example
    acme.example 60 NAPTR 10 10 s SIP+D2U _sip._udp.acme.example
    _sip._udp.acme.example 60 SRV 20 1 5060 two.acme.example
    _sip._udp.acme.example 60 SRV 10 1 5060 one.acme.example
    one.acme.example 60 A 10.9.1.1
    two.acme.example 60 A 10.9.1.2";

fn lab(acme: &str, zone: &Zone) -> Lab {
    super::lab(acme).resolving(zone.address)
}

#[expect(clippy::disallowed_methods, reason = "a resolver takes real time")]
fn real_time() -> Instant {
    Instant::now()
}

fn call(lab: &mut Lab) {
    lab.invite(CALLER.0, "+15550001", "");
    lab.pass(ms(20));
}

// covers: RFC 3263 §4.1, §4.2, RFC 3403 §4.1
#[test]
fn a_name_is_followed_by_naptr_srv_and_address_and_the_call_is_heard() {
    let zone = Zone::serve(WHOLE);
    let mut lab = lab(BY_NAME, &zone);
    let asked = zone.asked();
    let want = [
        "NAPTR acme.example",
        "SRV _sip._udp.acme.example",
        "A one.acme.example",
        "A two.acme.example",
    ];
    for one in want {
        assert!(asked.iter().any(|it| it == one), "{one}: {asked:?}");
    }
    assert!(!asked.iter().any(|it| it.contains("_tcp")), "{asked:?}");
    call(&mut lab);
    assert_eq!(zone.asked(), [""; 0], "the call waits for no question");
    let invite = invite_at(&mut lab, ONE);
    assert_eq!(invite.request_uri(), Some("sip:+33142685300@acme.example"));
    println!("NAPTR, SRV, A: {}", talk(&mut lab, ONE, &invite));
}

// covers: RFC 3263 §4.3, RFC 2782
#[test]
fn the_second_host_of_a_service_takes_the_call_of_the_first_that_is_silent() {
    let zone = Zone::serve(WHOLE);
    let mut lab = lab(BY_NAME, &zone);
    call(&mut lab);
    invite_at(&mut lab, ONE);
    lab.pass(ms(4_100));
    let invite = invite_at(&mut lab, TWO);
    println!("the second of SRV: {}", talk(&mut lab, TWO, &invite));
}

// covers: RFC 2782
#[test]
fn the_weights_of_a_service_are_obeyed_over_many_calls() {
    let zone = Zone::serve(
        "_sip._udp.acme.example 3600 SRV 10 70 5060 one.acme.example
         _sip._udp.acme.example 3600 SRV 10 30 5060 two.acme.example
         _sip._udp.acme.example 3600 SRV 20 99 5060 three.acme.example
         acme.example 3600 A 10.9.1.3
         one.acme.example 3600 A 10.9.1.1
         two.acme.example 3600 A 10.9.1.2
         three.acme.example 3600 A 10.9.1.3",
    );
    let mut lab = lab(BY_NAME, &zone);
    let came = a_thousand_calls(&mut lab);
    println!("of 1,000 calls by SRV 70 to 30: {came:?}");
    assert!(
        (came[0] - 700_i32).abs() < 58 && came[0] + came[1] == 1_000,
        "{came:?}"
    );
}

// covers: RFC 3263 §4.2
#[test]
fn a_change_of_a_name_is_seen_when_its_time_is_over_and_not_before() {
    let zone = Zone::serve("acme.example 60 A 10.9.1.1");
    let mut lab = lab("send_to = [\"acme.example:5060\"]", &zone);
    call(&mut lab);
    let invite = invite_at(&mut lab, ONE);
    println!("before: {}", talk(&mut lab, ONE, &invite));
    zone.becomes("acme.example 60 A 10.9.1.2");
    zone.asked();
    lab.pass(ms(5_000));
    call(&mut lab);
    assert_eq!(zone.asked(), [""; 0], "it is asked within its time");
    let invite = invite_at(&mut lab, ONE);
    lab.reply(ONE.0, &invite, 486, "");
    lab.pass(ms(20_000));
    assert_eq!(zone.asked(), ["A acme.example", "AAAA acme.example"]);
    call(&mut lab);
    assert!(lab.invited(ONE.0).is_none());
    let invite = invite_at(&mut lab, TWO);
    println!("after 60 s: {}", talk(&mut lab, TWO, &invite));
}

// covers: RFC 2308 §5
#[test]
fn a_name_that_is_not_there_fails_the_call_and_is_found_when_it_is() {
    let zone = Zone::serve("other.example 60 A 10.9.1.1");
    let mut lab = lab(BY_NAME, &zone);
    call(&mut lab);
    let refused = final_of(&mut lab).unwrap().status();
    assert!(refused.is_some_and(|it| it >= 400), "{refused:?}");
    assert!(
        lab.troubles().contains("trunk-not-located"),
        "{}",
        lab.troubles()
    );
    let asked = zone.asked().len();
    call(&mut lab);
    assert_eq!(
        zone.asked(),
        [""; 0],
        "{asked} questions, and again at once"
    );
    zone.becomes("acme.example 60 A 10.9.1.1");
    lab.pass(ms(u64::from(NOTHING_SECS) * 1_000 + 100));
    call(&mut lab);
    let invite = invite_at(&mut lab, ONE);
    println!("after NXDOMAIN: {}", talk(&mut lab, ONE, &invite));
}

#[test]
fn a_name_server_that_does_not_answer_costs_a_bounded_time_and_what_was_known_still_serves() {
    let zone = Zone::serve("acme.example 5 A 10.9.1.1");
    let mut known = lab("send_to = [\"acme.example:5060\"]", &zone);
    zone.is(Mood::Silent);
    let begun = real_time();
    known.pass(ms(6_000));
    let took = begun.elapsed();
    println!(
        "a silent name server took {:.1} s of real time",
        took.as_secs_f32()
    );
    assert!(took.as_secs_f32() < 7.0, "{took:?}");
    call(&mut known);
    let invite = invite_at(&mut known, ONE);
    known.reply(ONE.0, &invite, 200, "");
    let heard = known.hear_each_other(CALLER, ONE);
    println!(
        "by what was known: heard at {:.1} and {:.1} dBFS",
        heard.0, heard.1
    );
    // The control: nothing was known. The call is refused and says why.
    let mut unknown = lab("send_to = [\"new.example:5060\"]", &zone);
    call(&mut unknown);
    assert!(final_of(&mut unknown).unwrap().status() >= Some(400));
    let troubles = unknown.troubles();
    assert!(troubles.contains("dns-no-answer"), "{troubles}");
}

/// The caller's wait is bounded whatever DNS does: here nobody ever answers a question.
#[test]
fn a_call_waits_two_seconds_for_a_name_and_is_refused() {
    let mut lab = super::lab(BY_NAME);
    lab.invite(CALLER.0, "+15550001", "");
    lab.pass(ms(1_950));
    assert!(final_of(&mut lab).is_none());
    lab.pass(ms(100));
    assert!(final_of(&mut lab).unwrap().status() >= Some(400));
    assert!(lab.troubles().contains("within 2 s"), "{}", lab.troubles());
}

#[test]
fn what_is_no_answer_is_none_and_what_is_too_long_comes_by_tcp_and_is_bounded() {
    for mood in [Mood::Garbage, Mood::Fails] {
        let zone = Zone::serve(WHOLE);
        zone.is(mood);
        let begun = real_time();
        let mut lab = lab("send_to = [\"one.acme.example:5060\"]", &zone);
        call(&mut lab);
        assert!(
            final_of(&mut lab).unwrap().status() >= Some(400),
            "{mood:?}"
        );
        let took = begun.elapsed().as_secs_f32();
        println!("{mood:?}: {took:.1} s of real time");
        assert!(took < 20.0);
        zone.is(Mood::Answers);
        lab.pass(ms(6_000));
        call(&mut lab);
        let invite = invite_at(&mut lab, ONE);
        talk(&mut lab, ONE, &invite);
    }
    // 300 hosts, of which the last alone is of the first priority: 9 kB, over TCP.
    let mut many: String = (1..300)
        .map(|n| format!("_sip._udp.acme.example 60 SRV 20 1 5060 h{n}.acme.example\n"))
        .collect();
    many += "_sip._udp.acme.example 60 SRV 10 1 5060 h0.acme.example\n\
             acme.example 60 A 10.9.1.3\nh0.acme.example 60 A 10.9.1.1\n";
    let zone = Zone::serve(&many);
    zone.is(Mood::Truncates);
    let mut lab = lab(BY_NAME, &zone);
    let asked = zone.asked();
    let by_tcp = asked.iter().filter(|it| it.starts_with("TCP SRV")).count();
    assert!(by_tcp > 0, "{asked:?}");
    // Sixty-four of a service's hosts are looked at, no more.
    let hosts = asked.iter().filter(|it| it.starts_with("A h"));
    let hosts = hosts.collect::<std::collections::BTreeSet<_>>().len();
    println!(
        "of 300 hosts {hosts} are looked up; {} questions",
        asked.len()
    );
    assert!(hosts <= 64, "{hosts}");
    call(&mut lab);
    let rerouted = lab.events.iter().any(|it| matches!(it, What::Trouble(_)));
    assert!(!rerouted, "{}", lab.troubles());
    let invite = invite_at(&mut lab, ONE);
    talk(&mut lab, ONE, &invite);
}

const NAMED_SOURCE: &str = "send_to = [\"10.9.1.1\"]\naddresses = [\"gate.acme.example\"]";

/// An access list may have names: who they are now may call, and nobody else.
// covers: RFC 3263 §4.2
#[test]
fn a_name_in_addresses_lets_in_whom_it_is_looked_up_to_be_and_follows_its_changes() {
    let zone = Zone::serve("gate.acme.example 60 A 10.9.1.2");
    let mut lab = lab(NAMED_SOURCE, &zone);
    assert_eq!(calls_by(&mut lab, TWO.0), Some("acme"));
    // The control: its neighbour is nobody, nor is the host of send_to.
    assert_eq!(calls_by(&mut lab, THREE.0), None);
    assert_eq!(calls_by(&mut lab, ONE.0), None);
    assert!(
        lab.troubles().contains("trunk-unknown-source"),
        "{}",
        lab.troubles()
    );
    zone.becomes("gate.acme.example 60 A 10.9.1.3");
    lab.pass(ms(61_000));
    assert_eq!(calls_by(&mut lab, THREE.0), Some("acme"));
    assert_eq!(calls_by(&mut lab, TWO.0), None, "it has moved");
    // While the name server fails, what was known holds.
    zone.is(Mood::Fails);
    lab.pass(ms(61_000));
    assert_eq!(calls_by(&mut lab, THREE.0), Some("acme"));
}

/// Whether a call from there is taken, and by which trunk.
fn calls_by(lab: &mut Lab, remote: &str) -> Option<&'static str> {
    lab.take(ONE.0);
    lab.invite(remote, "+15550001", "");
    lab.pass(ms(20));
    // The plan calls out by the same trunk.
    lab.invited(ONE.0).map(|invite| {
        lab.reply(ONE.0, &invite, 486, "");
        "acme"
    })
}

#[test]
fn a_name_in_addresses_that_is_nobody_is_told_once_with_its_fix() {
    let zone = Zone::serve("other.example 60 A 10.9.1.2");
    let mut lab = lab(NAMED_SOURCE, &zone);
    lab.pass(ms(120_000));
    let told = lab.troubles();
    let lines: Vec<&str> = told.lines().collect();
    let want = "trunk-source-not-located: want an address of gate.acme.example in \
                trunks.acme.addresses, have gate.acme.example has no address; correct the name, or write \
                the addresses that trunk acme calls from";
    assert_eq!(lines, [want]);
    zone.becomes("gate.acme.example 60 A 10.9.1.2");
    lab.pass(ms(61_000));
    assert_eq!(calls_by(&mut lab, TWO.0), Some("acme"));
}

#[test]
fn a_reload_changes_who_may_call_where_calls_go_and_how_they_are_refreshed_and_spares_the_call_that_stands()
 {
    let zone = Zone::serve("gate.acme.example 60 A 10.9.1.2");
    let plain = "send_to = [\"10.9.1.1\"]\naddresses = [\"10.9.1.9\"]";
    let mut lab = lab(plain, &zone);
    assert_eq!(calls_by(&mut lab, TWO.0), None);
    call(&mut lab);
    let first = invite_at(&mut lab, ONE);
    assert!(first.header(Name::SessionExpires).is_some());
    lab.reply(ONE.0, &first, 200, "");
    lab.pass(ms(50));
    let answer = final_of(&mut lab).unwrap();
    super::reload(
        &mut lab,
        &format!("{NAMED_SOURCE}\n[trunks.acme.session_timer]\nmode = \"refuse\""),
    );
    let heard = lab.hear_each_other(CALLER, ONE);
    println!(
        "through the reload: heard at {:.1} and {:.1} dBFS",
        heard.0, heard.1
    );
    lab.take(ONE.0);
    lab.request(CALLER.0, &answer, "BYE");
    super::ended_at(&mut lab, ONE);
    lab.take(CALLER.0);
    assert_eq!(
        calls_by(&mut lab, TWO.0),
        Some("acme"),
        "{}",
        lab.troubles()
    );
    call(&mut lab);
    let next = invite_at(&mut lab, ONE);
    assert!(next.header(Name::SessionExpires).is_none());
    super::reload(&mut lab, plain);
    assert_eq!(calls_by(&mut lab, TWO.0), None, "it may no longer call");
}
