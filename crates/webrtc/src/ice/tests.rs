use super::*;
use crate::stun::{CONTROLLED, CONTROLLING, Message, USE_CANDIDATE, USERNAME};

const NOW: Now = Now::from_nanos(1_000_000_000);

fn credentials(ufrag: &str) -> Credentials {
    Credentials {
        ufrag: ufrag.to_owned(),
        password: format!("{ufrag}-a-password-that-is-long"),
    }
}

fn at(host: u8) -> SocketAddr {
    ([192, 0, 2, host], 5_000).into()
}

fn check(names: &str, password: &str, nominates: bool) -> Vec<u8> {
    let mut message = Message::request([1; 12]);
    message.push(USERNAME, names.as_bytes());
    message.push(CONTROLLING, &[0; 8]);
    if nominates {
        message.push(USE_CANDIDATE, b"");
    }
    message.seal(password)
}

fn lite() -> IceLite {
    IceLite::new(NOW, credentials("us"), Some(credentials("them")))
}

fn good(nominates: bool) -> Vec<u8> {
    check("us:them", &credentials("us").password, nominates)
}

#[test]
fn an_address_is_a_path_once_its_sender_has_proven_himself() {
    let mut ice = lite();
    assert!(!ice.is_path(at(1)));
    let checked = ice.receive(NOW, at(1), &good(false)).unwrap();
    assert!(checked.is_new && checked.is_chosen && ice.is_path(at(1)));
    // Again: it is answered, and nothing is new.
    let checked = ice.receive(NOW, at(1), &good(true)).unwrap();
    assert!(!checked.is_new && !checked.is_chosen && checked.reply.is_some());
    assert!(!ice.is_path(at(2)));
}

#[test]
fn who_is_another_or_knows_no_password_gets_nothing() {
    let mut ice = lite();
    let password = credentials("us").password;
    for (bytes, why) in [
        (
            check("us:them", "wrong-but-just-as-long-as-it", true),
            Unanswered::Forged,
        ),
        (check("us:other", &password, true), Unanswered::Name),
        (check("you:them", &password, true), Unanswered::Name),
        (
            b"\0\x01junk".to_vec(),
            Unanswered::Stun(StunError::Length(6)),
        ),
    ] {
        assert_eq!(ice.receive(NOW, at(6), &bytes), Err(why));
        assert!(!ice.is_path(at(6)) && ice.chosen().is_none());
    }
    assert_eq!(ice.consent_ends(), NOW + CONSENT, "nor is that consent");
}

#[test]
fn the_path_nominated_last_is_spoken_to_and_all_are_heard() {
    let mut ice = lite();
    for (host, nominates, chosen) in [(1, false, 1), (2, true, 2), (3, false, 2), (1, true, 1)] {
        ice.receive(NOW, at(host), &good(nominates)).unwrap();
        assert_eq!(ice.chosen(), Some(at(chosen)));
    }
    assert_eq!(ice.paths().collect::<Vec<_>>(), [at(1), at(2), at(3)]);
}

#[test]
fn of_too_many_paths_the_one_goes_that_was_not_checked_for_longest() {
    let mut ice = lite();
    let mut forgotten = Vec::new();
    for host in 1..=6 {
        let now = NOW + Duration::from_secs(host.into());
        let checked = ice.receive(now, at(host), &good(host == 1)).unwrap();
        forgotten.extend(checked.forgotten);
    }
    // The chosen one stays, however old.
    assert_eq!(forgotten, [at(2), at(3)]);
    assert_eq!(
        (ice.chosen(), ice.paths().count()),
        (Some(at(1)), PATHS_MAX)
    );
}

#[test]
fn consent_lasts_thirty_seconds_from_the_last_proof() {
    let mut ice = lite();
    let later = NOW + Duration::from_secs(20);
    ice.receive(later, at(1), &good(false)).unwrap();
    assert_eq!(ice.consent_ends(), later + Duration::from_secs(30));
}

#[test]
fn a_peer_that_says_that_we_decide_is_told_that_we_do_not() {
    let mut message = Message::request([1; 12]);
    message.push(USERNAME, b"us:them");
    message.push(CONTROLLED, &[0; 8]);
    let mut ice = lite();
    let bytes = message.seal(&credentials("us").password);
    let checked = ice.receive(NOW, at(1), &bytes).unwrap();
    assert!(checked.reply.unwrap().starts_with(&[0x01, 0x11]));
    assert!(!ice.is_path(at(1)));
}

// covers: RFC 8445 §9
#[test]
fn after_a_restart_the_old_names_hold_until_a_check_has_the_new() {
    let mut ice = lite();
    ice.receive(NOW, at(1), &good(true)).unwrap();
    ice.restart(credentials("new"), Some(credentials("fresh")));
    assert!(ice.receive(NOW, at(1), &good(false)).is_ok());
    let new = check("new:fresh", &credentials("new").password, true);
    assert!(ice.receive(NOW, at(2), &new).unwrap().is_chosen);
    assert_eq!(ice.receive(NOW, at(1), &good(false)), Err(Unanswered::Name));
}

#[test]
fn before_the_answer_is_here_any_peer_that_knows_the_password_is_answered() {
    let mut ice = IceLite::new(NOW, credentials("us"), None);
    assert!(ice.receive(NOW, at(1), &good(false)).is_ok());
    ice.meet(credentials("other"));
    assert_eq!(ice.receive(NOW, at(1), &good(false)), Err(Unanswered::Name));
}
