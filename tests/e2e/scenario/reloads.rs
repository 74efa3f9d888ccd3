//! Reloads and new certificates under live calls and open connections.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use serde_json::Value;

use super::load::{CALLS, Crowd, pairs};
use super::smoke::AGENT;
use crate::baresip::{Baresip, Over};
use crate::lab::Lab;
use crate::process::{pause, wait_for};
use crate::server::{Server, Setup};

const RELOADS: usize = 1_000;

/// Connections that stay open while certificates change.
const CONNECTIONS: usize = 50;

const SWAPS: usize = 100;

/// What is put into the configuration or the dialplan, where, and what the refusal must say.
struct Mistake {
    toml: &'static str,
    plan: &'static str,
    says: &'static [&'static str],
}

/// Each is refused whole, with the line where it stands.
const MISTAKES: [Mistake; 5] = [
    Mistake {
        toml: "",
        plan: "flow \"broken\" {\n  shout \"hello\"\n}\n",
        says: &["e2e.kdl:", "shout"],
    },
    Mistake {
        toml: "",
        plan: "flow \"broken\" {\n  queue \"nowhere\"\n}\n",
        says: &["e2e.kdl:", "nowhere"],
    },
    Mistake {
        toml: "[trunks.more]\naddresses = [\"127.0.0.9\"]\nsned_to = []\n",
        plan: "",
        says: &["tandem.toml:", "trunks.more.sned_to"],
    },
    Mistake {
        toml: "[trunks.more]\naddresses = [\"127.0.0.9\"]\ncalls = 0\n",
        plan: "",
        says: &["tandem.toml:", "trunks.more.calls", "have 0"],
    },
    Mistake {
        toml: "[endpoints.more]\npassword = 7\n",
        plan: "",
        says: &["tandem.toml:", "endpoints.more.password"],
    },
];

/// A thousand reloads, a tenth of them with a mistake, while two hundred calls talk: none is dropped,
/// each mistake is refused with its line, and what a good one brings is in force.
pub(crate) fn configuration(lab: &Lab) -> Result<String> {
    let crowd = Crowd::begin(lab, "caller")?;
    let server = &crowd.server;
    bridged(server, CALLS as usize)?;
    let plan = crowd.setup.plan.clone();
    let toml = std::fs::read_to_string(lab.path("tandem.toml"))?;
    let mut took = Vec::with_capacity(RELOADS);
    let mut refused = 0;
    for number in 0..RELOADS {
        let mistake = (number % 10 == 9).then(|| &MISTAKES[number / 10 % MISTAKES.len()]);
        let (more_toml, more_plan) = mistake.map_or(("", ""), |it| (it.toml, it.plan));
        let version = format!(
            "[endpoints.version{number}]\npassword = \"secret-version\"\n[agents.version{number}]\n"
        );
        write_whole(lab, "tandem.toml", &format!("{toml}{version}{more_toml}"))?;
        write_whole(lab, "dialplans/e2e.kdl", &format!("{plan}{more_plan}"))?;
        let begun = Instant::now();
        let (status, answer) = server.post("/v1/reload")?;
        took.push(begun.elapsed());
        match mistake {
            None => ensure!(status == 200, "reload {number}: {status} {answer}"),
            Some(mistake) => {
                check_refusal(number, status, &answer, mistake)?;
                refused += 1;
            }
        }
        if number % 100 == 9 {
            in_force(server, number - 1, number)?;
        }
    }
    bridged(server, CALLS as usize)?;
    crowd.calling.hang_up_all(CALLS)?;
    crowd.calling.succeed(Duration::from_secs(60))?;
    crowd.answering.succeed(Duration::from_secs(20))?;
    let ends = server.cdrs(CALLS as usize)?;
    let normal = ends.iter().filter(|it| it["hangup_cause"] == "normal");
    let normal = normal.count();
    let pairs = pairs(&crowd.callers.heard(), &crowd.agents.heard())?;
    ensure!(
        normal == CALLS as usize && pairs.count == CALLS as usize,
        "{normal} ended as they should, {} with both tones of {CALLS}: {}",
        pairs.count,
        pairs.trouble.join("; ")
    );
    crowd.server.stop()?;
    took.sort();
    let ms = |at: usize| took.get(at).map_or(0.0, |it| it.as_secs_f64() * 1e3);
    Ok(format!(
        "{RELOADS} reloads, {refused} mistaken and each refused with its line; {} of {CALLS} calls \
         went on with both tones, worst loss {:.2} %; a reload took {:.0} ms (median), {:.0} ms (p99)",
        pairs.count,
        pairs.worst_loss * 100.0,
        ms(RELOADS / 2),
        ms(RELOADS * 99 / 100),
    ))
}

