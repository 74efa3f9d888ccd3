//! What a relayed packet costs, receive plus send, beside a bare loop over sockets of the same kind.
//!
//! `cargo bench --bench relay`: a hundred bridges of two, 50 packets a second each way, on loopback;
//! media thread and bare loop take turns, three times. Processor time of the thread, not wall time,
//! so that a busy machine changes the figures little. The goal is a ratio of at most 1.5.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program that measures and prints"
)]

use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

use clock::Now;
use media::Codec;
use media::bridge::BridgeId;
use media::port::{PortPlan, Remote};
use media::worker::{IpFamily, MediaPlane, PortCommand, WorkerConfig};
use rustix::event::epoll;
use tandem::io::media::{MediaConfig, Workers};

const STREAMS: usize = 200;
const ROUNDS: usize = 3;
const FRAMES: u32 = 150;

/// One run's packets and the processor time they took.
struct Cost {
    packets: u64,
    cpu: Duration,
}

impl Cost {
    fn nanos(&self) -> f64 {
        self.cpu.as_nanos() as f64 / self.packets.max(1) as f64
    }
}

fn main() {
    let peers: Vec<UdpSocket> = (0..STREAMS)
        .map(|_| {
            let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 6, 1), 0)).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        })
        .collect();
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let bare = bare(&peers);
        let worker = worker(&peers);
        let ratio = worker.nanos() / bare.nanos();
        println!(
            "bare loop {:.0} ns a packet of {}, media thread {:.0} ns of {}: ratio {ratio:.2}",
            bare.nanos(),
            bare.packets,
            worker.nanos(),
            worker.packets,
        );
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!(
        "median ratio {:.2} (goal 1.5); load {}",
        ratios[ROUNDS / 2],
        load.trim()
    );
}

/// Every peer sends a packet each 20 ms, a quarter of them each 5 ms, and drains what it hears.
/// Gives the packets that came back.
fn talk(peers: &[UdpSocket], to: &[SocketAddr], frames: u32) -> u64 {
    let (mut packet, mut heard, mut count) = ([0x55_u8; 172], [0; 1500], 0);
    packet[..2].copy_from_slice(&[0x80, 8]);
    for frame in 0..frames {
        packet[2..4].copy_from_slice(&(frame as u16).to_be_bytes());
        packet[4..8].copy_from_slice(&(frame * 160).to_be_bytes());
        for quarter in 0..4 {
            for (n, peer) in peers.iter().enumerate().skip(quarter).step_by(4) {
                packet[8..12].copy_from_slice(&(n as u32).to_be_bytes());
                let _ = peer.send_to(&packet, to[n]);
            }
            #[expect(clippy::disallowed_methods, reason = "the generator's pace")]
            std::thread::sleep(Duration::from_millis(5));
            for peer in peers {
                while peer.recv_from(&mut heard).is_ok() {
                    count += 1;
                }
            }
        }
    }
    count
}

/// The packets through a media thread.
fn worker(peers: &[UdpSocket]) -> Cost {
    let mut config = MediaConfig::at(Ipv4Addr::new(127, 0, 6, 2).into(), 5);
    config.workers = 1;
    config.realtime = false;
    let quiet = Duration::from_secs(3_600);
    config.worker = WorkerConfig {
        ports_max: STREAMS,
        stats_every: quiet,
        ..Default::default()
    };
    let mut workers = Workers::start(&config, Now::ZERO).unwrap();
    let mut to = Vec::new();
    for (n, peer) in peers.iter().enumerate() {
        let reserved = workers.reserve(IpFamily::V4).unwrap();
        let mut plan = PortPlan::new(reserved.port, reserved.rtp, Codec::Pcma, n as u64);
        plan.remote = Some(Remote::of(peer.local_addr().unwrap(), true));
        workers
            .command(0, PortCommand::Open(Box::new(plan)))
            .unwrap();
        let bridge = BridgeId((n / 2) as u32);
        workers
            .command(
                0,
                PortCommand::Bridge {
                    port: reserved.port,
                    bridge,
                },
            )
            .unwrap();
        to.push(reserved.rtp);
    }
    let cpu = |workers: &mut Workers| {
        #[expect(
            clippy::disallowed_methods,
            reason = "the thread tells its time each 100 ms"
        )]
        std::thread::sleep(Duration::from_millis(250));
        while workers.poll_event().is_some() {}
        workers
            .stats()
            .map(|(stats, _)| stats.cpu)
            .sum::<Duration>()
    };
    talk(peers, &to, 5);
    let before = cpu(&mut workers);
    let packets = talk(peers, &to, FRAMES);
    let after = cpu(&mut workers);
    Cost {
        packets,
        cpu: after - before,
    }
}

/// The packets through a loop that does nothing but wait, receive and send.
fn bare(peers: &[UdpSocket]) -> Cost {
    let sockets: Vec<UdpSocket> = peers
        .iter()
        .map(|_| {
            let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 6, 3), 0)).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        })
        .collect();
    let to: Vec<SocketAddr> = sockets
        .iter()
        .map(|socket| socket.local_addr().unwrap())
        .collect();
    let partners: Vec<SocketAddr> = (0..peers.len())
        .map(|n| peers[n ^ 1].local_addr().unwrap())
        .collect();
    let (stop, id) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicI32::new(0)),
    );
    let thread = {
        let (stop, thread_id) = (Arc::clone(&stop), Arc::clone(&id));
        std::thread::spawn(move || {
            thread_id.store(
                rustix::thread::gettid().as_raw_nonzero().get(),
                Ordering::Relaxed,
            );
            let poll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
            for (n, socket) in sockets.iter().enumerate() {
                let data = epoll::EventData::new_u64(n as u64);
                epoll::add(&poll, socket, data, epoll::EventFlags::IN).unwrap();
            }
            let mut ready = [const { MaybeUninit::uninit() }; 256];
            let mut packet = [0; 1500];
            let tick = rustix::event::Timespec {
                tv_sec: 0,
                tv_nsec: 50_000_000,
            };
            while !stop.load(Ordering::Relaxed) {
                let Ok((ready, _)) = epoll::wait(&poll, &mut ready[..], Some(&tick)) else {
                    continue;
                };
                for event in ready {
                    let n = event.data.u64() as usize;
                    if let Ok((len, _)) = sockets[n].recv_from(&mut packet) {
                        let _ = sockets[n ^ 1].send_to(&packet[..len], partners[n]);
                    }
                }
            }
        })
    };
    talk(peers, &to, 5);
    let before = on_processor(&id);
    let packets = talk(peers, &to, FRAMES);
    let after = on_processor(&id);
    stop.store(true, Ordering::Relaxed);
    thread.join().unwrap();
    Cost {
        packets,
        cpu: after - before,
    }
}

/// The time a thread of ours has been on a processor, as the kernel counts it.
fn on_processor(id: &AtomicI32) -> Duration {
    let path = format!("/proc/self/task/{}/schedstat", id.load(Ordering::Relaxed));
    let text = std::fs::read_to_string(path).unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}
