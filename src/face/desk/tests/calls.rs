//! A call from its ring or dial to its end, and a page that comes again.

use sip::ua::{self, Ending};

use super::*;

#[test]
fn a_call_rings_with_what_is_known_of_it_is_answered_and_hung_up_by_either_side() {
    let mut rig = Rig::new();
    let (session, name) = rig.rung();
    let want = json!({
        "type": "ring", "call": name, "sdp": THEIRS,
        "caller": {"name": "Bob B.", "number": "+4930123"},
        "queue": "sales", "waited_ms": 61_000, "path": ["main", "main: 2"],
        "attributes": {"tier": "gold"}, "timeout_ms": 20_000,
    });
    assert_eq!(rig.one(), want);
    let id = rig.ask(json!({"type": "answer", "call": name, "sdp": OURS}));
    assert_eq!(rig.one(), json!({"type": "done", "id": id}));
    let answered = rig.heard.iter().find_map(|event| match event {
        ua::Event::Answered { body, .. } => body.clone(),
        _ => None,
    });
    assert_eq!(answered.unwrap(), OURS);
    rig.far.end(rig.now, session, Ending::default());
    rig.run();
    let ended = rig.one();
    let told = (&ended["type"], &ended["by"], &ended["cause"]);
    assert_eq!(told, (&json!("ended"), &json!("them"), &json!("normal")));

    let (_, name) = rig.talking();
    let id = rig.ask(json!({"type": "hang_up", "call": name}));
    let said = rig.told();
    assert!(
        said.contains(&json!({"type": "done", "id": id})),
        "{said:?}"
    );
    let ended = said.iter().find(|it| it["type"] == "ended").unwrap();
    assert_eq!((&ended["call"], &ended["by"]), (&json!(name), &json!("us")));
    assert!(rig.near.desk.calls.is_empty());
}

#[test]
fn a_call_that_rings_as_soon_as_the_phone_is_registered_is_shown_after_the_welcome() {
    let mut rig = Rig::fresh();
    rig.ask(json!({"type": "login", "endpoint": "desk1", "password": "sesame"}));
    rig.enter();
    rig.registered(200);
    let invites = [(); 2].map(|()| Invite {
        reliable: Reliable::No,
        ..call_to("desk1", &[("X-Tandem-Call", CALL)])
    });
    let [over, rings] = invites.map(|it| rig.far.invite(rig.now, it).unwrap());
    rig.run();
    rig.far.end(rig.now, over, Ending::default());
    rig.run();
    assert!(rig.told().is_empty(), "a page begins anew with its welcome");
    rig.introduce();
    let said = rig.told();
    let kinds: Vec<&Value> = said.iter().map(|it| &it["type"]).collect();
    assert_eq!(kinds, ["done", "welcome"]);
    let asked = rig.asked();
    let [Ask::Context { name, .. }] = asked.as_slice() else {
        panic!("{asked:?}")
    };
    let (name, context) = (name.clone(), None);
    rig.tell(Told::Context { name, context });
    assert_eq!(rig.one()["type"], "ring");
    rig.far.end(rig.now, rings, Ending::default());
    rig.run();
    assert_eq!(rig.one()["type"], "ended");
}

#[test]
fn a_call_that_is_taken_elsewhere_or_given_up_stops_ringing_and_says_why() {
    let elsewhere = "SIP;cause=200;text=\"Call completed elsewhere\"";
    let table = [
        (Some(elsewhere.to_owned()), "other-agent"),
        (Some(ua::q850(19, "no answer")), "no-answer"),
        (None, "caller"),
    ];
    for (reason, by) in table {
        let mut rig = Rig::new();
        let (session, name) = rig.rung();
        rig.told();
        let ending = Ending {
            status: 487,
            reason,
            headers: Vec::new(),
        };
        rig.far.end(rig.now, session, ending);
        rig.run();
        let ended = rig.one();
        assert_eq!((&ended["call"], &ended["by"]), (&json!(name), &json!(by)));
        let id = rig.ask(json!({"type": "answer", "call": name, "sdp": OURS}));
        let refused = rig.one();
        assert_eq!(
            (&refused["id"], &refused["error"]["id"]),
            (&json!(id), &json!("desk-no-call"))
        );
    }
    let mut rig = Rig::new();
    let (_, name) = rig.rung();
    rig.told();
    rig.ask(json!({"type": "decline", "call": name, "reason": "busy"}));
    let refused = rig.heard.iter().find_map(|event| match event {
        ua::Event::Refused { status, .. } => Some(*status),
        _ => None,
    });
    assert_eq!(refused, Some(603));
}

