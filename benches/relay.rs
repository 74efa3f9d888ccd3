//! What a relayed packet costs, receive plus send, beside a bare loop over the same sockets.
//!
//! `cargo bench --bench relay`: a hundred bridges of two, 50 packets a second each way, on loopback;
//! media thread and bare loop take turns at the same pairs of ports, five times. Processor time of
//! the thread as the kernel counts it, not wall time, so that a busy machine changes the figures
//! little. The goal is a ratio of at most 1.5. `TANDEM_BENCH_RECORD=1` keeps the figures in
//! `benches/results/relay.json`; `-- hold 10` only relays, for ten seconds, to be looked at.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program that measures and prints"
)]

use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clock::Now;
use media::Codec;
use media::bridge::BridgeId;
use media::port::{PortPlan, Remote};
use media::worker::{IpFamily, MediaPlane, PortCommand, WorkerConfig};
use rustix::event::epoll;
use socket2::SockRef;
use tandem::io::media::{MediaConfig, Workers};

const STREAMS: usize = 200;
const ROUNDS: usize = 5;
const FRAMES: u32 = 150;

/// Where the relayed ports are: `STREAMS` pairs.
const SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 6, 2);
const FIRST_PORT: u16 = 20_000;

fn main() {
    let peers: Vec<UdpSocket> = (0..STREAMS)
        .map(|_| {
            let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 6, 1), 0)).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        })
        .collect();
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("hold") {
        let seconds: u32 = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(10);
        let cost = worker(&peers, 50 * seconds);
        println!("{} packets relayed", cost.packets);
        return;
    }
    let before = load();
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let round = Round {
            bare: bare(&peers),
            worker: worker(&peers, FRAMES),
        };
        println!("{round}");
        rounds.push(round);
    }
    report(&rounds, &before);
}

/// One run's packets, the processor time they took, and how often the thread went to sleep.
struct Cost {
    packets: u64,
    nanos: u64,
    sleeps: u64,
}

impl Cost {
    fn each(&self) -> f64 {
        self.nanos as f64 / self.packets.max(1) as f64
    }

    fn batch(&self) -> f64 {
        self.packets as f64 / self.sleeps.max(1) as f64
    }
}

struct Round {
    bare: Cost,
    worker: Cost,
}

impl Round {
    fn ratio(&self) -> f64 {
        self.worker.each() / self.bare.each()
    }
}

impl std::fmt::Display for Round {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { bare, worker } = self;
        write!(
            f,
            "bare loop {:.0} ns a packet ({} packets, {:.1} a wake-up), \
             media thread {:.0} ns ({} packets, {:.1} a wake-up): ratio {:.2}",
            bare.each(),
            bare.packets,
            bare.batch(),
            worker.each(),
            worker.packets,
            worker.batch(),
            self.ratio(),
        )
    }
}

