//! Tokens, passwords and who still is somebody.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clock::Now;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::token::{HEADER, Key};
use super::*;
use crate::config::{Secret, Section, Turn};

const SECRET: &str = "a secret of more than thirty-two bytes";

fn access() -> Access {
    Access::new(&Secret::new(SECRET.to_owned()), &config::Access::default())
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn noon() -> Timestamp {
    at("2026-11-21T12:00:00Z")
}

fn credential(ends: Option<&str>) -> Credential {
    Credential {
        id: "c1".to_owned(),
        endpoint: generated_name([7; 20]),
        ends: ends.map(at),
    }
}

/// `password` by the reference implementation's own test (phc-winner-argon2, src/test.c).
const REFERENCE: &str =
    "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";

fn book(text: &str) -> Result<Book, config::ConfigError> {
    let mut root = Section::from_toml(text.parse().unwrap());
    Book::read(root.section("agents").unwrap())
}

fn anna() -> Book {
    book(&format!(
        "[agents.anna]\npassword_hash = '{REFERENCE}'\n[agents.bob]\nendpoint = 'desk'\n"
    ))
    .unwrap()
}

fn login(book: &Book) -> Login {
    book.logins().next().unwrap().clone()
}

/// The example of RFC 7515 §A.1, whose key is as long as a block.
// covers: RFC 7515 §A.1
#[test]
fn a_tag_is_that_of_the_rfcs_example() {
    let key =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let key: [u8; 64] = URL_SAFE_NO_PAD.decode(key).unwrap().try_into().unwrap();
    let signed = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
        eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let tag = URL_SAFE_NO_PAD.encode(Key::of_bytes(key).tag(signed));
    assert_eq!(tag, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
}

#[test]
fn secrets_of_any_length_are_keys_as_every_library_has_them() {
    for length in [1, 63, 64, 65, 200] {
        let secret = "k".repeat(length);
        let mut theirs = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        theirs.update(b"what is signed");
        let theirs: [u8; 32] = theirs.finalize().into_bytes().into();
        assert_eq!(Key::new(&secret).tag("what is signed"), theirs, "{length}");
    }
}

// covers: RFC 7519 §4.1.4, RFC 7519 §4.1.5, RFC 7519 §7.2
#[test]
fn a_token_says_whose_it_is_until_its_time_is_over() {
    let (access, book) = (access(), anna());
    let minted = access.login(&login(&book), "t1", noon());
    assert_eq!(minted.token.split('.').count(), 3);
    let subject = access.verify(&minted.token, noon()).unwrap();
    assert_eq!((subject.kind, subject.id.as_str()), (Kind::Login, "t1"));
    assert_eq!(subject.agent.as_deref(), Some("anna"));
    assert_eq!(subject.endpoint, "anna");
    assert_eq!(subject.expires, at("2026-11-22T00:00:00Z"));
    assert_eq!(minted.expires, subject.expires);
    let last = at("2026-11-21T23:59:59.999Z");
    assert!(access.verify(&minted.token, last).is_ok());
    let over = Err(Denied::Expired {
        at: subject.expires,
    });
    assert_eq!(access.verify(&minted.token, subject.expires), over);
    // Made by a clock that is an hour ahead.
    assert_eq!(
        access.verify(&minted.token, at("2026-11-21T11:00:00Z")),
        over
    );
}

/// A token with other claims or another header than ours, made with `key`.
fn forge(header: &str, claims: &str, key: &str) -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let signed = format!("{}.{}", encode(header), encode(claims));
    let tag = URL_SAFE_NO_PAD.encode(Key::new(key).tag(&signed));
    format!("{signed}.{tag}")
}

const CLAIMS: &str = r#"{"iss":"tandem","for":"login","sub":"anna","endpoint":"anna","iat":0,"nbf":0,"exp":9999999999,"jti":"x"}"#;
const USUAL: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

// covers: RFC 8725 §3.1, RFC 8725 §3.2
#[test]
fn a_token_that_is_not_ours_is_denied_by_its_reason() {
    let access = access();
    let good = forge(USUAL, CLAIMS, SECRET);
    assert!(good.starts_with(HEADER));
    assert!(access.verify(&good, noon()).is_ok());
    let (signed, _) = good.rsplit_once('.').unwrap();
    let table = [
        (String::new(), Denied::Malformed),
        ("a.b".to_owned(), Denied::Malformed),
        (format!("{signed}.!"), Denied::Malformed),
        ("x".repeat(5_000), Denied::Malformed),
        (format!("{signed}."), Denied::Forged),
        (
            forge(USUAL, CLAIMS, "another secret, as long as ours is"),
            Denied::Forged,
        ),
        (forge(r#"{"alg":"none"}"#, CLAIMS, SECRET), Denied::Forged),
        (
            forge(r#"{"alg":"HS512","typ":"JWT"}"#, CLAIMS, SECRET),
            Denied::Forged,
        ),
        (
            forge(USUAL, &CLAIMS.replace("tandem", "other"), SECRET),
            Denied::Forged,
        ),
        (forge(USUAL, "{}", SECRET), Denied::Malformed),
        (
            forge(USUAL, &CLAIMS.replace("login", "root"), SECRET),
            Denied::Malformed,
        ),
    ];
    for (token, want) in table {
        assert_eq!(access.verify(&token, noon()), Err(want), "{token}");
    }
    // One bit of the claims, anywhere.
    for place in 0..signed.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[place] ^= 1;
        let changed = String::from_utf8_lossy(&bytes).into_owned();
        assert!(access.verify(&changed, noon()).is_err(), "{place}");
    }
}

#[test]
fn a_credentials_token_ends_with_it_and_a_resumed_one_with_the_first() {
    let access = access();
    let token = |ends| access.credential(&credential(ends), "t", noon()).token;
    let until = |token: &str| access.verify(token, noon()).unwrap().expires;
    assert_eq!(until(&token(None)), at("2026-11-22T12:00:00Z"));
    let short = token(Some("2026-11-21T12:10:00Z"));
    assert_eq!(until(&short), at("2026-11-21T12:10:00Z"));
    let subject = access.verify(&short, noon()).unwrap();
    let again = access.resume(&subject, "s1", at("2026-11-21T12:05:00Z"));
    let resumed = access
        .verify(&again.token, at("2026-11-21T12:09:59Z"))
        .unwrap();
    assert_eq!(resumed.session.as_deref(), Some("s1"));
    let same = |it: &Subject| (it.id.clone(), it.credential.clone(), it.expires);
    assert_eq!(same(&resumed), same(&subject));
    let click = access.click(("100", "web"), "t", noon(), Some(Duration::MAX));
    let subject = access.verify(&click.token, noon()).unwrap();
    assert_eq!(subject.entry.as_deref(), Some("100"));
    assert_eq!(
        subject.expires,
        at("2026-11-21T12:15:00Z"),
        "access.click_max"
    );
}

#[test]
fn nothing_that_is_shown_has_a_secret_in_it() {
    let access = access();
    let password = access.sip_password("c1");
    assert_eq!(password.reveal().len(), 40);
    assert_ne!(password.reveal(), access.sip_password("c2").reveal());
    assert_eq!(
        password.reveal(),
        self::access().sip_password("c1").reveal()
    );
    let shown = format!("{access:?} {password:?} {:?}", anna());
    for secret in [SECRET, password.reveal(), "nf65EOgLrQMR"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn a_password_is_compared_as_the_reference_implementation_does() {
    let known = PasswordHash::parse(REFERENCE).unwrap();
    assert!(known.is("password") && !known.is("passwore"));
    assert_eq!(known.text(), REFERENCE);
    let own = hash("correct horse", [3; 16]).unwrap();
    let read = PasswordHash::parse(&own.text()).unwrap();
    assert!(read.is("correct horse") && !read.is("correct horsf"));
    assert!(hash("short", [3; 16]).is_none());
    assert!(hash(&"x".repeat(257), [3; 16]).is_none());
}

#[test]
fn a_hash_that_is_none_or_would_cost_too_much_is_refused_by_its_key() {
    let with = |from: &str, to: &str| REFERENCE.replace(from, to);
    for text in [
        String::new(),
        "password".to_owned(),
        with("argon2id", "argon2i"),
        with("v=19", "v=16"),
        with("m=256", "m=999999999"),
        with("m=256,", ""),
        with("t=2", "t=99"),
        with("p=1", "p=1,x=2"),
        with("c29tZXNhbHQ", "!"),
        with("c29tZXNhbHQ", "c2E"),
        format!("{REFERENCE}$more"),
    ] {
        let error = book(&format!("[agents.anna]\npassword_hash = '{text}'")).unwrap_err();
        let told = error.to_string();
        assert!(
            told.starts_with("agents.anna.password_hash: want an Argon2id hash")
                && told.ends_with("have (hidden)"),
            "{told}"
        );
    }
}

#[test]
fn who_knows_the_password_logs_in_and_who_has_none_does_not() {
    let book = anna();
    assert_eq!(book.check("anna", "password"), Some(login(&book)));
    for (agent, password) in [("anna", "guess"), ("bob", "password"), ("eve", "password")] {
        assert_eq!(book.check(agent, password), None, "{agent}");
    }
    // With nobody at all there is yet somebody to compare with.
    let empty = self::book("[agents.bob]").unwrap();
    assert_eq!(empty.check("bob", "nobody's password"), None);
}

#[test]
fn who_is_no_more_is_denied_whatever_his_token_says() {
    let (access, book) = (access(), anna());
    let mut roll = Roll::default();
    let token = access.login(&login(&book), "t1", noon()).token;
    let subject = access.verify(&token, noon()).unwrap();
    assert_eq!(roll.stands(&subject), Err(Denied::Ended), "not yet");
    assert!(roll.set_logins(book.logins()).is_empty());
    assert_eq!(roll.stands(&subject), Ok(()));
    assert!(
        roll.set_logins(book.logins()).is_empty(),
        "nothing has changed"
    );
    let other = hash("another password", [1; 16]).unwrap().text();
    let other = self::book(&format!("[agents.anna]\npassword_hash = '{other}'")).unwrap();
    assert_eq!(roll.set_logins(other.logins()), ["anna"]);
    assert_eq!(
        roll.stands(&subject),
        Err(Denied::Ended),
        "another password"
    );
    assert_eq!(roll.set_logins(std::iter::empty()), ["anna"]);
}

#[test]
fn a_credential_stands_until_it_is_removed_or_its_time_is_over() {
    let access = access();
    let one = credential(Some("2026-11-21T12:10:00Z"));
    let token = access.credential(&one, "t", noon()).token;
    let subject = access.verify(&token, noon()).unwrap();
    let mut roll = Roll::default();
    roll.put(one.clone());
    assert_eq!(roll.stands(&subject), Ok(()));
    assert!(roll.is_credential(&one.endpoint) && !roll.is_credential("anna"));
    assert_eq!(roll.deadline(), one.ends);
    assert_eq!(roll.pop_ended(at("2026-11-21T12:09:59Z")), None);
    let longer = credential(Some("2026-11-21T12:20:00Z"));
    roll.put(longer.clone());
    assert_eq!(
        roll.pop_ended(at("2026-11-21T12:15:00Z")),
        None,
        "it was made longer"
    );
    assert_eq!(roll.pop_ended(at("2026-11-21T12:20:00Z")), Some(longer));
    assert_eq!(roll.stands(&subject), Err(Denied::Ended));
    assert_eq!((roll.len(), roll.deadline()), (0, None));
    roll.put(one.clone());
    assert_eq!(roll.remove("c1"), Some(one));
    assert_eq!((roll.remove("c1"), roll.deadline()), (None, None));
}

#[test]
fn a_click_is_good_for_one_call_and_its_id_is_forgotten_with_its_time() {
    let access = access();
    let click = |id: &str, at| access.click(("100", "web"), id, at, None).token;
    let subject = |id: &str, at| access.verify(&click(id, at), at).unwrap();
    let (mut roll, one) = (Roll::default(), subject("one", noon()));
    assert_eq!(roll.stands(&one), Ok(()));
    assert!(roll.spend(noon(), &one));
    assert_eq!(roll.stands(&one), Err(Denied::Spent));
    for number in 1..SPENT_MAX {
        assert!(roll.spend(noon(), &subject(&number.to_string(), noon())));
    }
    assert!(!roll.spend(noon(), &subject("more", noon())), "no room");
    let later = at("2026-11-21T12:05:00Z");
    assert!(roll.spend(later, &subject("more", later)), "they ended");
    assert_eq!(roll.spent_ids(), 1);
}

#[test]
fn wrong_passwords_are_held_longer_and_longer_and_what_is_under_way_is_bounded() {
    let (mut slow, now) = (Slow::default(), Now::ZERO);
    let [one, other] = ["192.0.2.1", "192.0.2.2"].map(|ip| ip.parse::<IpAddr>().unwrap());
    let wrong = |slow: &mut Slow, now, ip| {
        assert!(slow.enter(now, ip));
        let held = slow.failed(now, ip);
        slow.leave(ip);
        held.as_millis()
    };
    let held: Vec<u128> = (0..9).map(|_| wrong(&mut slow, now, one)).collect();
    assert_eq!(held, [0, 0, 250, 500, 1_000, 2_000, 4_000, 4_000, 4_000]);
    assert_eq!(wrong(&mut slow, now, other), 0, "of each source by itself");
    let later = now + Duration::from_secs(601);
    assert_eq!(wrong(&mut slow, later, one), 0, "forgotten");
    assert!(slow.enter(later, one));
    slow.succeeded(one);
    slow.leave(one);
    assert_eq!(wrong(&mut slow, later, one), 0);
    // An office at once, then everybody.
    let entered = |slow: &mut Slow, ip| (0..500).filter(|_| slow.enter(later, ip)).count();
    assert_eq!(entered(&mut slow, one), 32);
    let crowd: usize = (3..10_u8)
        .map(|last| entered(&mut slow, IpAddr::from([192, 0, 2, last])))
        .sum();
    assert_eq!(crowd, 96);
    slow.leave(one);
    assert!(slow.enter(later, other));
}

#[test]
fn sources_that_are_remembered_are_bounded() {
    let (mut slow, mut now) = (Slow::default(), Now::ZERO);
    for number in 0..10_000_u32 {
        let ip = IpAddr::from(number.to_be_bytes());
        now += Duration::from_millis(1);
        assert!(slow.enter(now, ip));
        slow.failed(now, ip);
        slow.leave(ip);
    }
    assert_eq!(slow.remembered(), 4_096);
}

#[test]
fn turn_credentials_are_those_of_coturns_scheme() {
    let turn = Turn {
        urls: [
            "turn:t.example:3478",
            "stun:t.example:3478",
            "turns:t.example:5349",
        ]
        .map(str::to_owned)
        .to_vec(),
        secret: Some(Secret::new("north".to_owned())),
        ttl: Duration::from_secs(3_600),
    };
    let (servers, ends) = IceServer::all(&turn, "anna", noon());
    let [plain, relay] = &servers[..] else {
        panic!("{servers:?}")
    };
    assert_eq!((plain.urls.len(), &plain.credentials), (1, &None));
    assert_eq!(relay.urls, ["turn:t.example:3478", "turns:t.example:5349"]);
    let (user, password) = relay.credentials.clone().unwrap();
    assert_eq!(ends, at("2026-11-21T13:00:00Z"));
    assert_eq!(user, format!("{}:anna", ends.as_second()));

    assert_eq!(password, COTURN);
    assert!(!format!("{servers:?}").contains(&password));
}

/// Of `1795266000:anna`, by Python's hmac.
const COTURN: &str = "1t7iPYcvavA5Nc0kj6VjGECeZw0=";

/// How long a wrong password takes, in nanoseconds: the median, for an agent who exists and one who does not.
#[expect(
    clippy::disallowed_methods,
    reason = "what an attacker measures is real time"
)]
fn times(book: &Book) -> [u128; 2] {
    let mut taken = [Vec::new(), Vec::new()];
    for number in 0..120 {
        let (kind, agent) = match number % 2 {
            0 => (0, "anna"),
            _ => (1, "nobody"),
        };
        let began = std::time::Instant::now();
        assert_eq!(book.check(agent, "a wrong password"), None);
        taken[kind].push(began.elapsed().as_nanos());
    }
    taken.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    })
}

#[test]
fn a_wrong_password_takes_as_long_for_an_agent_who_does_not_exist() {
    let cheap =
        "$argon2id$v=19$m=1024,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
    let book = book(&format!("[agents.anna]\npassword_hash = '{cheap}'")).unwrap();
    let [known, unknown] = times(&book);
    println!("medians: {known} ns known, {unknown} ns unknown");
    assert!(
        known.abs_diff(unknown) < known / 10,
        "{known} and {unknown} ns"
    );
    // The control: a server that compares the unknown with nothing is found out at once.
    let [known, unknown] = times(&book.without_decoys());
    assert!(unknown < known / 10, "{known} and {unknown} ns");
}
