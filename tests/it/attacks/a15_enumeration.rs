//! A15, listening: nothing in the words or the time of an answer tells a user who exists from one who
//! does not.
#![expect(
    clippy::disallowed_methods,
    reason = "what an attacker measures is real time"
)]

use std::time::{Duration, Instant};

use super::target::*;
use clock::Now;
use sip::auth::{self, Credentials};
use sip::message::{Message, Name};
use tandem::trunk::{
    AbuseConfig, Admission, BanRules, Digests, EndpointConfig, Secrets, Trunks, TrunksConfig,
};

const METHODS: [&str; 6] = [
    "REGISTER",
    "INVITE",
    "SUBSCRIBE",
    "MESSAGE",
    "OPTIONS",
    "PUBLISH",
];

/// A server that bans nobody, so that all can be asked.
fn patient() -> Server {
    Server::new(Made {
        abuse: AbuseConfig {
            bans: BanRules {
                failures: 0,
                ..BanRules::default()
            },
            ..AbuseConfig::default()
        },
        ..Made::default()
    })
}

/// What a user is answered, byte for byte, but for the nonce and what the request itself said.
fn answer(method: &str, user: &str, proves: bool) -> String {
    let mut server = patient();
    let flow = tcp(ROAMING);
    let words = Words::of(method, flow, 1).user(user).to(user);
    let mut said = server.send(flow, &words.text());
    if proves {
        let line = proof(&said[0].1, user, "guess", &words);
        let again = Words { n: 2, ..words }.line(&line);
        said = server.send(flow, &again.text());
    }
    let text = String::from_utf8(said[0].1.bytes().to_vec()).unwrap();
    let (before, rest) = text.split_once("nonce=\"").unwrap();
    let (_, after) = rest.split_once('"').unwrap();
    format!("{before}{after}").replace(user, "USER")
}

#[test]
fn the_answer_is_the_same_to_the_byte() {
    for method in METHODS {
        for proves in [false, true] {
            let known = answer(method, "ann", proves);
            for unknown in ["anm", "zzz", "000"] {
                assert_eq!(known, answer(method, unknown, proves), "{method} {unknown}");
            }
        }
    }
}

fn user(name: &str, digests: Digests) -> EndpointConfig {
    let mut endpoint = endpoint(name);
    endpoint.secrets = Some(Secrets::from_password(name, REALM, "sesame", digests));
    endpoint
}

fn trunks(endpoints: Vec<EndpointConfig>, decoys: bool) -> Trunks {
    let trunks = Trunks::new(TrunksConfig {
        trunks: vec![carrier()],
        endpoints,
        realm: REALM.to_owned(),
        digests: Digests::Md5,
        nonce_secret: [7; 32],
        nonce_life: Duration::from_secs(300),
    });
    if decoys {
        trunks
    } else {
        trunks.without_decoys()
    }
}

fn parsed(words: &Words) -> Message {
    Message::parse(words.text().into()).unwrap()
}

