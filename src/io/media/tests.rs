//! Real sockets on loopback, real threads.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use clock::Now;
use media::Codec;
use media::bridge::BridgeId;
use media::port::{PlayId, Playback, PortId, PortPlan, Remote};
use media::source::Clip;
use media::worker::{IpFamily, MediaPlane, PortCommand, PortEvent, Reserved, WorkerConfig};

use super::thread::MonotonicClock;
use super::{MediaConfig, Workers, realtime};

/// An address for each test, so that tests that run side by side do not share ports.
fn config(host: u8) -> MediaConfig {
    let address = IpAddr::V4(Ipv4Addr::new(127, 0, 8, host));
    let mut config = MediaConfig::at(address, 4_711);
    config.workers = 1;
    config.worker = WorkerConfig {
        ports_max: 8,
        ..WorkerConfig::default()
    };
    config.ports = 20_000..=20_031;
    config.realtime = false;
    config
}

fn workers(host: u8) -> Workers {
    Workers::start(&config(host), Now::ZERO).unwrap()
}

/// A peer's socket; a read that finds nothing for two seconds fails the test.
fn peer(host: u8) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 9, host), 0)).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(2)))
        .unwrap();
    socket
}

fn open(workers: &mut Workers, reserved: &Reserved, peer: SocketAddr) {
    let mut plan = PortPlan::new(reserved.port, reserved.rtp, Codec::Pcma, 99);
    plan.remote = Some(Remote::of(peer, false));
    workers
        .command(reserved.worker, PortCommand::Open(Box::new(plan)))
        .unwrap();
}

/// Whether the system tells a peer that nobody is there.
fn is_as_closed(peer: &UdpSocket, at: SocketAddr) -> bool {
    peer.connect(at).unwrap();
    peer.send(b"x").unwrap();
    let told = std::iter::repeat_with(|| peer.recv(&mut [0; 8])).find_map(Result::err);
    told.is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
}

/// Waits for an event that `wanted` likes; others are dropped.
fn event(workers: &mut Workers, wanted: impl Fn(&PortEvent) -> bool) -> PortEvent {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    for _ in 0..1_000 {
        while let Some((_, event)) = workers.poll_event() {
            if wanted(&event) {
                return event;
            }
        }
        let mut fds = [PollFd::new(&workers.wake, PollFlags::IN)];
        poll(
            &mut fds,
            Some(&Timespec {
                tv_sec: 2,
                tv_nsec: 0,
            }),
        )
        .unwrap();
        let _ = rustix::io::read(&*workers.wake, &mut [0; 8]);
    }
    panic!("no such event");
}