/// Prints the medians, and keeps them if that is asked for.
fn report(rounds: &[Round], before: &str) {
    let ratio = median(rounds.iter().map(Round::ratio));
    let bare = median(rounds.iter().map(|round| round.bare.each()));
    let worker = median(rounds.iter().map(|round| round.worker.each()));
    let after = load();
    println!(
        "median ratio {ratio:.2} (goal 1.5): bare loop {bare:.0} ns, media thread {worker:.0} ns a \
         packet; load {before} before, {after} after"
    );
    if std::env::var_os("TANDEM_BENCH_RECORD").is_none() {
        return;
    }
    let each: Vec<String> = rounds
        .iter()
        .map(|round| format!("{:.3}", round.ratio()))
        .collect();
    let line = format!(
        "{{\"bench\":\"relay\",\"ratio\":{ratio:.3},\"goal\":1.5,\"ratios\":[{}],\
         \"bare_ns\":{bare:.0},\"worker_ns\":{worker:.0},\"streams\":{STREAMS},\
         \"packets\":{},\"load_before\":\"{before}\",\"load_after\":\"{after}\"}}\n",
        each.join(","),
        rounds.iter().map(|round| round.worker.packets).sum::<u64>(),
    );
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/results/relay.json");
    std::fs::write(path, line).unwrap();
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The load of the last minute, 5 and 15 minutes.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// Every peer sends a packet each 20 ms, a quarter of them each 5 ms, and drains what it hears.
/// Gives the packets that came back.
fn talk(peers: &[UdpSocket], to: &[SocketAddr], frames: Range<u32>) -> u64 {
    let (mut packet, mut heard, mut count) = ([0x55_u8; 172], [0; 1500], 0);
    packet[..2].copy_from_slice(&[0x80, 8]);
    for frame in frames {
        packet[2..4].copy_from_slice(&(frame as u16).to_be_bytes());
        packet[4..8].copy_from_slice(&(frame * 160).to_be_bytes());
        for quarter in 0..4 {
            for (n, peer) in peers.iter().enumerate().skip(quarter).step_by(4) {
                packet[8..12].copy_from_slice(&(n as u32).to_be_bytes());
                let _ = peer.send_to(&packet, to[n]);
            }
            pause(5);
            for peer in peers {
                // Reports (RTCP) come too.
                while let Ok((len, _)) = peer.recv_from(&mut heard) {
                    count += u64::from(len == packet.len());
                }
            }
        }
    }
    count
}

#[expect(clippy::disallowed_methods, reason = "the generator's pace")]
fn pause(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

/// Talks over the thread called `name`, and says what that cost it.
fn cost(name: &str, peers: &[UdpSocket], to: &[SocketAddr], frames: u32) -> Cost {
    // The first packets find their way, latch and warm up.
    talk(peers, to, 0..10);
    let task = task(name);
    let before = used(&task);
    let packets = talk(peers, to, 10..10 + frames);
    let after = used(&task);
    Cost {
        packets,
        nanos: after.0 - before.0,
        sleeps: after.1 - before.1,
    }
}

/// The directory of the thread of ours called `name`.
fn task(name: &str) -> String {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks
        .map(|task| task.unwrap().path().display().to_string())
        .find(|path| {
            std::fs::read_to_string(format!("{path}/comm")).is_ok_and(|comm| comm.trim() == name)
        })
        .unwrap()
}

/// The time in ns that a thread has been on a processor, and how often it gave it up to wait.
fn used(task: &str) -> (u64, u64) {
    let time = std::fs::read_to_string(format!("{task}/schedstat")).unwrap();
    let status = std::fs::read_to_string(format!("{task}/status")).unwrap();
    let sleeps = status
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    (
        time.split(' ').next().unwrap().parse().unwrap(),
        sleeps.unwrap().trim().parse().unwrap(),
    )
}

/// The packets through a media thread.
fn worker(peers: &[UdpSocket], frames: u32) -> Cost {
    let mut config = MediaConfig::at(SERVER.into(), 5);
    config.workers = 1;
    config.realtime = false;
    config.ports = FIRST_PORT..=FIRST_PORT + 2 * STREAMS as u16 - 1;
    config.worker = WorkerConfig {
        ports_max: STREAMS,
        ..Default::default()
    };
    let mut workers = Workers::start(&config, Now::ZERO).unwrap();
    let mut to = Vec::new();
    for (n, peer) in peers.iter().enumerate() {
        let reserved = workers.reserve(IpFamily::V4).unwrap();
        let mut plan = PortPlan::new(reserved.port, reserved.rtp, Codec::Pcma, n as u64);
        plan.remote = Some(Remote::of(peer.local_addr().unwrap(), true));
        let port = reserved.port;
        let bridge = BridgeId((n / 2) as u32);
        for command in [
            PortCommand::Open(Box::new(plan)),
            PortCommand::Bridge { port, bridge },
        ] {
            workers.command(0, command).unwrap();
        }
        to.push(reserved.rtp);
    }
    cost("media-0", peers, &to, frames)
}

/// The packets through a loop that does nothing but wait, receive and send.
fn bare(peers: &[UdpSocket]) -> Cost {
    let bind = |port| {
        let socket = UdpSocket::bind((SERVER, port)).unwrap();
        socket.set_nonblocking(true).unwrap();
        SockRef::from(&socket).set_tos_v4(46 << 2).unwrap();
        socket
    };
    let pairs = (FIRST_PORT..).step_by(2).take(STREAMS);
    let sockets: Vec<(UdpSocket, UdpSocket)> = pairs
        .map(|number| (bind(number), bind(number + 1)))
        .collect();
    let to: Vec<SocketAddr> = sockets
        .iter()
        .map(|(rtp, _)| rtp.local_addr().unwrap())
        .collect();
    let partners: Vec<SocketAddr> = (0..peers.len())
        .map(|n| peers[n ^ 1].local_addr().unwrap())
        .collect();
    let stop = Arc::new(AtomicBool::new(false));
    let thread = {
        let stop = Arc::clone(&stop);
        let run = move || bare_loop(&stop, &sockets, &partners);
        let name = "bare-loop".to_owned();
        std::thread::Builder::new().name(name).spawn(run).unwrap()
    };
    let cost = cost("bare-loop", peers, &to, FRAMES);
    stop.store(true, Ordering::Relaxed);
    thread.join().unwrap();
    cost
}

fn bare_loop(stop: &AtomicBool, sockets: &[(UdpSocket, UdpSocket)], partners: &[SocketAddr]) {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    for (n, (rtp, rtcp)) in sockets.iter().enumerate() {
        let data = epoll::EventData::new_u64(n as u64);
        epoll::add(&poll, rtp, data, epoll::EventFlags::IN).unwrap();
        // Nothing comes here: it only waits in the poll set, as a port's other socket does.
        epoll::add(&poll, rtcp, data, epoll::EventFlags::IN).unwrap();
    }
    let mut ready = [const { MaybeUninit::uninit() }; 256];
    let mut packet = [0; 1500];
    let moment = rustix::event::Timespec {
        tv_sec: 0,
        tv_nsec: 50_000_000,
    };
    while !stop.load(Ordering::Relaxed) {
        let Ok((ready, _)) = epoll::wait(&poll, &mut ready[..], Some(&moment)) else {
            continue;
        };
        for event in ready {
            let n = event.data.u64() as usize;
            if let Ok((len, _)) = sockets[n].0.recv_from(&mut packet) {
                let _ = sockets[n ^ 1].0.send_to(&packet[..len], partners[n]);
            }
        }
    }
}
