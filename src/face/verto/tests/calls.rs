//! A call from its beginning to its end.

use super::*;

#[test]
fn a_client_calls_hears_it_ring_and_is_answered() {
    let mut rig = Rig::ready();
    let dialog = json!({
        "callID": "c-1", "destination_number": "700",
        "custom_headers": [
            {"name": "X-Order", "value": "12"},
            {"name": "Route", "value": "<sip:evil>"},
            {"name": "X-Tandem-Call", "value": "forged"},
        ],
    });
    let created = rig.answer(
        "telnyx_rtc.invite",
        json!({"sdp": OURS, "dialogParams": dialog}),
    );
    assert_eq!(created["result"]["message"], "CALL CREATED");
    assert_eq!(created["result"]["callID"], "c-1");
    let (session, invite) = rig.invited();
    assert_eq!(invite.header_named("X-Order"), Some("12"));
    assert_eq!(invite.header_named("Route"), None);
    assert_eq!(invite.header_named("X-Tandem-Call"), None);
    rig.far.progress(rig.now, session, 180, None);
    rig.far.progress(rig.now, session, 183, Some(THEIRS.into()));
    let told = rig.told();
    assert_eq!(told[0]["method"], "telnyx_rtc.ringing");
    assert_eq!(told[1]["method"], "telnyx_rtc.media");
    assert_eq!(told[1]["params"]["sdp"], THEIRS);
    rig.accept(session, "id-9");
    let answered = rig.one();
    assert_eq!(answered["method"], "telnyx_rtc.answer");
    assert_eq!(answered["params"]["callID"], "c-1");
    assert_eq!(answered["params"]["telnyx_call_control_id"], "id-9");
    assert!(answered["params"]["sdp"].is_null(), "it was told before");
    rig.far.end(rig.now, session, Ending::default());
    let bye = rig.one();
    assert_eq!(bye["method"], "telnyx_rtc.bye");
    assert_eq!(
        (&bye["params"]["causeCode"], &bye["params"]["cause"]),
        (&json!(16), &json!("NORMAL_CLEARING"))
    );
}

#[test]
fn a_call_that_is_refused_says_why_by_number_and_by_name() {
    let mut rig = Rig::ready();
    for (status, code, cause) in [
        (486, 17, "USER_BUSY"),
        (404, 1, "UNALLOCATED_NUMBER"),
        (603, 21, "CALL_REJECTED"),
    ] {
        let dialog = json!({"callID": "c", "destination_number": "700"});
        rig.answer("verto.invite", json!({"sdp": OURS, "dialogParams": dialog}));
        let (session, _) = rig.invited();
        let ending = Ending {
            status,
            ..Ending::default()
        };
        rig.far.end(rig.now, session, ending);
        let bye = rig.one();
        assert_eq!(bye["method"], "verto.bye");
        assert_eq!(bye["params"]["causeCode"], code);
        assert_eq!(bye["params"]["cause"], cause);
        assert_eq!(bye["params"]["sipCode"], status);
        rig.heard.clear();
    }
}

#[test]
fn a_call_comes_with_who_calls_and_is_answered_hung_up_or_declined() {
    let mut rig = Rig::ready();
    rig.ask("telnyx_rtc.gatewayState", json!({}));
    rig.told();
    let (_, invite) = rig.called();
    assert_eq!(invite["method"], "telnyx_rtc.invite");
    let params = &invite["params"];
    assert_eq!(params["caller_id_name"], "Bob B.");
    assert_eq!(params["caller_id_number"], "+4930123");
    assert_eq!(params["callee_id_number"], "anna");
    assert_eq!(params["sdp"], THEIRS);
    assert_eq!(params["telnyx_call_control_id"], "c-2");
    let headers = params["dialogParams"]["custom_headers"].as_array().unwrap();
    assert!(headers.contains(&json!({"name": "X-Account", "value": "77"})));
    let call = params["callID"].as_str().unwrap().to_owned();
    let answered = rig.answer("telnyx_rtc.answer", of(&call, json!({"sdp": OURS})));
    assert_eq!(answered["result"]["callID"], call);
    let is_up = |event: &ua::Event| matches!(event, ua::Event::Answered { .. });
    assert!(rig.heard.iter().any(is_up));
    let bye = rig.answer(
        "telnyx_rtc.bye",
        of(&call, json!({"cause": "NORMAL_CLEARING"})),
    );
    assert_eq!(bye["result"]["message"], "CALL ENDED");
    let is_over = |event: &ua::Event| matches!(event, ua::Event::Ended { .. });
    assert!(rig.heard.iter().any(is_over));

    for (code, status) in [(json!(486), 486), (json!("480"), 480), (json!(null), 603)] {
        rig.heard.clear();
        let (_, invite) = rig.called();
        let call = invite["params"]["callID"].as_str().unwrap().to_owned();
        rig.answer("telnyx_rtc.bye", of(&call, json!({"sipCode": code})));
        let refused = |event: &ua::Event| matches!(event, ua::Event::Refused { status: by, .. } if *by == status);
        assert!(rig.heard.iter().any(refused), "{code}: {:?}", rig.heard);
    }
}

