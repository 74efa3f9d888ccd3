//! What a browser's handshake costs the server, apart from what it costs the browser: by itself, and through the
//! sockets and threads that the server has. Beside them, what nobody can do it without.
//!
//! `cargo bench --bench dtls`: processor time as the kernel counts it, so that a busy machine changes the figures
//! little; medians of five. The limit is one key pair, one agreement, one signature and one verified, all of P-256 by
//! ring: assembler, where the handshakes' own arithmetic is portable Rust. `TANDEM_BENCH_RECORD=1` keeps the
//! figures in `benches/results/webrtc_dtls.json`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program that measures and prints"
)]

#[expect(dead_code, reason = "here they shake hands and do not speak")]
#[path = "steady/browsers.rs"]
mod browsers;

use std::net::SocketAddr;
use std::time::Instant;

use clock::Now;
use lab::figures::{load, median};
use lab::pace::thread_time;
use rustix::time::{ClockId, clock_gettime};
use rustls::crypto::ring;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{SignatureAlgorithm, SignatureScheme};
use serde_json::json;
use tandem::io::media::{MediaAddress, MediaConfig, WebConfig, Workers};
use webrtc_lite::peer::Peer;
use webrtc_lite::{Credentials, Identity, Output, Session, Terms};

const ROUNDS: usize = 5;
/// Handshakes of a round.
const COUNT: u32 = 400;

fn main() {
    let before = load();
    let (us, them) = (identity(), identity());
    let mut rounds: [Vec<f64>; 4] = Default::default();
    for round in 0..=ROUNDS {
        let (ours, theirs) = alone(&us, &them);
        let (whole, limit) = (through_sockets(), limit());
        // The first warms.
        if round > 0 {
            for (all, us) in rounds.iter_mut().zip([ours, theirs, whole, limit]) {
                all.push(us);
            }
            println!(
                "server {ours:.0} us, browser {theirs:.0}; with sockets and threads {whole:.0}; limit {limit:.0}"
            );
        }
    }
    let [ours, theirs, whole, limit] = rounds.each_ref().map(|all| median(all));
    let result = json!({
        "bench": "dtls", "handshakes": COUNT, "rounds": ROUNDS,
        "server_us": ours, "browser_us": theirs, "server_with_sockets_us": whole,
        "limit_us": limit, "ratio_to_limit": ours / limit,
        "set_ups_per_second_on_one_core": 1e6 / whole, "each": rounds,
        "load_before": before, "load_after": load(),
    });
    println!("{result}");
    if std::env::var_os("TANDEM_BENCH_RECORD").is_some() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/benches/results/webrtc_dtls.json"
        );
        std::fs::write(path, format!("{result}\n")).unwrap();
    }
}

fn identity() -> Identity {
    let pair = rcgen::generate_simple_self_signed(["dtls".to_owned()]).unwrap();
    let (certificate, key) = (pair.cert.der().to_vec(), pair.signing_key.serialize_der());
    Identity::new(certificate, key, Instant::now()).unwrap()
}

/// µs of a processor a handshake: a session's, with its first check, and a browser's.
fn alone(us: &Identity, them: &Identity) -> (f64, f64) {
    let (mut ours, mut theirs) = (0, 0);
    for n in 0..COUNT {
        let began = thread_time();
        ours += shake(us, them, n);
        theirs += thread_time() - began;
    }
    theirs -= ours;
    let each = |ns: u64| ns as f64 / 1e3 / f64::from(COUNT);
    (each(ours), each(theirs))
}

/// Nanoseconds that the server's end takes.
fn shake(us: &Identity, them: &Identity, n: u32) -> u64 {
    let at: SocketAddr = ([192, 0, 2, 1], 5_000).into();
    let name = |of: &str| Credentials {
        ufrag: format!("{of}{n}"),
        password: "a-password-that-is-long-enough".to_owned(),
    };
    let mut now = Now::from_nanos(5_000_000_000);
    let mut peer = Peer::new(now, them.clone(), name("them"), name("us")).unwrap();
    let terms = Terms {
        credentials: name("them"),
        fingerprint: them.fingerprint().clone(),
    };
    let mut packets = vec![peer.check(true)];
    let mut took = 0;
    let began = thread_time();
    let mut session = Session::new(now, us, name("us"), Some(terms));
    took += thread_time() - began;
    for _ in 0..8 {
        now += clock::Duration::from_millis(1);
        let began = thread_time();
        let (mut said, mut keys) = (Vec::new(), false);
        for packet in &packets {
            session.receive(now, at, packet);
        }
        while let Some(output) = session.poll_output() {
            match output {
                Output::Transmit { bytes, .. } => said.push(bytes),
                Output::Keys(_) => keys = true,
                _ => {}
            }
        }
        took += thread_time() - began;
        for bytes in said {
            peer.receive(now, &bytes);
        }
        packets = peer.says(now);
        if keys {
            assert!(peer.keys().is_some() || !packets.is_empty());
            return took;
        }
    }
    panic!("no keys");
}

/// µs of a processor that the server's threads take a browser: its port opened, its checks, its handshake.
fn through_sockets() -> f64 {
    let address = MediaAddress {
        bind: [127, 0, 11, 6].into(),
        advertised: [127, 0, 11, 6].into(),
    };
    let mut config = MediaConfig::at(address.bind, 5);
    config.workers = 1;
    config.worker.ports_max = COUNT as usize + 16;
    config.web = Some(WebConfig {
        port: 8_443,
        addresses: vec![address],
    });
    let mut workers = Workers::start(&config, Now::ZERO).unwrap();
    let process = || {
        let now = clock_gettime(ClockId::ProcessCPUTime);
        now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
    };
    let (all, mine) = (process(), thread_time());
    let browsers = browsers::Browsers::join(&mut workers, COUNT, 0);
    let took = (process() - all) - (thread_time() - mine);
    drop(browsers);
    took as f64 / 1e3 / f64::from(COUNT)
}

/// µs of a processor that a key pair, an agreement, a signature and one verified take.
fn limit() -> f64 {
    let pair = rcgen::generate_simple_self_signed(["limit".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(pair.signing_key.serialize_der()).into();
    let key = ring::sign::any_ecdsa_type(&key).unwrap();
    assert_eq!(key.algorithm(), SignatureAlgorithm::ECDSA);
    let signer = key
        .choose_scheme(&[SignatureScheme::ECDSA_NISTP256_SHA256])
        .unwrap();
    let provider = ring::default_provider();
    let verifiers = provider.signature_verification_algorithms.mapping;
    let (_, verifiers) = verifiers
        .iter()
        .find(|(scheme, _)| *scheme == SignatureScheme::ECDSA_NISTP256_SHA256)
        .unwrap();
    let theirs = ring::kx_group::SECP256R1.start().unwrap();
    let theirs = theirs.pub_key().to_vec();
    let public = pair.signing_key.public_key_raw();
    let message = [7; 130];
    let began = thread_time();
    for _ in 0..COUNT {
        let mine = ring::kx_group::SECP256R1.start().unwrap();
        let secret = mine.complete(&theirs).unwrap();
        let signature = signer.sign(&message).unwrap();
        let verified = verifiers[0].verify_signature(public, &message, &signature);
        assert!(verified.is_ok() && !secret.secret_bytes().is_empty());
    }
    (thread_time() - began) as f64 / 1e3 / f64::from(COUNT)
}
