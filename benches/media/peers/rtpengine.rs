//! rtpengine in userspace, driven by its control protocol `ng`: a cookie and a bencoded dictionary in
//! a datagram, an offer and an answer a call.

use std::cell::Cell;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use lab::message::{Audio, audio_port, sdp};
use lab::server::Server;
use memchr::memmem;

use super::Peer;

/// A running rtpengine and the socket that orders it about.
pub(crate) struct Rtpengine {
    server: Server,
    control: UdpSocket,
    calls: Vec<u32>,
    /// Whether callees speak Opus.
    transcodes: bool,
    /// An answer is repeated for a cookie that was seen before.
    asked: Cell<u32>,
}

impl Rtpengine {
    /// Starts it without its kernel module: that program, or the one that `RTPENGINE` names.
    ///
    /// # Errors
    /// When it is not installed, or does not answer.
    pub(crate) fn start(program: &str) -> Result<Self, String> {
        let program = std::env::var("RTPENGINE").unwrap_or_else(|_| program.to_owned());
        if !Path::new(&program).exists() {
            return Err(format!("{program} is missing: benches/media/install"));
        }
        let address = SocketAddr::from((IP, 2_223));
        let ip = address.ip();
        let (interface, listen) = (
            format!("--interface={ip}"),
            format!("--listen-ng={address}"),
        );
        let args = [
            "--config-file=none",
            "--table=-1",
            "--foreground",
            "--log-stderr",
            "--log-level=2",
            "--port-min=20000",
            "--port-max=59998",
            "--num-threads=1",
            "--scheduling=fifo",
            "--priority=20",
            &interface,
            &listen,
        ];
        let server = Server::other(Path::new(&program), &args);
        let control =
            UdpSocket::bind(SocketAddr::from((IP, 0))).map_err(|error| error.to_string())?;
        control.connect(address).unwrap();
        let timeout = Some(Duration::from_secs(2));
        control.set_read_timeout(timeout).unwrap();
        let started = Self {
            server,
            control,
            calls: Vec::new(),
            transcodes: false,
            asked: Cell::new(0),
        };
        started.ask("d7:command4:pinge").map(|_| started)
    }

    /// Callees speak Opus from now on, callers PCMU as before.
    pub(crate) fn transcode(&mut self) {
        self.transcodes = true;
    }

    fn ask(&self, command: &str) -> Result<Vec<u8>, String> {
        let mut answer = vec![0; 65_536];
        self.asked.set(self.asked.get() + 1);
        let order = format!("{} {command}", self.asked.get());
        self.control.send(order.as_bytes()).unwrap();
        let length = self.control.recv(&mut answer);
        let length = length.map_err(|error| format!("rtpengine does not answer: {error}"))?;
        answer.truncate(length);
        Ok(answer)
    }

    /// Where the other side of the one who listens at `end` is to send.
    fn describe(&self, command: &str, n: u32, end: SocketAddr) -> Result<SocketAddr, String> {
        let audio = match command {
            "answer" if self.transcodes => Audio::opus(end.port()),
            _ => Audio::pcmu(end.port()),
        };
        let body = sdp(end, audio);
        let codecs = if self.transcodes && command == "offer" {
            "5:codecd4:maskl4:PCMUe9:transcodel4:opusee"
        } else {
            ""
        };
        let to = if command == "answer" {
            "6:to-tag1:b"
        } else {
            ""
        };
        let order = format!(
            "d7:call-id8:{n:08}{codecs}7:command{}:{command}8:from-tag1:a3:sdp{}:{body}{to}e",
            command.len(),
            body.len(),
        );
        let answer = self.ask(&order)?;
        let port = memmem::find(&answer, b"3:sdp").and_then(|at| audio_port(&answer[at..]));
        let port = port.ok_or_else(|| String::from_utf8_lossy(&answer).into_owned())?;
        Ok(SocketAddr::from((IP, port)))
    }
}

impl Peer for Rtpengine {
    fn server(&self) -> &Server {
        &self.server
    }

    fn call(&mut self, n: u32, ends: [SocketAddr; 2]) -> Result<[SocketAddr; 2], String> {
        let for_callee = self.describe("offer", n, ends[0])?;
        let for_caller = self.describe("answer", n, ends[1])?;
        self.calls.push(n);
        Ok([for_caller, for_callee])
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from((IP, 0))
    }

    fn end(&mut self) {
        for n in std::mem::take(&mut self.calls) {
            let order =
                format!("d7:call-id8:{n:08}7:command6:delete12:delete delayi0e8:from-tag1:ae");
            let _ = self.ask(&order);
        }
    }
}

/// As Debian keeps it up to date.
pub(crate) const DEBIAN: &str = "/usr/bin/rtpengine";
/// Before its security update.
pub(crate) const UNFIXED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../target/peers/rtpengine-10.5.3.5-1/usr/bin/rtpengine"
);
const IP: [u8; 4] = [127, 0, 10, 4];
