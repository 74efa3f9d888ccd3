//! Tokens: who proves himself by one, what nobody can do with one, and that whoever has ended is put out.

use std::time::Duration;

use clock::Now;
use jiff::Timestamp;
use sip::message::{Message, Method, Name};
use sip::transport::{ConnectionId, Flow, Transport};

use super::target::*;
use tandem::access::{Access, Credential, generated_name};
use tandem::config::Secret;
use tandem::control::What;

/// A page, as the server knows it.
fn page(connection: u64) -> Flow {
    Flow {
        transport: Transport::Wss,
        connection: Some(ConnectionId(connection)),
        ..tcp(ROAMING)
    }
}

fn wall(server: &Server) -> Timestamp {
    let since = server.now.since(Now::ZERO);
    Timestamp::UNIX_EPOCH.checked_add(since).unwrap()
}

fn credential(server: &Server, id: &str, seconds: Option<i64>) -> Credential {
    let ends = seconds.map(|secs| wall(server) + Duration::from_secs(secs.unsigned_abs()));
    let mut random = [0; 20];
    random[0] = id.as_bytes()[0];
    Credential {
        id: id.to_owned(),
        endpoint: generated_name(random),
        ends,
    }
}

/// A server that has a credential, and its token.
fn with_credential(seconds: Option<i64>) -> (Server, Credential, String) {
    let mut server = Server::new(Made::default());
    let it = credential(&server, "one", seconds);
    put(&mut server, &it);
    let token = access().credential(&it, "t", wall(&server)).token;
    (server, it, token)
}

fn put(server: &mut Server, credential: &Credential) {
    let mut made = endpoint("ann");
    made.name.clone_from(&credential.endpoint);
    let now = server.now;
    server.control.put_credential(now, credential.clone(), made);
}

fn request(server: &mut Server, method: &str, flow: Flow, user: &str, token: &str) -> Words {
    let n = server.fresh();
    let words = Words::of(method, flow, n).user(user);
    let words = match method {
        "REGISTER" => words.to(user),
        _ => words.sdp(),
    };
    words.line(&format!("Authorization: Bearer {token}"))
}

/// What is answered to a request with a token.
fn ask(server: &mut Server, method: &str, flow: Flow, user: &str, token: &str) -> Vec<Message> {
    let words = request(server, method, flow, user, token);
    let said = server.send(flow, &words.text());
    said.into_iter().map(|(_, message)| message).collect()
}

fn status(said: &[Message]) -> u16 {
    said.last().and_then(Message::status).unwrap_or(0)
}

/// A call of the credential to a flow that answers, and that stands.
fn stands(server: &mut Server, flow: Flow, user: &str, token: &str) {
    let words = request(server, "INVITE", flow, user, token);
    let said = server.send(flow, &words.text());
    confirm(server, &words, &said);
    assert_eq!(server.control.holds().0, 1);
}

/// Acknowledges the 200 to an INVITE.
fn confirm(server: &mut Server, invite: &Words, said: &[(Flow, Message)]) {
    let ok = said.iter().find(|(_, it)| it.status() == Some(200));
    let tag = ok.unwrap().1.to().unwrap().tag().unwrap().to_owned();
    let ack = Words {
        method: "ACK".to_owned(),
        tags: (invite.tags.0.clone(), tag),
        body: String::new(),
        lines: Vec::new(),
        ..invite.clone()
    };
    server.send(invite.flow, &ack.text());
}

// covers: RFC 8898 §2.1.3, RFC 8898 §2.1.4, RFC 8898 §2.2
#[test]
fn a_token_proves_its_endpoint_on_a_connection_and_nothing_by_a_datagram() {
    let (mut server, it, token) = with_credential(None);
    let name = it.endpoint.as_str();
    for flow in [page(1), tcp(ROAMING)] {
        assert_eq!(
            status(&ask(&mut server, "REGISTER", flow, name, &token)),
            200
        );
        assert_eq!(status(&ask(&mut server, "INVITE", flow, name, &token)), 200);
        // Another's address is not his to register.
        assert_eq!(
            status(&ask(&mut server, "REGISTER", flow, "ann", &token)),
            403
        );
    }
    let by_datagram = ask(&mut server, "REGISTER", udp(ROAMING), name, &token);
    assert_eq!(status(&by_datagram), 401);
    let schemes = by_datagram[0].headers(Name::WwwAuthenticate);
    assert!(schemes.into_iter().all(|it| it.starts_with("Digest ")));
}

