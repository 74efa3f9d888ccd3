//! Encrypted legs over real sockets, while somebody who can forge the peer's address floods them.

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
    let mut sender = Protector::new(key(10)).unwrap();
    let mut opens = Unprotector::new(key(21)).unwrap();
    b.set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let mut good = |sequence: u16| {
        let (mut bytes, len) = packet(sequence);
        let len = sender.rtp(&mut bytes, len).unwrap();
        a.send_to(&bytes[..len], first.rtp).unwrap();
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
    // A datagram every 100 microseconds for two seconds: each hundredth is good.
    let (wanted, start) = (100_u32, now());
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
    let mut forged = 0_u32;
    let mut due = start;
    for n in 0..wanted * 200 {
        // Who is held up makes up for nothing: that would be a burst.
        due = (due + Duration::from_micros(100)).max(now());
        while let Some(left) = due.checked_duration_since(now()).filter(|it| !it.is_zero()) {
            rest(left);
        }
        if n % 200 == 0 {
            good(sequence);
            sequence += 1;
        } else {
            // Ahead of the stream, so that it is no replay.
            let (bytes, len) = packet(sequence + 5);
            a.send_to(&bytes[..len + 10], first.rtp).unwrap();
            forged += 1;
        }
    }
    let took = start.elapsed();
    assert_eq!(listener.join().unwrap(), wanted, "good packets heard");
    let close = PortCommand::Close { port: first.port };
    workers.command(first.worker, close).unwrap();
    let closed = |event: &PortEvent| matches!(event, PortEvent::Closed { .. });
    let PortEvent::Closed { stats, .. } = event(&mut workers, closed) else {
        panic!()
    };
    let rate = f64::from(forged) / took.as_secs_f64();
    eprintln!(
        "{forged} forged in {took:?}, {rate:.0} a second, {} counted",
        stats.unauthentic
    );
    assert!(stats.unauthentic * 100 >= forged * 99, "{stats:?}");
    assert_eq!((stats.replayed, stats.lost), (0, 0));
}