/// The values of the challenge to a request.
fn challenge(trunks: &mut Trunks, words: &Words) -> Vec<String> {
    match trunks.admit(Now::ZERO, &parsed(words), words.flow) {
        Admission::Challenge(challenge) => challenge.headers.into_iter().map(|it| it.1).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn users_of_many_digests_are_not_told_by_them() {
    let digests = [Digests::Md5, Digests::Sha256, Digests::Both];
    let users = (0..30).map(|n| user(&format!("user{n}"), digests[n % 3]));
    let mut trunks = trunks(users.collect(), true);
    let mut seen = [[0_u32; 4]; 2];
    for (kind, name) in [(0, "user"), (1, "none")] {
        for n in 0..30 {
            let words = Words::of("REGISTER", udp(ROAMING), 1).to(&format!("{name}{n}"));
            let values = challenge(&mut trunks, &words);
            // Asked again it is the same.
            assert_eq!(values.len(), challenge(&mut trunks, &words).len());
            let which = match (values.len(), values[0].contains("SHA-256")) {
                (2, _) => 2,
                (_, sha) => usize::from(sha),
            };
            seen[kind][which] += 1;
        }
    }
    // All three kinds are met among those who exist and among those who do not.
    assert!(
        seen.iter().all(|kinds| kinds[..3].iter().all(|n| *n >= 3)),
        "{seen:?}"
    );
}

/// Nanoseconds that a wrong proof takes, for users who exist and who do not, in mixed order.
fn times(decoys: bool, count: usize) -> [Vec<f64>; 2] {
    // Every other number is a user.
    let users = (0..200).map(|n| user(&format!("user{:03}", 2 * n), Digests::Md5));
    let mut trunks = trunks(users.collect(), decoys);
    let mut times = [Vec::new(), Vec::new()];
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    while times.iter().any(|it| it.len() < count) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let kind = usize::from(random >> 40 & 1 == 1);
        let name = format!("user{:03}", random % 200 * 2 + kind as u64);
        let words = Words::of("REGISTER", udp(ROAMING), 1).user(&name).to(&name);
        let asked = [auth::Challenge::parse(&challenge(&mut trunks, &words)[0]).unwrap()];
        let credentials = Credentials::password(&name, "guess");
        let uri = words.uri();
        let exchange = ("REGISTER", uri.as_str(), &b""[..]);
        let value = auth::answer(&asked, &credentials, exchange, "c0ffee", 1).unwrap();
        let request = parsed(&words.line(&format!("Authorization: {value}")));
        assert!(request.header(Name::Authorization).is_some());
        let flow = udp(ROAMING);
        let began = Instant::now();
        let admission = trunks.admit(Now::ZERO, &request, flow);
        let took = began.elapsed();
        assert!(matches!(admission, Admission::Challenge(_)));
        times[kind].push(took.as_nanos() as f64);
    }
    times
}

/// Welch's t of two samples without their slowest twentieth (interrupts and the like), cut at one
/// common value; and by how many nanoseconds the first is slower.
fn welch([a, b]: &[Vec<f64>; 2]) -> (f64, f64) {
    let mut all: Vec<f64> = a.iter().chain(b).copied().collect();
    all.sort_by(f64::total_cmp);
    let cut = all[all.len() * 19 / 20];
    let of = |sample: &[f64]| {
        let kept: Vec<f64> = sample.iter().copied().filter(|it| *it <= cut).collect();
        let n = kept.len() as f64;
        let mean = kept.iter().sum::<f64>() / n;
        let variance = kept.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / (n - 1.0);
        (mean, variance / n)
    };
    let ((mean_a, error_a), (mean_b, error_b)) = (of(a), of(b));
    println!("means {mean_a:.0} and {mean_b:.0} ns");
    let slower = mean_a - mean_b;
    (slower / (error_a + error_b).sqrt(), slower)
}

/// |t| above which p < 0.01, two-sided, with so many degrees of freedom that t is normal.
const T_OF_P_001: f64 = 2.576;
/// Where a process lies in memory makes one kind some 20 ns quicker in one process and slower in the next, of 30 µs; a
/// hash that is left out is 5,000.
const LAYOUT_NS: f64 = 100.0;

#[test]
fn a_wrong_proof_takes_as_long_for_a_user_who_does_not_exist() {
    let (mut t, mut slower) = welch(&times(true, 10_000));
    println!("t of known against unknown users: {t:.2}");
    if t.abs() >= T_OF_P_001 {
        // One honest sample in a hundred says so by chance. A real difference has twice the t in four
        // times as many: whatever was seen is seen again, and chance is not.
        (t, slower) = welch(&times(true, 40_000));
        println!("t of four times as many: {t:.2}");
    }
    assert!(
        t.abs() < T_OF_P_001 || slower.abs() < LAYOUT_NS,
        "known and unknown users differ in time by {slower:.0} ns: t = {t:.2}"
    );
    // The control: a server that hashes nothing for unknown users is found out at once.
    let (t, slower) = welch(&times(false, 10_000));
    println!("t without decoys: {t:.1}");
    assert!(
        t > 20.0 && slower > 10.0 * LAYOUT_NS,
        "t = {t:.2}, {slower:.0} ns: the measurement sees nothing"
    );
}
