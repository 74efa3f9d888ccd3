//! One media thread's turns, taken by the test: no thread, real sockets and a real timer.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use media::Codec;
use media::bridge::BridgeId;
use media::port::{Latch, PortPlan, Remote};
use media::worker::WorkerConfig;
use rtrb::RingBuffer;

use super::super::range::PortRange;
use super::*;

const PORTS: usize = 8;

/// A thread that has not been started, and control's end of its ring.
fn idle() -> (MediaThread, Producer<Order>, Consumer<Told>) {
    let now = Now::ZERO;
    let config = WorkerConfig {
        ports_max: PORTS,
        ..WorkerConfig::default()
    };
    let (orders, taken) = RingBuffer::new(64);
    let (telling, told) = RingBuffer::new(256);
    let wake = rustix::event::eventfd(0, rustix::event::EventfdFlags::NONBLOCK).unwrap();
    let plumbing = Plumbing {
        worker: Worker::new(config, now),
        ports_max: PORTS,
        door: None,
        clock: MonotonicClock::reading(now),
        wake: Arc::new(wake),
        stop: Arc::new(AtomicBool::new(false)),
        orders: taken,
        told: telling,
    };
    (MediaThread::new(plumbing).unwrap(), orders, told)
}

fn turn(thread: &mut MediaThread) {
    thread.turn(&mut [const { MaybeUninit::uninit() }; BATCH]);
}

fn wait(ms: u64) {
    let until = nanos(clock_gettime(ClockId::Monotonic)) + ms * 1_000_000;
    clock_nanosleep_absolute(ClockId::Monotonic, &timespec(until)).unwrap();
}

/// A pair of peers for each two ports of the thread, all bridged; and where to send.
fn relaying(host: u8) -> (MediaThread, Vec<(UdpSocket, SocketAddr)>) {
    relaying_with(host, Latch::default())
}

fn relaying_with(host: u8, latch: Latch) -> (MediaThread, Vec<(UdpSocket, SocketAddr)>) {
    let (mut thread, mut orders, _) = idle();
    let address = Ipv4Addr::new(127, 0, 10, host).into();
    let mut range = PortRange::new(address, 20_000..=20_099, 1);
    let mut peers = Vec::new();
    for n in 0..PORTS as u32 {
        let port = PortId(n);
        let sockets = range.take(port).unwrap();
        let local = sockets.of(Lane::Rtp).local_addr().unwrap();
        let peer = UdpSocket::bind((Ipv4Addr::new(127, 0, 11, host), 0)).unwrap();
        peer.set_nonblocking(true).unwrap();
        let mut plan = PortPlan::new(port, local, Codec::Pcma, n.into());
        plan.remote = Some(Remote::of(peer.local_addr().unwrap(), false));
        plan.latch = latch;
        let bridge = BridgeId(n / 2);
        let opened = PortCommand::Open(Box::new(plan));
        for (command, sockets) in [
            (opened, Some(sockets)),
            (PortCommand::Bridge { port, bridge }, None),
        ] {
            orders.push(Order::Command { command, sockets }).unwrap();
        }
        peers.push((peer, local));
    }
    while thread.worker.stats().ports < PORTS {
        turn(&mut thread);
    }
    (thread, peers)
}