#[test]
fn packets_pass_between_two_peers_and_closing_gives_every_port_back() {
    let mut workers = workers(1);
    let [a, b] = [peer(11), peer(12)];
    let first = workers.reserve(IpFamily::V4).unwrap();
    let second = workers.reserve_beside(first.worker, IpFamily::V4).unwrap();
    for (reserved, peer) in [(&first, &a), (&second, &b)] {
        assert_eq!(reserved.rtp.port() % 2, 0);
        open(&mut workers, reserved, peer.local_addr().unwrap());
        let bridge = PortCommand::Bridge {
            port: reserved.port,
            bridge: BridgeId(1),
        };
        workers.command(reserved.worker, bridge).unwrap();
    }
    // Until the commands are carried out packets fall on the floor: send until one comes through.
    b.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut heard = [0; 1500];
    let mut packet = [0x55; 172];
    packet[..12].copy_from_slice(&[0x80, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
    let mut sequence = 0_u16;
    let len = loop {
        packet[2..4].copy_from_slice(&sequence.to_be_bytes());
        packet[4..8].copy_from_slice(&(160 * u32::from(sequence)).to_be_bytes());
        a.send_to(&packet, first.rtp).unwrap();
        sequence += 1;
        match b.recv_from(&mut heard) {
            Ok((len, from)) => {
                assert_eq!(from, second.rtp);
                break len;
            }
            Err(_) => assert!(sequence < 200, "nothing came through"),
        }
    };
    assert_eq!((len, &heard[12..len]), (172, &packet[12..]));
    assert_ne!(
        heard[8..12],
        packet[8..12],
        "the listener sees our source, not the peer's"
    );

    for reserved in [&first, &second] {
        workers
            .command(
                reserved.worker,
                PortCommand::Close {
                    port: reserved.port,
                },
            )
            .unwrap();
        let closed = |event: &PortEvent| matches!(event, PortEvent::Closed { .. });
        let PortEvent::Closed { port, stats } = event(&mut workers, closed) else {
            panic!()
        };
        assert_eq!(port, reserved.port);
        assert!(stats.received + stats.sent > 0);
    }
    assert_eq!(workers.bound(), 0);
    assert!(is_as_closed(&a, first.rtp));
}

#[test]
fn a_port_that_was_never_opened_is_released_and_a_full_worker_says_so() {
    let mut workers = workers(2);
    let held: Vec<Reserved> = std::iter::from_fn(|| workers.reserve(IpFamily::V4).ok()).collect();
    assert_eq!(held.len(), 8);
    let full = workers.reserve(IpFamily::V4);
    assert_eq!(full, Err(media::worker::NoPort::WorkerFull));
    assert_eq!(
        workers.reserve(IpFamily::V6),
        Err(media::worker::NoPort::NoAddress)
    );
    for reserved in &held {
        workers.release(reserved.worker, reserved.port);
        workers.release(reserved.worker, reserved.port);
    }
    assert_eq!(workers.bound(), 0);
    let again = workers.reserve(IpFamily::V4).unwrap();
    assert!(
        held.iter().all(|reserved| reserved.port != again.port),
        "ids are not used twice soon"
    );
}

#[test]
fn a_close_is_taken_even_when_the_ring_is_full() {
    let mut workers = workers(3);
    let peer = peer(31);
    let reserved = workers.reserve(IpFamily::V4).unwrap();
    open(&mut workers, &reserved, peer.local_addr().unwrap());
    let nobody = || PortCommand::Untap {
        port: PortId(u32::MAX),
    };
    let mut refused = false;
    for _ in 0..1_000_000 {
        refused = workers.command(0, nobody()).is_err();
        if refused {
            break;
        }
    }
    assert!(refused);
    workers
        .command(
            0,
            PortCommand::Close {
                port: reserved.port,
            },
        )
        .unwrap();
    event(&mut workers, |event| {
        matches!(event, PortEvent::Closed { .. })
    });
    assert_eq!(workers.bound(), 0);
}

#[test]
fn at_real_time_priority_hold_music_keeps_its_pace() {
    let mut config = config(4);
    config.realtime = true;
    let mut workers = Workers::start(&config, Now::ZERO).unwrap();
    let granted = workers.stats().next().unwrap().1;
    if !granted.fifo {
        println!("skipped: this system does not permit SCHED_FIFO (want CAP_SYS_NICE)");
        return;
    }
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    assert_eq!(granted.processor.is_some(), processors > 1);
    let peer = peer(41);
    let reserved = workers.reserve(IpFamily::V4).unwrap();
    open(&mut workers, &reserved, peer.local_addr().unwrap());
    let tune = Arc::new(Clip::from_pcm8k((0..8_000).map(|n| n * 4).collect()).unwrap());
    let play = Playback::music(PlayId(1), vec![tune]);
    let port = reserved.port;
    workers
        .command(0, PortCommand::Play { port, play })
        .unwrap();
    // The listener too runs before all others, so that the gaps it sees are the sender's.
    let listener = std::thread::spawn(move || {
        realtime::claim(1);
        let clock = MonotonicClock::reading(Now::ZERO);
        let (mut heard, mut packet) = (Vec::new(), [0; 1500]);
        while heard.len() < 150 {
            let (len, _) = peer.recv_from(&mut packet).unwrap();
            if len == 172 {
                let sequence = u16::from_be_bytes([packet[2], packet[3]]);
                heard.push((clock.now(), sequence));
            }
        }
        heard
    });
    let heard = listener.join().unwrap();
    while workers.poll_event().is_some() {}
    let stats = workers.stats().next().unwrap().0;
    let gaps = heard.windows(2).map(|pair| pair[1].0.since(pair[0].0));
    let largest = gaps.max().unwrap();
    println!(
        "largest gap between two packets of music {:.1} ms; {} of {} ticks late, {} left out; load {}",
        largest.as_secs_f64() * 1e3,
        stats.overruns,
        stats.worker.ticks,
        stats.worker.ticks_missed,
        std::fs::read_to_string("/proc/loadavg").unwrap().trim(),
    );
    assert!(
        heard
            .windows(2)
            .all(|pair| pair[1].1 == pair[0].1.wrapping_add(1))
    );
    assert!(stats.worker.ticks > 500, "three seconds of ticks");
    assert!(largest < Duration::from_millis(250), "{largest:?}");
}

mod browsers;
mod guarded;
mod relocated;
