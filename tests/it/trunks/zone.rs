//! A name server of one text, on loopback, by UDP and TCP (RFC 1035): enough to answer a resolver, and to
//! fail it in every way that servers do.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;

/// How the server behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// As the zone says.
    Answers,
    /// Not at all.
    Silent,
    /// With bytes that are no message.
    Garbage,
    /// By UDP with nothing but "truncated": the answer is to be had by TCP.
    Truncates,
    /// SERVFAIL.
    Fails,
}

/// A running name server; dropped, it ends.
pub(super) struct Zone {
    pub(super) address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    /// Lines of `name TTL TYPE data…`.
    records: String,
    mood: Mood,
    asked: Vec<String>,
}

impl Zone {
    /// Serves lines of `name TTL TYPE data…`.
    pub(super) fn serve(records: &str) -> Self {
        // One port for both, which the system finds free for UDP.
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
                break (udp, tcp);
            }
        };
        let address = udp.local_addr().unwrap();
        udp.set_read_timeout(Some(LOOK)).unwrap();
        tcp.set_nonblocking(true).unwrap();
        let shared = Arc::new(Mutex::new(Shared {
            records: records.to_owned(),
            mood: Mood::Answers,
            asked: Vec::new(),
        }));
        let stop = Arc::new(AtomicBool::new(false));
        let threads = {
            let (shared, stop) = (shared.clone(), stop.clone());
            let by_udp = std::thread::spawn(move || datagrams(&udp, &tcp, &shared, &stop));
            vec![by_udp]
        };
        Self {
            address,
            shared,
            stop,
            threads,
        }
    }

    /// Other records, from now on.
    pub(super) fn becomes(&self, records: &str) {
        records.clone_into(&mut self.shared.lock().records);
    }

    pub(super) fn is(&self, mood: Mood) {
        self.shared.lock().mood = mood;
    }

    /// What was asked since this was last looked at: `NAPTR acme.example`.
    pub(super) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.lock().asked)
    }
}

impl Drop for Zone {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn datagrams(udp: &UdpSocket, tcp: &TcpListener, shared: &Mutex<Shared>, stop: &AtomicBool) {
    let mut bytes = [0; 4_096];
    while !stop.load(Ordering::Relaxed) {
        if let Ok((stream, _)) = tcp.accept() {
            connection(stream, shared);
        }
        let Ok((len, from)) = udp.recv_from(&mut bytes) else {
            continue;
        };
        let mut shared = shared.lock();
        let answer = shared.answer(&bytes[..len], false);
        if let Some(answer) = answer {
            let _ = udp.send_to(&answer, from);
        }
    }
}

/// One question by TCP (RFC 1035 §4.2.2).
fn connection(mut stream: TcpStream, shared: &Mutex<Shared>) {
    stream.set_nonblocking(false).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    let mut length = [0; 2];
    if stream.read_exact(&mut length).is_err() {
        return;
    }
    let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
    if stream.read_exact(&mut bytes).is_err() {
        return;
    }
    if let Some(answer) = shared.lock().answer(&bytes, true) {
        let length = u16::try_from(answer.len()).unwrap();
        let _ = stream.write_all(&length.to_be_bytes());
        let _ = stream.write_all(&answer);
    }
}

impl Shared {
    fn answer(&mut self, query: &[u8], by_tcp: bool) -> Option<Vec<u8>> {
        let (name, kind, end) = question(query)?;
        let word = TYPES.iter().find(|(_, number)| *number == kind)?.0;
        let way = if by_tcp { "TCP " } else { "" };
        self.asked.push(format!("{way}{word} {name}"));
        let (rcode, truncated) = match self.mood {
            Mood::Answers => (0, false),
            Mood::Silent => return None,
            Mood::Garbage => return Some(vec![0xff; 40]),
            Mood::Truncates => (0, !by_tcp),
            Mood::Fails => (2, false),
        };
        let lines = self.records.lines().map(str::trim);
        let of_name: Vec<Vec<&str>> = lines
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .filter(|words| words.first() == Some(&name.as_str()))
            .collect();
        let records: Vec<Vec<u8>> = of_name
            .iter()
            .filter(|words| words.get(2) == Some(&word) && rcode == 0 && !truncated)
            .map(|words| record(words, kind))
            .collect();
        let nothing = of_name.is_empty() && rcode == 0;
        // Recursion desired is copied, recursion is available.
        let flags = [
            0x81 | (u8::from(truncated) << 1),
            0x80 | if nothing { 3 } else { rcode },
        ];
        let soa = records.is_empty() && rcode == 0 && !truncated;
        let mut out = query[..2].to_vec();
        out.extend(flags);
        for count in [1, records.len(), usize::from(soa), 0] {
            out.extend(u16::try_from(count).unwrap().to_be_bytes());
        }
        out.extend(&query[12..end]);
        records.iter().for_each(|it| out.extend(it));
        if soa {
            // That there is nothing holds for as long as the SOA's last number says (RFC 2308 §5).
            let mut data = [labels("ns.example"), labels("host.example")].concat();
            for number in [1, 60, 60, 60, NOTHING_SECS] {
                data.extend(number.to_be_bytes());
            }
            out.extend(labels("example"));
            out.extend(tail(6, NOTHING_SECS, &data));
        }
        Some(out)
    }
}

/// The name, type and end of the only question.
fn question(query: &[u8]) -> Option<(String, u16, usize)> {
    let (mut at, mut name) = (12, Vec::new());
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        let label = query.get(at..at + length)?;
        name.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        at += length;
    }
    let kind = u16::from_be_bytes([*query.get(at)?, *query.get(at + 1)?]);
    Some((name.join("."), kind, at + 4))
}

fn record(words: &[&str], kind: u16) -> Vec<u8> {
    let number = |at: usize| words[at].parse::<u16>().unwrap().to_be_bytes();
    let text = |at: usize| {
        let text = words[at].trim_matches('"').as_bytes();
        [&[u8::try_from(text.len()).unwrap()], text].concat()
    };
    let data = match kind {
        1 => words[3].parse::<Ipv4Addr>().unwrap().octets().to_vec(),
        28 => words[3].parse::<Ipv6Addr>().unwrap().octets().to_vec(),
        33 => [&number(3)[..], &number(4), &number(5), &labels(words[6])].concat(),
        35 => [
            &number(3)[..],
            &number(4),
            &text(5),
            &text(6),
            // No regular expression.
            &[0],
            &labels(words[7]),
        ]
        .concat(),
        _ => Vec::new(),
    };
    // The name is that of the question.
    [vec![0xc0, 12], tail(kind, words[1].parse().unwrap(), &data)].concat()
}

/// Type, class, TTL and data.
fn tail(kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap();
    [
        &kind.to_be_bytes()[..],
        &[0, 1],
        &ttl.to_be_bytes(),
        &length.to_be_bytes(),
        data,
    ]
    .concat()
}

fn labels(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        out.push(u8::try_from(label.len()).unwrap());
        out.extend(label.as_bytes());
    }
    out.push(0);
    out
}

const TYPES: [(&str, u16); 4] = [("A", 1), ("AAAA", 28), ("SRV", 33), ("NAPTR", 35)];
/// How long a name is not there.
pub(super) const NOTHING_SECS: u32 = 20;
const LOOK: Duration = Duration::from_millis(5);
