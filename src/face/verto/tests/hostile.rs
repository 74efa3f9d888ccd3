//! What a client should not say.

use proptest::prelude::*;

use super::*;

#[test]
fn what_is_about_no_call_or_no_method_is_refused_by_name() {
    let mut rig = Rig::ready();
    let long = "c".repeat(65);
    let table = [
        ("telnyx_rtc.bye", of("x", json!({})), -32_002),
        (
            "telnyx_rtc.modify",
            of("x", json!({"action": "hold"})),
            -32_002,
        ),
        ("telnyx_rtc.answer", of("x", json!({"sdp": OURS})), -32_002),
        ("telnyx_rtc.answer", of("x", json!({})), -32_602),
        (
            "telnyx_rtc.modify",
            of("x", json!({"action": "dance"})),
            -32_602,
        ),
        (
            "telnyx_rtc.invite",
            of(&long, json!({"sdp": OURS})),
            -32_602,
        ),
        ("telnyx_rtc.invite", of("x", json!({"sdp": OURS})), -32_602),
        ("telnyx_rtc.broadcast", json!({}), -32_601),
        ("nonsense", json!({}), -32_601),
        ("login", json!({"login": "bob", "passwd": "x"}), -32_002),
    ];
    for (method, params, code) in table {
        let refused = rig.answer(method, params);
        assert_eq!(refused["error"]["code"], code, "{method}: {refused}");
        assert!(!refused["error"]["message"].as_str().unwrap().is_empty());
    }
    // Whether candidates may trickle is asked before there is a call.
    let trickled = rig.answer("telnyx_rtc.candidate", json!({"candidate": ""}));
    assert!(trickled["error"].is_null());
}

#[test]
fn what_is_no_message_is_refused_with_its_place_and_in_the_end_the_connection_closes() {
    let mut rig = Rig::new();
    let deep = "[".repeat(17) + &"]".repeat(17);
    let many = format!(
        r#"{{"method":"verto.invite","params":{{"dialogParams":{{"custom_headers":[{}]}}}}}}"#,
        vec![r#"{"name":"X-A","value":"b"}"#; 33].join(",")
    );
    let wrong = [
        "",
        "{",
        "[1]",
        r#"{"method":7}"#,
        r#"{"id":{},"method":"login"}"#,
        &deep,
        &many,
    ];
    for (n, text) in wrong.iter().cycle().take(16).enumerate() {
        assert!(!rig.near.closed, "{n}");
        rig.say(text);
        let told = rig.one();
        assert_eq!(
            (&told["id"], &told["error"]["code"]),
            (&Value::Null, &json!(-32_700)),
            "{text}"
        );
    }
    assert!(rig.near.closed);
    rig.say(r#"{"method":"login","id":1}"#);
    assert!(rig.told().is_empty());
}

/// Some JSON, with the words that mean something here among its members.
fn any_message() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~]{0,12}".prop_map(Value::from),
        prop::sample::select(vec!["c", OURS, "hold", "toggleHold", "5", "\u{0}"])
            .prop_map(Value::from),
    ];
    let key = prop::sample::select(vec![
        "login",
        "passwd",
        "sessid",
        "sdp",
        "action",
        "dtmf",
        "callID",
        "dialogParams",
        "destination_number",
        "custom_headers",
        "name",
        "value",
        "sipCode",
        "User-Agent",
        "x",
    ]);
    let value = leaf.prop_recursive(4, 24, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(key.clone().prop_map(str::to_owned), inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    let method = prop::sample::select(vec![
        "login",
        "telnyx_rtc.invite",
        "verto.answer",
        "telnyx_rtc.modify",
        "verto.bye",
        "verto.info",
        "telnyx_rtc.attach",
        "telnyx_rtc.candidate",
        "telnyx_rtc.",
        "",
        "verto.ping",
    ]);
    (method, value, any::<Option<i64>>()).prop_map(|(method, params, id)| {
        json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(192) })]

    #[test]
    fn whatever_a_client_says_nothing_breaks_and_each_request_is_answered_at_most_once(
        messages in prop::collection::vec(any_message(), 1..12),
        torn in any::<prop::sample::Index>(),
        ready in any::<bool>(),
    ) {
        let mut rig = if ready { Rig::ready() } else { Rig::new() };
        if ready {
            rig.talks("c");
        }
        for text in &messages {
            rig.say(text);
            let at = torn.index(text.len());
            if let Some(part) = text.get(..at) {
                rig.say(part);
            }
            let answers = rig.told().into_iter().filter(|it| it["method"].is_null());
            prop_assert!(answers.count() <= 2, "{text}");
        }
        prop_assert!(rig.near.face.waiting.len() <= messages.len());
    }
}
