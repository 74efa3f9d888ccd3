//! Five hundred calls a second that all want one trunk with room for fifty: datagrams that race through
//! the real sockets, counted where they come out.

use std::collections::HashSet;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sip::message::{Builder, Message, Method, Name};

use crate::lab::Lab;
use crate::process::wait_for;
use crate::server::{Server, Setup};

/// Calls that the trunk takes at once.
const CAP: usize = 50;
/// Calls offered, and how many a second.
const CALLS: u32 = 2_000;
const PACE: u32 = 500;

/// With the cap no more than it says, without it many more.
pub(crate) fn caps(lab: &Lab) -> Result<String> {
    let capped = race(lab, &format!("calls = {CAP}\n"))?;
    ensure!(
        (CAP..=CAP + 1).contains(&capped.most),
        "the cap is {CAP}, {capped:?}"
    );
    let open = race(lab, "")?;
    ensure!(open.most > 4 * CAP, "without a cap: {open:?}");
    Ok(format!(
        "{CALLS} calls at {PACE} a second: {} at once with a cap of {CAP} ({} reached the carrier), {} without",
        capped.most, capped.reached, open.most
    ))
}

/// What the carrier saw.
#[derive(Debug)]
struct Seen {
    /// Calls that reached it.
    reached: usize,
    /// The most at once.
    most: usize,
}

fn race(lab: &Lab, cap: &str) -> Result<Seen> {
    let far = SocketAddr::new(lab.ip(3), 5060);
    let mut setup = Setup::agents(&["alice"]);
    setup.config += &format!("[limits]\ncalls = 5000\n[trunks.far]\nsend_to = [\"{far}\"]\n{cap}");
    setup.plan += "entry did=\"+15559997\" flow=\"away\"\n\
                   flow \"away\" {\n  dial \"+33142685300\" trunk=\"far\" timeout=\"30s\"\n}\n";
    let carrier = Carrier::at(far)?;
    let server = Server::start(lab, &setup)?;
    let near = UdpSocket::bind(SocketAddr::new(lab.ip(2), 5060))?;
    offer(&near, server.sip())?;
    let _ = server.stop();
    carrier.seen()
}

/// Sends the INVITEs at their pace, whatever comes back, and acknowledges it.
fn offer(near: &UdpSocket, server: SocketAddr) -> Result<()> {
    near.set_nonblocking(true)?;
    let begin = Instant::now();
    let mut sent = 0;
    let mut buffer = [0; 65_536];
    while begin.elapsed() < Duration::from_millis(u64::from(CALLS / PACE) * 1_000 + 1_500) {
        while sent < CALLS && begin.elapsed() >= Duration::from_secs(1) * sent / PACE {
            near.send_to(invite(near.local_addr()?, server, sent).as_bytes(), server)?;
            sent += 1;
        }
        match near.recv_from(&mut buffer) {
            Ok((len, _)) => {
                let said = Message::parse(buffer[..len].to_vec().into());
                if let Ok(ack) = said.map_err(anyhow::Error::from).and_then(|it| ack(&it)) {
                    near.send_to(ack.as_bytes(), server)?;
                }
            }
            Err(_) => std::thread::sleep(Duration::from_micros(200)),
        }
    }
    Ok(())
}

fn invite(near: SocketAddr, server: SocketAddr, n: u32) -> String {
    let body = sdp(near);
    format!(
        "INVITE sip:+15559997@{server} SIP/2.0\r\nVia: SIP/2.0/UDP {near};branch=z9hG4bKr{n};rport\r\n\
         From: <sip:+1555{n:07}@{near}>;tag=r{n}\r\nTo: <sip:+15559997@{server}>\r\n\
         Call-ID: race-{n}@{near}\r\nCSeq: 1 INVITE\r\nContact: <sip:race@{near}>\r\nMax-Forwards: 70\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The ACK of a final response to an INVITE.
fn ack(said: &Message) -> Result<String> {
    let status = said.status().context("a request")?;
    let cseq = said.cseq()?;
    ensure!(status >= 200 && cseq.method == Method::Invite, "no final");
    let header = |name| said.header(name).context("a header is missing");
    let (uri, branch) = match said.contact() {
        Ok(Some(contact)) if status < 300 => (contact.uri.as_str().to_owned(), "ack"),
        _ => ("sip:+15559997@tandem".to_owned(), ""),
    };
    Ok(format!(
        "ACK {uri} SIP/2.0\r\nVia: {}{branch}\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {} ACK\r\n\
         Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
        header(Name::Via)?
            .split(';')
            .filter(|it| !it.starts_with("rport") && !it.starts_with("received"))
            .collect::<Vec<_>>()
            .join(";"),
        header(Name::From)?,
        header(Name::To)?,
        header(Name::CallId)?,
        cseq.number
    ))
}

fn sdp(at: SocketAddr) -> String {
    let ip = at.ip();
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\n"
    )
}

/// Answers every call at once, and counts those that stand.
struct Carrier {
    over: Arc<AtomicBool>,
    reached: Arc<AtomicUsize>,
    work: JoinHandle<Result<usize>>,
}

impl Carrier {
    fn at(address: SocketAddr) -> Result<Self> {
        let socket = UdpSocket::bind(address)?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let over = Arc::new(AtomicBool::new(false));
        let reached = Arc::new(AtomicUsize::new(0));
        let (ends, count) = (over.clone(), reached.clone());
        let work = std::thread::spawn(move || answer(&socket, address, &ends, &count));
        Ok(Self {
            over,
            reached,
            work,
        })
    }

    fn seen(self) -> Result<Seen> {
        // The server's BYEs are answered before it is gone; what it sent last is read here.
        let before = self.reached.load(Ordering::Relaxed);
        wait_for(
            Duration::from_secs(5),
            "the carrier to be left alone",
            || {
                std::thread::sleep(Duration::from_millis(300));
                (self.reached.load(Ordering::Relaxed) == before).then_some(())
            },
        )?;
        self.over.store(true, Ordering::Relaxed);
        let most = self
            .work
            .join()
            .map_err(|_| anyhow::anyhow!("the carrier fell"))??;
        Ok(Seen {
            reached: before,
            most,
        })
    }
}

/// The most calls that stood at once.
fn answer(
    socket: &UdpSocket,
    at: SocketAddr,
    over: &AtomicBool,
    reached: &AtomicUsize,
) -> Result<usize> {
    let mut buffer = [0; 65_536];
    let (mut known, mut standing, mut most) = (HashSet::new(), HashSet::new(), 0);
    while !over.load(Ordering::Relaxed) {
        let Ok((len, from)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        let Ok(asked) = Message::parse(buffer[..len].to_vec().into()) else {
            continue;
        };
        let call = asked.call_id().map(str::to_owned).unwrap_or_default();
        let reply = Builder::response(&asked, 200, "OK").to_tag("far");
        let reply = match asked.method() {
            Some(Method::Invite) => {
                if known.insert(call.clone()) {
                    standing.insert(call);
                    reached.fetch_add(1, Ordering::Relaxed);
                }
                most = most.max(standing.len());
                reply
                    .header(Name::Contact, &format!("<sip:far@{at}>"))
                    .body("application/sdp", sdp(at).into())
            }
            Some(Method::Bye) => {
                standing.remove(&call);
                reply
            }
            Some(Method::Options) => reply,
            _ => continue,
        };
        socket.send_to(reply.build()?.bytes(), from)?;
    }
    Ok(most)
}
