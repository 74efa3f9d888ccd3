//! TURN credentials that the API hands out, at coturn: an independent server and its own client.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use crate::lab::Lab;
use crate::process::{Process, bounded, wait_for};
use crate::server::{Server, Setup};

const SECRET: &str = "what only the two of them know";
const PORT: u16 = 3_478;
/// Messages that go through the relay and come back.
const MESSAGES: u32 = 50;

/// What `GET /v1/ice_servers` says opens a relay over UDP and over TCP, until it ends; nothing else does.
pub(crate) fn coturn(lab: &Lab) -> Result<String> {
    let ip = lab.ip(7);
    let _turn = turnserver(lab, ip)?;
    let mut setup = Setup::agents(&[]);
    setup.config = format!(
        "[webrtc]\nport = 18443\n[webrtc.turn]\nurls = [\"turn:{ip}:{PORT}\"]\nsecret = \"{SECRET}\"\n\
         ttl = \"5m\"\n"
    );
    let server = Server::start(lab, &setup)?;
    let told = server.json("/v1/ice_servers")?;
    let relay = &told["ice_servers"][0];
    let text = |key: &str| relay[key].as_str().map(str::to_owned).context("no relay");
    let (user, password) = (text("username")?, text("credential")?);
    for (way, tcp) in [("UDP", false), ("TCP", true)] {
        let said = client(ip, &user, &password, tcp)?;
        ensure!(relayed(&said), "over {way}: {said}");
    }
    // The controls: what the defence is there for does not pass.
    let old = "1500000000:api".to_owned();
    let refused = [
        ("a wrong credential", user.clone(), "wrong".to_owned()),
        ("one that has ended", old.clone(), credential(SECRET, &old)),
        (
            "one of another secret",
            user.clone(),
            credential("another", &user),
        ),
    ];
    for (what, user, password) in refused {
        let said = client(ip, &user, &password, false)?;
        ensure!(!relayed(&said), "{what} is taken: {said}");
    }
    ensure!(credential(SECRET, &user) == password, "not coturn's scheme");
    server.stop()?;
    Ok(format!(
        "{MESSAGES} messages each relayed over UDP and TCP, none lost; wrong, ended and foreign ones refused"
    ))
}

fn turnserver(lab: &Lab, ip: IpAddr) -> Result<Process> {
    let folder = lab.path("coturn");
    std::fs::create_dir_all(&folder)?;
    let mut command = bounded("turnserver", Duration::from_secs(120));
    command
        .args(["-n", "--use-auth-secret", "--realm", "tandem", "--no-cli"])
        .args(["--no-tls", "--no-dtls", "--allow-loopback-peers"])
        .args(["--log-file", "stdout", "--simple-log", "--verbose"])
        .args(["--static-auth-secret", SECRET])
        .args(["--listening-port", &PORT.to_string()])
        .args(["--listening-ip", &ip.to_string()])
        .args(["--relay-ip", &ip.to_string()])
        .arg("--pidfile")
        .arg(folder.join("pid"))
        .arg("--userdb")
        .arg(folder.join("users"))
        .current_dir(&folder);
    let log = lab.path("coturn.log");
    let process = Process::spawn("turnserver", &mut command, &log)?;
    let at = SocketAddr::new(ip, PORT);
    wait_for(Duration::from_secs(20), "coturn to listen", || {
        std::net::TcpStream::connect(at).ok()
    })
    .with_context(|| crate::process::tail(&log))?;
    Ok(process)
}

/// What coturn's own client says of a relay between two of its allocations.
fn client(ip: IpAddr, user: &str, password: &str, tcp: bool) -> Result<String> {
    let mut command: Command = bounded("turnutils_uclient", Duration::from_secs(30));
    command
        .args(["-y", "-m", "1", "-n", &MESSAGES.to_string()])
        .args(["-u", user, "-w", password, "-p", &PORT.to_string()]);
    if tcp {
        command.arg("-t");
    }
    let output = command.arg(ip.to_string()).output()?;
    let text = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn relayed(said: &str) -> bool {
    said.contains("Total lost packets 0 ")
}

fn credential(secret: &str, user: &str) -> String {
    let mut key = [0; 64];
    for (to, from) in key.iter_mut().zip(secret.as_bytes()) {
        *to = *from;
    }
    let mut mac = Hmac::<Sha1>::new(&key.into());
    mac.update(user.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}