#[test]
fn hold_is_the_server_s_and_its_answer_comes_when_it_is_so() {
    let mut rig = Rig::ready();
    let session = rig.talks("c");
    for (action, state, direction) in [
        ("hold", "held", "inactive"),
        ("toggleHold", "active", ""),
        ("toggleHold", "held", "inactive"),
        ("unhold", "active", ""),
    ] {
        let id = rig.ask("telnyx_rtc.modify", of("c", json!({"action": action})));
        assert!(rig.told().is_empty());
        let Some(ua::Event::Offered {
            body: Some(offer), ..
        }) = rig.heard.pop()
        else {
            panic!("no offer");
        };
        let offer = String::from_utf8(offer.to_vec()).unwrap();
        assert_eq!(
            offer.contains("a=inactive"),
            !direction.is_empty(),
            "{offer}"
        );
        rig.far.answer_offer(rig.now, session, Some(THEIRS.into()));
        let held = rig.one();
        assert_eq!(held["id"], id);
        assert_eq!(held["result"]["holdState"], state);
        assert_eq!(held["result"]["action"], action);
    }
    let id = rig.ask("telnyx_rtc.modify", of("c", json!({"action": "hold"})));
    let at_once = rig.answer("telnyx_rtc.modify", of("c", json!({"action": "hold"})));
    assert_eq!(at_once["error"]["code"], -32_002, "one change at a time");
    rig.far.refuse_offer(rig.now, session, 488);
    let refused = rig.one();
    assert_eq!(
        (&refused["id"], &refused["error"]["code"]),
        (&json!(id), &json!(-32_002))
    );
}

#[test]
fn a_network_that_changed_is_agreed_on_anew() {
    let mut rig = Rig::ready();
    let session = rig.talks("c");
    let update = json!({"action": "updateMedia", "callID": "c", "sdp": OURS});
    let id = rig.ask("telnyx_rtc.modify", update.clone());
    rig.far.answer_offer(rig.now, session, Some(THEIRS.into()));
    let done = rig.one();
    assert_eq!(
        (&done["id"], &done["result"]["sdp"]),
        (&json!(id), &json!(THEIRS))
    );
    rig.ask("telnyx_rtc.modify", update);
    rig.far.refuse_offer(rig.now, session, 488);
    assert_eq!(rig.one()["error"]["code"], -32_002);
}

#[test]
fn keys_go_one_by_one() {
    let mut rig = Rig::ready();
    rig.talks("c");
    let sent = rig.answer("telnyx_rtc.info", of("c", json!({"dtmf": "5#"})));
    assert_eq!(sent["result"]["message"], "SENT");
    let keys = rig.heard.iter().filter_map(|event| match event {
        ua::Event::InDialog { request, .. } => Some(request.body().clone()),
        _ => None,
    });
    let keys: Vec<_> = keys.collect();
    assert_eq!(
        keys,
        [
            "Signal=5\r\nDuration=160\r\n",
            "Signal=#\r\nDuration=160\r\n"
        ]
    );
    for wrong in ["", "x", &"1".repeat(33)] {
        let refused = rig.answer("telnyx_rtc.info", of("c", json!({"dtmf": wrong})));
        assert_eq!(refused["error"]["code"], -32_602, "{wrong}");
    }
}

#[test]
fn a_call_is_handed_on_to_a_number_or_to_another_call() {
    let mut rig = Rig::ready();
    let session = rig.talks("a");
    rig.talks("b");
    for (action, more, target) in [
        (
            "transfer",
            json!({"destination": "701"}),
            "<sip:701@tandem.example>",
        ),
        ("replace", json!({"replaceCallID": "b"}), "Replaces="),
    ] {
        rig.heard.clear();
        let mut params = of("a", more);
        params["action"] = json!(action);
        let id = rig.ask("telnyx_rtc.modify", params);
        let (request_id, request) = rig.requested_within();
        assert!(request.header_named("Refer-To").unwrap().contains(target));
        rig.far.respond_in(rig.now, request_id, 202, &[], None);
        let done = rig.one();
        assert_eq!(
            (&done["id"], &done["result"]["action"]),
            (&json!(id), &json!(action))
        );
        rig.notify(session, 603, true);
        rig.told();
    }
}