/// Beside it and renamed: a reload never sees half a file.
fn write_whole(lab: &Lab, name: &str, text: &str) -> Result<()> {
    let beside = lab.path("being-written");
    std::fs::write(&beside, text)?;
    Ok(std::fs::rename(beside, lab.path(name))?)
}

fn bridged(server: &Server, count: usize) -> Result<()> {
    wait_for(
        Duration::from_secs(60),
        &format!("{count} bridged calls"),
        || {
            let calls = server.json("/v1/calls").ok()?;
            let calls = calls.as_array()?;
            let talking = calls.iter().filter(|it| it["state"] == "bridged").count();
            (talking == count && calls.len() == count).then_some(())
        },
    )
}

fn check_refusal(number: usize, status: u16, answer: &Value, mistake: &Mistake) -> Result<()> {
    let said = answer.to_string();
    ensure!(status == 422, "reload {number}: {status} {said}, want 422");
    for part in mistake.says {
        ensure!(said.contains(part), "reload {number}: no {part} in {said}");
    }
    let line = mistake.says[0];
    let after = said.split(line).nth(1).unwrap_or_default();
    ensure!(
        after.starts_with(|it: char| it.is_ascii_digit()),
        "reload {number}: no line in {said}"
    );
    Ok(())
}

/// The endpoint of the last good reload is there, that of the mistaken one after it is not.
fn in_force(server: &Server, good: usize, mistaken: usize) -> Result<()> {
    let list = server.json("/v1/endpoints")?;
    let list = list.as_array().context("no list of endpoints")?;
    let has = |number: usize| {
        let name = format!("version{number}");
        list.iter().any(|it| it["name"] == name.as_str())
    };
    ensure!(has(good), "reload {good} is not in force");
    ensure!(!has(mistaken), "the mistaken reload {mistaken} is in force");
    Ok(())
}