fn say(from: &UdpSocket, to: SocketAddr, sequence: u16) {
    let mut packet = [0x55; 172];
    packet[..12].copy_from_slice(&[0x80, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
    packet[2..4].copy_from_slice(&sequence.to_be_bytes());
    packet[4..8].copy_from_slice(&(160 * u32::from(sequence)).to_be_bytes());
    from.send_to(&packet, to).unwrap();
}

fn hears(peer: &UdpSocket) -> bool {
    peer.recv_from(&mut [0; 1500]).is_ok()
}

/// Turns until a tick has been made.
fn tick(thread: &mut MediaThread) {
    let ticks = thread.worker.stats().ticks;
    while thread.worker.stats().ticks == ticks {
        turn(thread);
    }
}

#[test]
fn a_tick_that_comes_late_is_counted_and_what_it_left_out_is_not_made_up() {
    let (mut thread, _orders, _told) = idle();
    tick(&mut thread);
    let (overruns, before) = (thread.stats.overruns, thread.worker.stats());
    wait(60);
    tick(&mut thread);
    assert_eq!(thread.stats.overruns, overruns + 1);
    let after = thread.worker.stats();
    assert!(after.ticks <= before.ticks + 4, "a frame at most");
    assert!(after.ticks_missed >= before.ticks_missed + 7, "{after:?}");
}

#[test]
fn under_load_the_packets_of_a_millisecond_are_taken_in_one_wake_up() {
    let (mut thread, peers) = relaying(1);
    thread.coalesces = true;
    turn(&mut thread);
    for (peer, to) in &peers {
        say(peer, *to, 1);
    }
    let due = thread.wakes_at.min(thread.worker.next_tick());
    turn(&mut thread);
    assert!(thread.clock.now() >= due, "it slept");
    assert_eq!((thread.stats.received, thread.stats.sent), (8, 8));
    while thread.stats.coalesced == 0 {
        turn(&mut thread);
    }
    assert!(peers.iter().all(|(peer, _)| hears(peer)));
}

#[test]
fn what_a_full_batch_leaves_behind_is_taken_without_a_sleep() {
    let (mut thread, peers) = relaying(4);
    thread.coalesces = true;
    turn(&mut thread);
    for (peer, to) in &peers {
        say(peer, *to, 1);
    }
    thread.turn(&mut [const { MaybeUninit::uninit() }; PORTS / 2]);
    assert!(thread.stats.received < PORTS as u64);
    assert!(thread.wakes_at <= thread.clock.now());
    turn(&mut thread);
    assert_eq!(thread.stats.received, PORTS as u64);
}

#[test]
fn a_port_that_has_locked_lets_the_system_keep_strangers_away_until_it_is_readdressed() {
    let (mut thread, mut peers) = relaying(2);
    say(&peers[0].0, peers[0].1, 1);
    while thread.stats.sent == 0 {
        turn(&mut thread);
    }
    tick(&mut thread);
    let first = peers[0].0.local_addr().unwrap();
    let tied = |thread: &MediaThread| {
        let sockets = thread.sockets.first().and_then(Option::as_ref);
        sockets.unwrap().of(Lane::Rtp).peer_addr().ok()
    };
    assert_eq!(tied(&thread), Some(first));

    // A stranger, from the same address and from another.
    let received = thread.stats.received;
    for host in [Ipv4Addr::new(127, 0, 11, 2), Ipv4Addr::new(127, 0, 12, 2)] {
        let stranger = UdpSocket::bind((host, 0)).unwrap();
        say(&stranger, peers[0].1, 2);
    }
    tick(&mut thread);
    assert_eq!(thread.stats.received, received);

    // Its own peer is heard as before, and is spoken to.
    say(&peers[0].0, peers[0].1, 3);
    tick(&mut thread);
    assert_eq!(thread.stats.received, received + 1);
    say(&peers[1].0, peers[1].1, 1);
    tick(&mut thread);
    assert!(hears(&peers[0].0) && hears(&peers[1].0));

    // A new address: whom the port locks to next is tied, the one before is a stranger.
    let moved = UdpSocket::bind((Ipv4Addr::new(127, 0, 11, 2), 0)).unwrap();
    moved.set_nonblocking(true).unwrap();
    let update = media::port::PortUpdate {
        port: PortId(0),
        remote: Some(Remote::of(moved.local_addr().unwrap(), false)),
        codec: Codec::Pcma,
        coding: media::codec::Coding::new(Codec::Pcma),
        payload_type: 8,
        keys_elsewhere: false,
        dtmf_payload_type: None,
        dtmf_clock_rate: 8_000,
        cn_payload_type: None,
        send: true,
        receive: true,
        rtcp_mux: false,
        security: media::port::Security::Plain,
        ptime_ms: 20,
    };
    let now = thread.clock.now();
    thread.command(now, PortCommand::Update(Box::new(update)));
    assert_eq!(tied(&thread), None);
    say(&moved, peers[0].1, 9);
    tick(&mut thread);
    tick(&mut thread);
    assert_eq!(tied(&thread), Some(moved.local_addr().unwrap()));
    peers[0].0 = moved;
    say(&peers[1].0, peers[1].1, 2);
    tick(&mut thread);
    assert!(hears(&peers[0].0), "sound goes to the new address");
}

/// Whether a stranger who sprays every port before and after each packet of a call is heard, and hears.
fn sprayed(host: u8, latch: Latch) -> (bool, bool) {
    let (mut thread, peers) = relaying_with(host, latch);
    let stranger = UdpSocket::bind((Ipv4Addr::new(127, 0, 12, host), 0)).unwrap();
    stranger.set_nonblocking(true).unwrap();
    for sequence in 1..=20 {
        for (_, to) in &peers {
            stranger.send_to(&STRANGE, to).unwrap();
        }
        tick(&mut thread);
        for (peer, to) in &peers {
            say(peer, *to, sequence);
        }
        tick(&mut thread);
    }
    let mut packet = [0; 1500];
    let mut injected = false;
    for (peer, _) in &peers {
        while let Ok((len, _)) = peer.recv_from(&mut packet) {
            injected |= packet[12..len].starts_with(b"strange");
        }
    }
    (injected, hears(&stranger))
}

#[test]
fn a_stranger_who_sprays_all_ports_is_not_heard_and_hears_nothing() {
    assert_eq!(sprayed(5, Latch::SdpAddressThenLock), (false, false));
    assert_eq!(sprayed(6, Latch::Fixed), (false, false));
    // The control: where any source may lock a port, whoever comes first has it.
    assert_eq!(sprayed(7, Latch::FirstPacketThenLock), (true, true));
}

const STRANGE: [u8; 19] = *b"\x80\x08\x00\x01\x00\x00\x00\xA0junkstrange";

#[test]
fn a_packet_after_an_unreachable_peer_came_back_is_not_lost() {
    let (mut thread, mut peers) = relaying(3);
    say(&peers[0].0, peers[0].1, 1);
    tick(&mut thread);
    tick(&mut thread);
    let gone = peers[0].0.local_addr().unwrap();
    drop(peers.remove(0));
    say(&peers[0].0, peers[0].1, 1);
    tick(&mut thread);
    let back = UdpSocket::bind(gone).unwrap();
    back.set_nonblocking(true).unwrap();
    say(&peers[0].0, peers[0].1, 2);
    tick(&mut thread);
    assert!(hears(&back), "the error belonged to the packet before");
    assert_eq!(thread.stats.send_errors, 0);
}
