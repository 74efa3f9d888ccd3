//! A certificate by ACME, from pebble: ordered, in use, renewed under open connections, kept over a
//! restart.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::reloads::Tls;
use crate::lab::Lab;
use crate::process::{Process, wait_for};
use crate::server::{Server, Setup};

/// How long pebble's certificates hold, and when the server renews them.
const LIFE_SECS: u32 = 40;
const RENEW_BEFORE_SECS: u32 = 30;

/// Where pebble asks for the challenge, in place of port 80.
const CHALLENGE_PORT: u16 = 5_002;

/// SIP over TLS and HTTPS show what pebble signed; it is renewed while a connection stays open.
pub(crate) fn acme(lab: &Lab) -> Result<String> {
    let authority = SocketAddr::new(lab.ip(7), 14_000);
    let _pebble = pebble(lab, authority)?;
    let ip = lab.ip(1);
    let mut setup = Setup::agents(&[]);
    setup.config = format!(
        "[acme]\nnames = [\"{ip}\"]\nterms_agreed = true\ncontact = \"mailto:ops@example.com\"\n\
         directory = \"https://{authority}/dir\"\nauthority = \"{}\"\nlisten = \"{ip}:{CHALLENGE_PORT}\"\n\
         renew_before = \"{RENEW_BEFORE_SECS}s\"\n",
        lab.path("pebble.pem").display(),
    );
    let server = Server::start(lab, &setup)?;
    let sip = SocketAddr::new(ip, 5061);
    let mut held = wait_for(Duration::from_secs(30), "a certificate of pebble's", || {
        let connection = Tls::connect(sip).ok()?;
        is_of_pebble(&connection).then_some(connection)
    })?;
    let first = held.certificate().map(<[u8]>::to_vec);
    held.ping()?;
    let renewed = wait_for(Duration::from_secs(40), "a renewed certificate", || {
        let connection = Tls::connect(sip).ok()?;
        let new = connection.certificate() != first.as_deref();
        (new && is_of_pebble(&connection)).then_some(())
    });
    renewed?;
    held.ping()
        .context("the connection of before the renewal")?;
    let https = Tls::connect(SocketAddr::new(ip, 8_443))?;
    ensure!(is_of_pebble(&https), "HTTPS shows another certificate");
    let health = https.get("/healthz")?;
    ensure!(health.starts_with("HTTP/1.1 200"), "HTTPS says {health:?}");
    server.stop()?;
    let server = Server::restart(lab, &setup)?;
    let kept = Tls::connect(sip)?;
    ensure!(
        is_of_pebble(&kept),
        "the certificate was not kept over the restart"
    );
    server.stop()?;
    Ok("SIP and HTTPS show pebble's certificate, renewed under an open connection, kept over a restart"
        .to_owned())
}

fn is_of_pebble(connection: &Tls) -> bool {
    let certificate = connection.certificate().unwrap_or_default();
    certificate.windows(6).any(|it| it == b"Pebble")
}

fn pebble(lab: &Lab, at: SocketAddr) -> Result<Process> {
    let own = rcgen::generate_simple_self_signed(vec![at.ip().to_string()])?;
    let (certificate, key) = (lab.path("pebble.pem"), lab.path("pebble.key.pem"));
    std::fs::write(&certificate, own.cert.pem())?;
    std::fs::write(&key, own.signing_key.serialize_pem())?;
    let config = serde_json::json!({ "pebble": {
        "listenAddress": at.to_string(),
        "managementListenAddress": SocketAddr::new(at.ip(), 15_000).to_string(),
        "certificate": certificate,
        "privateKey": key,
        "httpPort": CHALLENGE_PORT,
        "tlsPort": 5_001,
        "ocspResponderURL": "",
        "externalAccountBindingRequired": false,
        "certificateValidityPeriod": LIFE_SECS,
    }});
    let file = lab.path("pebble.json");
    std::fs::write(&file, config.to_string())?;
    let mut command = Command::new("timeout");
    command
        .args(["--foreground", "-k", "2", "180", "pebble", "-config"])
        .arg(&file)
        .env("PEBBLE_VA_NOSLEEP", "1");
    let process = Process::spawn("pebble", &mut command, &lab.path("pebble.log"))?;
    wait_for(Duration::from_secs(10), "pebble to listen", || {
        std::net::TcpStream::connect(at).ok()
    })?;
    Ok(process)
}