#[test]
fn a_registration_ends_with_the_token_that_it_was_made_by() {
    let (mut server, it, token) = with_credential(Some(100));
    let said = ask(&mut server, "REGISTER", page(1), &it.endpoint, &token);
    let contact = said[0].header(Name::Contact).unwrap();
    assert!(contact.contains("expires=100"), "{contact}");
}

/// The 401 to a request, but for its nonces and what the request said.
fn denial(server: &mut Server, flow: Flow, user: &str, token: &str) -> String {
    let words = request(server, "REGISTER", flow, user, token);
    // A number that nothing else in the answer can be.
    let n = words.n + 7_777_000;
    let own = |words: Words| Words {
        call: format!("call-{n}"),
        tags: (format!("f{n}"), String::new()),
        n,
        ..words
    };
    let said = server.send(flow, &own(words).text());
    let text = String::from_utf8(said[0].1.bytes().to_vec()).unwrap();
    let mut shown = String::new();
    for line in text.lines() {
        let line = line.split("nonce=\"").next().unwrap();
        let line = line.replace(&n.to_string(), "N").replace(user, "USER");
        // Our own tag.
        let tagged = line
            .starts_with("To:")
            .then(|| line.split(";tag").next().unwrap());
        shown.push_str(tagged.unwrap_or(&line));
        shown.push('\n');
    }
    shown
}

#[test]
fn whatever_is_wrong_with_a_token_its_bearer_hears_the_same() {
    let (mut server, it, token) = with_credential(None);
    let name = it.endpoint.as_str();
    let other = Secret::new("another secret, of another server".to_owned());
    let other = Access::new(&other, &Default::default());
    let now = wall(&server);
    let gone = credential(&server, "gone", None);
    let click = access().click((ANSWERED, "web"), "c", now, None).token;
    let table = [
        ("token-malformed", "no token at all".to_owned()),
        ("token-forged", other.credential(&it, "t", now).token),
        ("token-ended", access().credential(&gone, "t", now).token),
        ("token-misplaced", click),
        ("token-expired", token),
    ];
    let mut heard = Vec::new();
    for (id, token) in table {
        if id == "token-expired" {
            server.pass(86_400_000);
        }
        let flow = page(heard.len() as u64);
        heard.push(denial(&mut server, flow, name, &token));
        let told = server.events.iter().rev().find_map(|it| match &it.what {
            What::Refused { why, .. } => Some(why.id),
            _ => None,
        });
        assert_eq!(told, Some(id), "what the operator is told");
    }
    assert!(
        heard[0].contains("WWW-Authenticate: Bearer realm=\"tandem\", error=\"invalid_token\"")
    );
    assert!(heard.iter().all(|it| *it == heard[0]), "{heard:#?}");
}

#[test]
fn who_forges_tokens_is_banned_and_who_comes_with_an_old_one_is_not() {
    let (mut server, it, token) = with_credential(None);
    let name = it.endpoint.as_str();
    let forged = format!("{}x", &token[..token.len() - 1]);
    let banned = |server: &Server| server.control.bans(server.now, 10).len();
    for _ in 0..9 {
        ask(&mut server, "REGISTER", page(1), name, &forged);
    }
    assert_eq!(banned(&server), 0);
    assert_eq!(
        status(&ask(&mut server, "REGISTER", page(1), name, &forged)),
        401
    );
    assert_eq!(banned(&server), 1);
    assert!(ask(&mut server, "REGISTER", page(1), name, &token).is_empty());
    // The control: the same hundred times with a token whose time is over.
    let (mut server, it, token) = with_credential(None);
    server.pass(86_400_000);
    for _ in 0..100 {
        let said = ask(&mut server, "REGISTER", page(1), &it.endpoint, &token);
        assert_eq!(status(&said), 401);
    }
    assert_eq!(banned(&server), 0);
}