/// The operator's certificate is replaced a hundred times: connections that are open stay open, new
/// ones see the new certificate, a pair that does not fit is refused and the old one stays.
pub(crate) fn certificates(lab: &Lab) -> Result<String> {
    let (chain, key) = (lab.path("chain.pem"), lab.path("key.pem"));
    let write = || -> Result<Vec<u8>> {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
        std::fs::write(&chain, made.cert.pem())?;
        std::fs::write(&key, made.signing_key.serialize_pem())?;
        Ok(made.cert.der().to_vec())
    };
    let mut newest = write()?;
    let mut setup = Setup::agents(&["alice"]);
    // The phones of this scenario are wherever they are.
    setup.config += &format!(
        "[sip.certificate]\nchain = \"{}\"\nkey = \"{}\"\n",
        chain.display(),
        key.display()
    );
    let server = Server::start(lab, &setup)?;
    let at = SocketAddr::new(server.ip, 5061);
    let mut phone = Baresip::start(lab, &server, "alice", Over::Tls, AGENT, true)?;
    let open = || Tls::connect(at);
    let mut held = (0..CONNECTIONS)
        .map(|_| open())
        .collect::<Result<Vec<_>>>()?;
    for connection in &mut held {
        connection.ping()?;
    }
    for swap in 0..SWAPS {
        newest = write()?;
        let (status, answer) = server.post("/v1/reload")?;
        ensure!(status == 200, "swap {swap}: {status} {answer}");
        let mut fresh = open()?;
        ensure!(
            fresh.certificate() == Some(newest.as_slice()),
            "swap {swap}: a new connection sees another certificate"
        );
        fresh.ping()?;
        let one = swap % CONNECTIONS;
        held[one].ping().with_context(|| format!("swap {swap}"))?;
    }
    let spoilt = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    std::fs::write(&key, spoilt.signing_key.serialize_pem())?;
    let (status, answer) = server.post("/v1/reload")?;
    ensure!(
        status == 422 && answer.to_string().contains("key.pem"),
        "a key that does not fit: {status} {answer}"
    );
    ensure!(
        open()?.certificate() == Some(newest.as_slice()),
        "a refused certificate is in force"
    );
    let mut lost = 0;
    for connection in &mut held {
        lost += usize::from(connection.ping().is_err());
    }
    ensure!(lost == 0, "{lost} of {CONNECTIONS} connections were lost");
    // The phone's connection still carries calls to it.
    let caller = super::smoke::Caller::call(lab, &server, "caller")?;
    caller.choose_support(&server)?;
    caller.hears_tone(AGENT, 1.0, Duration::from_secs(20))?;
    caller.sipp.hang_up()?;
    phone.event("CALL_CLOSED", Duration::from_secs(5))?;
    caller.sipp.succeed(Duration::from_secs(10))?;
    server.stop()?;
    Ok(format!(
        "{SWAPS} swaps, 0 of {CONNECTIONS} connections lost, each new one saw the new certificate, a key \
         that does not fit was refused; a phone registered before the swaps took a call after them"
    ))
}

/// A SIP connection over TLS that believes any certificate.
pub(super) struct Tls {
    stream: StreamOwned<ClientConnection, TcpStream>,
    pings: u32,
}

impl Tls {
    pub(super) fn connect(to: SocketAddr) -> Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            .with_no_client_auth();
        let name = ServerName::try_from("localhost")?;
        let socket = TcpStream::connect(to)?;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut stream = StreamOwned::new(ClientConnection::new(Arc::new(config), name)?, socket);
        stream.conn.complete_io(&mut stream.sock)?;
        Ok(Self { stream, pings: 0 })
    }

    pub(super) fn certificate(&self) -> Option<&[u8]> {
        Some(self.stream.conn.peer_certificates()?.first()?.as_ref())
    }

    /// The answer to a GET, its beginning at least.
    pub(super) fn get(mut self, path: &str) -> Result<String> {
        let text = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        self.stream.write_all(text.as_bytes())?;
        let mut bytes = [0; 4_096];
        let len = self.stream.read(&mut bytes)?;
        Ok(String::from_utf8_lossy(bytes.get(..len).unwrap_or_default()).into_owned())
    }

    /// An OPTIONS and its answer, whatever it says.
    pub(super) fn ping(&mut self) -> Result<()> {
        self.pings += 1;
        let own = self.stream.sock.local_addr()?;
        let to = self.stream.sock.peer_addr()?;
        let number = self.pings;
        let text = format!(
            "OPTIONS sip:{to} SIP/2.0\r\nVia: SIP/2.0/TLS {own};branch=z9hG4bKping{number}x{}\r\n\
             From: <sip:ping@{own}>;tag=ping\r\nTo: <sip:{to}>\r\nCall-ID: ping-{own}\r\n\
             CSeq: {number} OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
            own.port()
        );
        self.stream.write_all(text.as_bytes())?;
        let mut bytes = [0; 4_096];
        let len = self.stream.read(&mut bytes)?;
        let said = String::from_utf8_lossy(bytes.get(..len).unwrap_or_default()).into_owned();
        if !said.starts_with("SIP/2.0 ") {
            bail!("{len} bytes for an answer: {said:?}");
        }
        pause(1);
        Ok(())
    }
}

/// Takes whoever has the key of the certificate it shows.
#[derive(Debug)]
struct Anybody(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
