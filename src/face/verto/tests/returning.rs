//! A page that goes and comes again.

use super::*;

#[test]
fn a_page_that_comes_back_as_the_same_session_takes_its_calls_up() {
    let mut rig = Rig::ready();
    let session = rig.near.face.session.clone();
    let before = rig.talks("c");
    rig.near.face.gone(rig.now);
    for (sessid, names) in [("another-session-1", json!([])), (&*session, json!(["c"]))] {
        rig.near.face = face(&rig.near.parked, rig.near.ids + 50);
        rig.heard.clear();
        rig.ask(
            "login",
            json!({"login": "anna", "passwd": "sesame", "sessid": sessid, "reconnection": true}),
        );
        rig.registered(200);
        let told = rig.told();
        assert_eq!(told[0]["result"]["sessid"], sessid);
        assert_eq!(told[1]["params"]["reattached_sessions"], names, "{sessid}");
        if names == json!([]) {
            continue;
        }
        let Some(ua::Event::Invited {
            session,
            replaces: Some(replaces),
            ..
        }) = rig.heard.pop()
        else {
            panic!("nobody asks for the call's place");
        };
        assert_eq!(replaces, before);
        rig.far.accept(rig.now, session, Some(THEIRS.into()), &[]);
        let attach = rig.one();
        assert!(attach["method"].as_str().unwrap().ends_with(".attach"));
        assert_eq!(
            (&attach["params"]["callID"], &attach["params"]["sdp"]),
            (&json!("c"), &json!(THEIRS))
        );
        rig.answer("telnyx_rtc.attach", of("c", json!({"sdp": OURS})));
        let confirmed =
            |event: &ua::Event| matches!(event, ua::Event::Confirmed { body: Some(_), .. });
        assert!(rig.heard.iter().any(confirmed));
    }
    let again = rig.near.parked.take(rig.now, ("anna", &session));
    assert!(again.is_empty(), "once");
}

#[test]
fn a_call_that_ended_while_the_page_was_away_is_told_as_over() {
    let mut rig = Rig::ready();
    let session = rig.near.face.session.clone();
    let before = rig.talks("c");
    rig.near.face.gone(rig.now);
    rig.far.end(rig.now, before, Ending::default());
    while rig.far.poll_output().is_some() {}
    rig.near.face = face(&rig.near.parked, 50);
    rig.ask(
        "login",
        json!({"login": "anna", "passwd": "sesame", "sessid": session}),
    );
    rig.registered(200);
    let told = rig.told();
    let bye = told.last().unwrap();
    assert!(
        bye["method"].as_str().unwrap().ends_with(".bye"),
        "{told:?}"
    );
    assert_eq!(bye["params"]["callID"], "c");
}

#[test]
fn who_comes_as_the_same_while_the_old_socket_still_stands_gets_its_calls() {
    let mut rig = Rig::ready();
    let session = rig.near.face.session.clone();
    rig.talks("c");
    let new = face(&rig.near.parked, 50);
    let mut old = std::mem::replace(&mut rig.near.face, new);
    rig.ask(
        "login",
        json!({"login": "anna", "passwd": "sesame", "sessid": session}),
    );
    rig.registered(200);
    let told = rig.told();
    assert_eq!(
        told.len(),
        1,
        "not ready before it is known which calls there are: {told:?}"
    );
    assert!(old.seat().unwrap().is_cancelled());
    old.displaced();
    let Some(Out::Say(punt)) = old.poll_output() else {
        panic!("he is not told");
    };
    assert!(punt.contains(".punt"), "{punt}");
    old.gone(rig.now);
    let due = rig.near.face.deadline().unwrap();
    assert!(due <= rig.now + Duration::from_millis(10));
    rig.now = due;
    rig.near.face.timeout(due);
    let ready = rig.told().remove(0);
    assert_eq!(ready["params"]["reattached_sessions"], json!(["c"]));
}