/// What is said to a page, by method or status.
fn said(messages: &[(Flow, Message)], flow: Flow) -> Vec<String> {
    let theirs = messages.iter().filter(|(to, _)| *to == flow);
    let name = |message: &Message| match message.status() {
        Some(status) => status.to_string(),
        None => message.method_str().unwrap().to_owned(),
    };
    theirs.map(|(_, message)| name(message)).collect()
}

/// How a credential comes to its end, and what is said meanwhile.
type End = fn(&mut Server, &Credential) -> Vec<(Flow, Message)>;

const ENDS: [(&str, Option<i64>, End); 2] = [
    ("deleted", None, |server, it| {
        let now = server.now;
        assert!(server.control.end_credential(now, &it.id));
        server.pass(0)
    }),
    ("its time is over", Some(60), |server, _| {
        let before = server.pass(59_000);
        assert!(before.is_empty() && server.closed.is_empty());
        server.pass(1_000)
    }),
];

#[test]
fn who_has_ended_is_put_out_with_his_call_his_registration_and_his_connection() {
    for (how, seconds, end) in ENDS {
        let (mut server, it, token) = with_credential(seconds);
        let other = credential(&server, "two", None);
        put(&mut server, &other);
        let others = access().credential(&other, "t2", wall(&server)).token;
        for (flow, it, token) in [(page(1), &it, &token), (page(2), &other, &others)] {
            let said = ask(&mut server, "REGISTER", flow, &it.endpoint, token);
            assert_eq!(status(&said), 200);
        }
        stands(&mut server, page(1), &it.endpoint, &token);
        let messages = end(&mut server, &it);
        assert_eq!(said(&messages, page(1)), ["BYE"], "{how}");
        let bye = &messages.iter().find(|(to, _)| *to == page(1)).unwrap().1;
        let reason = bye.header_named("Reason").unwrap();
        assert!(reason.contains("Q.850;cause=57"), "{how}: {reason}");
        assert_eq!(server.closed, [page(1)], "{how}");
        server.control.flow_failed(server.now, page(1));
        server.pass(1_000);
        assert_eq!(server.control.holds(), (0, 0), "{how}");
        let record = &server.records[0];
        assert_eq!(record.cause.name(), "forbidden", "{how}");
        assert_eq!(
            record.refusal.as_ref().unwrap().id,
            "endpoint-ended",
            "{how}"
        );
        let now = server.now;
        assert!(
            server.control.contacts(now, &it.endpoint).is_empty(),
            "{how}"
        );
        assert_eq!(
            server.control.contacts(now, &other.endpoint).len(),
            1,
            "{how}"
        );
        for method in ["REGISTER", "INVITE"] {
            let said = ask(&mut server, method, page(3), &it.endpoint, &token);
            assert_eq!(status(&said), 401, "{how}: {method}");
        }
        let said = ask(&mut server, "REGISTER", page(2), &other.endpoint, &others);
        assert_eq!(status(&said), 200, "{how}: the other one");
    }
}

#[test]
fn a_credential_that_is_made_longer_stays_and_one_whose_end_has_come_goes_at_once() {
    let (mut server, it, token) = with_credential(Some(60));
    ask(&mut server, "REGISTER", page(1), &it.endpoint, &token);
    put(
        &mut server,
        &Credential {
            ends: None,
            ..it.clone()
        },
    );
    server.pass(70_000);
    assert!(server.closed.is_empty());
    let ends = Some(wall(&server));
    put(&mut server, &Credential { ends, ..it.clone() });
    server.pass(0);
    assert_eq!(server.closed, [page(1)]);
}

#[test]
fn a_generated_name_that_is_no_ones_is_challenged_as_one_that_is_someones() {
    let (mut server, it, _) = with_credential(None);
    let nobody = generated_name([0xab; 20]);
    let challenges = |server: &mut Server, name: &str| {
        let n = server.fresh();
        let words = Words::of("REGISTER", tcp(ROAMING), n).user(name).to(name);
        let said = server.send(words.flow, &words.text());
        let values = said[0].1.headers(Name::WwwAuthenticate);
        let algorithm = |value: &str| value.split("algorithm=").nth(1).unwrap()[..3].to_owned();
        values.map(algorithm).collect::<Vec<_>>()
    };
    // Its own secret here is of MD5 alone, as ann's; the real one is of both.
    assert_eq!(challenges(&mut server, &nobody), ["SHA", "MD5"]);
    let mut both = endpoint("ann");
    both.name.clone_from(&it.endpoint);
    let digests = tandem::trunk::GENERATED_DIGESTS;
    let secrets = tandem::trunk::Secrets::from_password(&it.endpoint, REALM, "x", digests);
    both.secrets = Some(secrets);
    let now = server.now;
    server.control.put_credential(now, it.clone(), both);
    assert_eq!(challenges(&mut server, &it.endpoint), ["SHA", "MD5"]);
}

