//! Real sockets on loopback, real threads.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use clock::Now;
use media::Codec;
use media::bridge::BridgeId;
use media::port::{PortId, PortPlan, Remote};
use media::worker::{IpFamily, MediaPlane, PortCommand, PortEvent, Reserved, WorkerConfig};

use super::{MediaConfig, Workers};

/// An address for each test, so that tests that run side by side do not share ports.
fn workers(host: u8) -> Workers {
    let address = IpAddr::V4(Ipv4Addr::new(127, 0, 8, host));
    let mut config = MediaConfig::at(address, 4_711);
    config.workers = 1;
    config.worker = WorkerConfig {
        ports_max: 8,
        ..WorkerConfig::default()
    };
    config.ports = 20_000..=20_031;
    config.realtime = false;
    Workers::start(&config, Now::ZERO).unwrap()
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
    // The sockets are closed: another program may have them.
    UdpSocket::bind(first.rtp).unwrap();
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
