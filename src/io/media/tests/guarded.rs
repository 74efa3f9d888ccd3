//! Encrypted legs over real sockets, while somebody who can forge the peer's address floods them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use media::port::{Keys, Security};
use media::rtp::{HEADER_LEN, Header, RtpTime, Sequence, write_header};
use media::srtp::{MasterKey, Protector, Suite, Unprotector};

use super::*;

const SUITE: Suite = Suite::AesCm128HmacSha1_80;

fn key(n: u8) -> MasterKey {
    let bytes = vec![n; SUITE.key_len() + SUITE.salt_len()];
    MasterKey::new(SUITE, &bytes).unwrap()
}

/// Opens a port whose peer has the keys `n` (theirs) and `n + 1` (ours).
fn open_secured(workers: &mut Workers, reserved: &Reserved, peer: SocketAddr, n: u8) {
    let mut plan = PortPlan::new(reserved.port, reserved.rtp, Codec::Pcma, 99 + u64::from(n));
    plan.remote = Some(Remote::of(peer, false));
    plan.security = Security::Srtp(Keys::new(key(n + 1), key(n)).unwrap());
    workers
        .command(reserved.worker, PortCommand::Open(Box::new(plan)))
        .unwrap();
    let bridge = PortCommand::Bridge {
        port: reserved.port,
        bridge: BridgeId(1),
    };
    workers.command(reserved.worker, bridge).unwrap();
}

fn packet(sequence: u16) -> ([u8; 300], usize) {
    let mut packet = [0x55; 300];
    let header = Header {
        marker: false,
        payload_type: 8,
        sequence: Sequence(sequence),
        time: RtpTime(160 * u32::from(sequence)),
        ssrc: 7,
    };
    write_header(&header, &mut packet).unwrap();
    (packet, HEADER_LEN + 160)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test that paces its packets reads the clock"
)]
fn now() -> Instant {
    Instant::now()
}

fn rest(span: Duration) {
    let span = rustix::event::Timespec {
        tv_sec: 0,
        tv_nsec: span.subsec_nanos().into(),
    };
    let _ = rustix::thread::nanosleep(&span);
}

/// Sends packets with a wrong tag, `RATE` a second, until it is told to stop: how many, and over how long.
///
/// Who was held up makes up for it: as many have left as were due, whatever else the machine does. Some at a time,
/// so that the ports' thread, which is woken by the first of them, takes them as they come.
fn flood(socket: &UdpSocket, start: Instant, stop: &AtomicBool) -> (u32, Duration) {
    // Ahead of the stream, so that they are no replays.
    let forged: Vec<_> = (0..64).map(|n| packet(AHEAD + n)).collect();
    let mut sent = 0_u32;
    loop {
        let passed = start.elapsed();
        let due = (passed.as_micros() * u128::from(RATE)).div_ceil(1_000_000) as u32;
        for _ in 0..due.saturating_sub(sent).min(TOGETHER) {
            let (bytes, len) = &forged[sent as usize % forged.len()];
            // The tag of ten bytes that follows is not theirs.
            socket.send(&bytes[..len + 10]).unwrap();
            sent += 1;
        }
        if sent >= due && stop.load(Ordering::Relaxed) {
            return (sent, passed);
        }
        rest(Duration::from_millis(1));
    }
}

/// Forged packets a second.
const RATE: u32 = 10_000;
/// The most that leave together: a third of what a socket holds.
const TOGETHER: u32 = 64;
/// Where forged sequence numbers begin: the good ones stay below.
const AHEAD: u16 = 3_000;

/// Ten thousand packets a second with a wrong tag come from the peer's own address, among fifty good ones.
#[test]
fn a_flood_of_wrong_tags_costs_the_good_sound_nothing() {
    // As a server runs it: starved of a processor, the system's buffer would overflow.
    let mut config = config(6);
    config.realtime = true;
    let mut workers = Workers::start(&config, Now::ZERO).unwrap();
    let [a, b] = [peer(61), peer(62)];
    let first = workers.reserve(IpFamily::V4).unwrap();
    let second = workers.reserve_beside(first.worker, IpFamily::V4).unwrap();
    open_secured(&mut workers, &first, a.local_addr().unwrap(), 10);
    open_secured(&mut workers, &second, b.local_addr().unwrap(), 20);
    a.connect(first.rtp).unwrap();
    let mut sender = Protector::new(key(10)).unwrap();
    let mut opens = Unprotector::new(key(21)).unwrap();
    b.set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let mut good = |sequence: u16| {
        let (mut bytes, len) = packet(sequence);
        let len = sender.rtp(&mut bytes, len).unwrap();
        // A port that is not open yet may have refused the one before.
        let _ = a.send(&bytes[..len]);
    };
    // Until the ports are open packets fall on the floor.
    let mut heard = [0; 1500];
    let mut sequence = 1_000;
    loop {
        good(sequence);
        sequence += 1;
        if let Ok(len) = b.recv(&mut heard) {
            opens.rtp(&mut heard[..len]).unwrap();
            break;
        }
        assert!(sequence < 1_050, "nothing came through");
    }
    let wanted = 100_u32;
    b.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let listener = thread::spawn(move || {
        let mut count = 0_u32;
        while count < wanted
            && let Ok(len) = b.recv(&mut heard)
        {
            assert!(opens.rtp(&mut heard[..len]).is_ok());
            count += 1;
        }
        count
    });
    let (stop, start) = (AtomicBool::new(false), now());
    let (forged, took) = thread::scope(|scope| {
        let flood = scope.spawn(|| flood(&a, start, &stop));
        for n in 0..wanted {
            good(sequence);
            sequence += 1;
            let due = start + FRAME * (n + 1);
            rest(due.saturating_duration_since(now()));
        }
        stop.store(true, Ordering::Relaxed);
        flood.join().unwrap()
    });
    assert_eq!(listener.join().unwrap(), wanted, "good packets heard");
    let close = PortCommand::Close { port: first.port };
    workers.command(first.worker, close).unwrap();
    let closed = |event: &PortEvent| matches!(event, PortEvent::Closed { .. });
    let PortEvent::Closed { stats, .. } = event(&mut workers, closed) else {
        panic!()
    };
    eprintln!("{forged} forged in {took:?}, {} counted", stats.unauthentic);
    assert!(took >= FRAME * wanted, "{took:?}");
    let offered = took.as_millis() as u32 * (RATE / 1_000);
    assert!(forged >= offered, "{forged} of {offered} in {took:?}");
    assert!(stats.unauthentic * 100 >= forged * 99, "{stats:?}");
    assert_eq!((stats.replayed, stats.lost), (0, 0));
}

/// What a good packet lasts.
const FRAME: Duration = Duration::from_millis(20);