#[test]
fn a_click_is_good_for_one_call_into_its_entry_and_for_nothing_else() {
    let mut server = Server::new(Made {
        roaming: false,
        ..Made::default()
    });
    let now = wall(&server);
    let click = |id: &str| access().click((ANSWERED, "web"), id, now, None).token;
    let token = click("one");
    // Nobody is known where the page is: without a token it is a stranger.
    let n = server.fresh();
    let words = Words::of("INVITE", page(1), n).sdp();
    assert_eq!(statuses(&server.send(page(1), &words.text())), [403]);
    assert_eq!(
        status(&ask(&mut server, "REGISTER", page(1), "web", &token)),
        401
    );
    let n = server.fresh();
    let elsewhere = Words::of("INVITE", page(1), n).to(OUT).sdp();
    let elsewhere = elsewhere.line(&format!("Authorization: Bearer {token}"));
    assert_eq!(statuses(&server.send(page(1), &elsewhere.text())), [401]);
    // None of these has spent it.
    let words = request(&mut server, "INVITE", page(1), "eve", &token);
    let first = server.send(page(1), &words.text());
    assert_eq!(statuses(&first).last(), Some(&200));
    // The same request again is not another call.
    let again = statuses(&server.send(page(1), &words.text()));
    assert!(again.iter().all(|status| *status == 200), "{again:?}");
    assert_eq!(server.control.holds().0, 1);
    confirm(&mut server, &words, &first);
    let calls = server.control.calls(server.now);
    assert_eq!(
        calls[0].from, "web",
        "whom the operator said, not whom the page did"
    );
    assert_eq!(
        status(&ask(&mut server, "INVITE", page(2), "web", &token)),
        401
    );
    // As many at once as clicks may have; a token that met the bound is good later.
    assert_eq!(
        status(&ask(&mut server, "INVITE", page(3), "web", &click("two"))),
        200
    );
    let third = click("three");
    assert_eq!(
        status(&ask(&mut server, "INVITE", page(4), "web", &third)),
        503
    );
    assert!(
        server
            .control
            .hang_up(server.now, calls[0].call, tandem::call::Cause::Normal)
    );
    let messages = server.pass(0);
    let bye = messages
        .iter()
        .find(|(_, it)| it.method() == Some(Method::Bye))
        .unwrap();
    let over = response(&bye.1, 200, "", "", "");
    server.send(page(1), &over);
    assert_eq!(
        status(&ask(&mut server, "INVITE", page(4), "web", &third)),
        200
    );
}

/// Whoever was called, and not the caller: the caller's flow goes on, here to its end.
#[test]
fn who_is_removed_while_he_is_called_leaves_and_the_callers_flow_goes_on() {
    let mut server = Server::new(Made::default());
    let ann = udp(ROAMING);
    server.register(ann, "ann");
    let (words, rung) = server.call(RINGS);
    let invite = rung.iter().find(|(to, _)| *to == ann).unwrap().1.clone();
    let contact = format!("Contact: <sip:ann@{ROAMING}>\r\n");
    let answer = response(&invite, 200, "far", &contact, &sdp(ann, 8));
    let answered = server.send(ann, &answer);
    confirm(&mut server, &words, &answered);
    server.control.remove_endpoint(server.now, "ann");
    let messages = server.pass(0);
    assert_eq!(said(&messages, ann), ["BYE"]);
    assert_eq!(
        said(&messages, words.flow),
        ["BYE"],
        "after its dial comes hangup"
    );
    assert!(server.control.contacts(server.now, "ann").is_empty());
}
