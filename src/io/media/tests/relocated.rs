//! Ports that move from one media thread to another while their peers talk.
#![expect(
    clippy::disallowed_methods,
    reason = "real sockets, real threads: the talk lasts three seconds"
)]

use std::time::Instant;

use super::*;

/// Two workers on one address.
fn two_workers(host: u8) -> Workers {
    let mut config = config(host);
    config.workers = 2;
    Workers::start(&config, Now::ZERO).unwrap()
}

/// Sends one packet each 20 ms, `count` of them, to `to`.
fn talk(from: UdpSocket, to: SocketAddr, count: u16) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let mut due = Instant::now();
        for sequence in 0..count {
            let mut packet = [0x55; 172];
            packet[..12].copy_from_slice(&[0x80, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
            packet[2..4].copy_from_slice(&sequence.to_be_bytes());
            packet[4..8].copy_from_slice(&(160 * u32::from(sequence)).to_be_bytes());
            from.send_to(&packet, to).unwrap();
            due += Duration::from_millis(20);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    })
}

/// All that a peer hears until it is quiet for two seconds: sequence number and when.
fn listen(at: UdpSocket) -> std::thread::JoinHandle<Vec<(u16, Instant)>> {
    std::thread::spawn(move || {
        let (mut heard, mut packet) = (Vec::new(), [0; 1500]);
        while let Ok((len, _)) = at.recv_from(&mut packet) {
            if len == 172 {
                heard.push((u16::from_be_bytes([packet[2], packet[3]]), Instant::now()));
            }
        }
        heard
    })
}

fn bridge(workers: &mut Workers, worker: u8, port: PortId) {
    let bridge = BridgeId(9);
    let command = PortCommand::Bridge { port, bridge };
    workers.command(worker, command).unwrap();
}

#[test]
fn two_who_talk_move_to_another_thread_and_their_peers_see_one_stream() {
    let mut workers = two_workers(5);
    let peers = [peer(51), peer(52)];
    let first = workers.reserve(IpFamily::V4).unwrap();
    let second = workers.reserve_beside(first.worker, IpFamily::V4).unwrap();
    let mut ports = Vec::new();
    for (reserved, peer) in [first, second].iter().zip(&peers) {
        open(&mut workers, reserved, peer.local_addr().unwrap());
        bridge(&mut workers, reserved.worker, reserved.port);
        ports.push(reserved.port);
    }
    std::thread::sleep(Duration::from_millis(50));
    let listeners = peers
        .each_ref()
        .map(|peer| listen(peer.try_clone().unwrap()));
    let [a, b] = peers;
    let talkers = [talk(a, first.rtp, 150), talk(b, second.rtp, 150)];
    // There and back again, ten times in the middle of the talk.
    let mut at = first.worker;
    for _ in 0..10 {
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(200) {
            while let Some((worker, event)) = workers.poll_event() {
                assert!(
                    !matches!(
                        event,
                        PortEvent::Refused { .. } | PortEvent::Departed { .. }
                    ),
                    "{worker}: {event:?}"
                );
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let to = 1 - at;
        for port in &mut ports {
            *port = workers.relocate(at, *port, to).unwrap();
            bridge(&mut workers, to, *port);
        }
        at = to;
    }
    for talker in talkers {
        while !talker.is_finished() {
            while workers.poll_event().is_some() {}
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    for listener in listeners {
        while !listener.is_finished() {
            while workers.poll_event().is_some() {}
            std::thread::sleep(Duration::from_millis(2));
        }
        let heard = listener.join().unwrap();
        let gaps = heard.windows(2).map(|two| two[1].1 - two[0].1);
        println!(
            "{} packets of 150, largest gap {:.1} ms",
            heard.len(),
            gaps.max().unwrap().as_secs_f64() * 1e3
        );
        assert_eq!(heard.len(), 150, "none is lost, none is heard twice");
        for two in heard.windows(2) {
            assert_eq!(two[1].0.wrapping_sub(two[0].0), 1);
        }
    }
    for port in ports {
        workers.command(at, PortCommand::Close { port }).unwrap();
        let closed = |event: &PortEvent| matches!(event, PortEvent::Closed { .. });
        let PortEvent::Closed { port: told, stats } = event(&mut workers, closed) else {
            panic!()
        };
        assert_eq!(told, port);
        assert_eq!(
            (stats.received, stats.relayed),
            (150, 150),
            "counters go along"
        );
    }
    assert_eq!(workers.bound(), 0);
}

#[test]
fn a_port_that_is_closed_on_its_way_closes_where_it_arrives() {
    let mut workers = two_workers(6);
    let peer = peer(61);
    let reserved = workers.reserve(IpFamily::V4).unwrap();
    open(&mut workers, &reserved, peer.local_addr().unwrap());
    let to = 1 - reserved.worker;
    let port = workers
        .relocate(reserved.worker, reserved.port, to)
        .unwrap();
    workers.command(to, PortCommand::Close { port }).unwrap();
    let closed = |event: &PortEvent| matches!(event, PortEvent::Closed { .. });
    let PortEvent::Closed { port: told, .. } = event(&mut workers, closed) else {
        panic!()
    };
    assert_eq!((told, workers.bound()), (port, 0));
    assert!(is_as_closed(&peer, reserved.rtp));
}

#[test]
fn a_port_that_is_not_there_moves_nowhere_and_its_place_is_free_again() {
    let mut workers = two_workers(7);
    let name = workers.relocate(0, PortId(3), 1).unwrap();
    let refused = |event: &PortEvent| matches!(event, PortEvent::Refused { .. });
    let PortEvent::Refused { port, .. } = event(&mut workers, refused) else {
        panic!()
    };
    assert_eq!((port, workers.bound()), (name, 0));
}