#[test]
fn a_call_is_dialled_held_renegotiated_keyed_and_handed_on() {
    let mut rig = Rig::new();
    rig.ask(json!({"type": "dial", "call": "d1", "to": "700", "sdp": OURS}));
    assert_eq!(rig.one()["type"], "done");
    let session = rig.invited().0;
    rig.far.progress(rig.now, session, 180, None);
    rig.run();
    let ringing = json!({"type": "progress", "call": "d1", "state": "ringing"});
    assert_eq!(rig.one(), ringing);
    rig.accept(session, CALL);
    let body = Some(Bytes::from_static(THEIRS.as_bytes()));
    let answered = json!({"type": "answered", "call": "d1", "sdp": THEIRS});
    assert_eq!(rig.one(), answered);

    let id = rig.ask(json!({"type": "hold", "call": "d1", "on": true}));
    assert!(rig.told().is_empty(), "done when the other side agrees");
    rig.far.answer_offer(rig.now, session, body.clone());
    rig.run();
    let held = json!({"type": "held", "call": "d1", "on": true, "by": "us"});
    assert_eq!(rig.told(), [json!({"type": "done", "id": id}), held]);

    let id = rig.ask(json!({"type": "renegotiate", "call": "d1", "sdp": OURS}));
    rig.far.refuse_offer(rig.now, session, 488);
    rig.run();
    let refused = rig.one();
    assert_eq!(
        (&refused["id"], &refused["error"]["id"]),
        (&json!(id), &json!("desk-not-agreed"))
    );
    let id = rig.ask(json!({"type": "renegotiate", "call": "d1", "sdp": OURS}));
    rig.far.answer_offer(rig.now, session, body);
    rig.run();
    assert_eq!(rig.one(), json!({"type": "done", "id": id, "sdp": THEIRS}));

    rig.heard.clear();
    rig.ask(json!({"type": "key", "call": "d1", "digit": "#"}));
    assert_eq!(rig.one()["type"], "done");
    let info = rig.request(Method::Info);
    assert!(String::from_utf8_lossy(info.body()).contains("Signal=#"));

    rig.ask(json!({"type": "transfer", "call": "d1", "to": "800"}));
    let refer = rig.request(Method::Refer);
    let to = refer.header_named("Refer-To").unwrap();
    assert!(to.contains("sip:800@tandem.example"), "{to}");
    let said = rig.told();
    let trying = json!({"type": "transferred", "call": "d1", "state": "trying", "status": 100});
    assert!(said.contains(&trying), "{said:?}");
}

#[test]
fn a_page_that_comes_again_takes_its_calls_up() {
    let mut rig = Rig::new();
    let (_, name) = rig.talking();
    let (user, session, left) = rig.near.desk.gone(rig.now).unwrap();
    assert_eq!(
        (user.as_str(), session.as_str(), left.len()),
        ("desk1", "s1", 1)
    );

    let mut again = Rig::new();
    again.far = rig.far;
    again.tell(Told::Left(left));
    let invited = again.invited().0;
    again.accept(invited, CALL);
    assert!(matches!(again.asked().as_slice(), [Ask::Context { .. }]));
    let context = None;
    again.tell(Told::Context {
        name: name.clone(),
        context,
    });
    let attach = again.one();
    let told = (&attach["type"], &attach["call"], &attach["sdp"]);
    assert_eq!(told, (&json!("attach"), &json!(name), &json!(THEIRS)));
    again.ask(json!({"type": "attach", "call": name, "sdp": OURS}));
    assert_eq!(again.one()["type"], "done");
    again.ask(json!({"type": "key", "call": name, "digit": "1"}));
    assert_eq!(again.one()["type"], "done", "it stands");
}
