//! A third address sprays the whole port range while calls talk: what it injects, and what leaks to it.
//!
//! It begins before the calls, so that every port meets it before, while and after it finds its peer.
//! Its sound is as loud as PCMU can be and alternates in sign, which the talkers' never does: a
//! recording that holds a frame of that has been injected into.

use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lab::args::{Args, object};
use lab::figures::load;
use lab::talk::{STRANGE, Talk};
use serde_json::json;

use crate::peers;
use crate::relay::{grow, names};

/// The thread that sprays.
struct Sprayer {
    stop: Arc<AtomicBool>,
    /// Packets sent, and packets that came to it.
    thread: JoinHandle<(u64, u64)>,
}

impl Sprayer {
    fn start(victim: SocketAddr, rate: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || spray(victim, rate, &stopped));
        Self { stop, thread }
    }

    fn stop(self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

fn spray(victim: SocketAddr, rate: u64, stop: &AtomicBool) -> (u64, u64) {
    let socket = UdpSocket::bind(SocketAddr::from((STRANGER, 7_000))).unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut packet = [0_u8; 172];
    packet[0] = 0x80;
    packet[8..12].copy_from_slice(b"junk");
    for part in packet[12..].chunks_exact_mut(4) {
        part.copy_from_slice(&STRANGE);
    }
    let (mut sent, mut leaked, mut heard) = (0_u64, 0, [0; 1_500]);
    let begun = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let due = begun.elapsed().as_millis() as u64 * rate / 1_000;
        while sent < due {
            // Every even port in turn; numbers and times go on as a stream's would.
            let (port, round) = (sent % PORTS, (sent / PORTS) as u32);
            packet[2..4].copy_from_slice(&(round as u16).to_be_bytes());
            packet[4..8].copy_from_slice(&(round * 160).to_be_bytes());
            let to = SocketAddr::new(victim.ip(), FIRST + 2 * port as u16);
            let _ = socket.send_to(&packet, to);
            sent += 1;
        }
        while let Ok((length, _)) = socket.recv_from(&mut heard) {
            leaked += u64::from(length > 12);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    (sent, leaked)
}

/// What the spray did to each server.
pub(crate) fn run(args: &Args) {
    let calls = args.number("calls", 200.0) as usize;
    let rate = args.number("spray", 20_000.0) as u64;
    let lasts = Duration::from_secs_f64(args.number("seconds", 10.0));
    let before = load();
    let mut found = serde_json::Map::new();
    for name in names(args).into_iter().filter(|name| name != "bare") {
        let sprayed = peers::start(&name, calls as u32).and_then(|mut peer| {
            let mut talk = Talk::default();
            peer.record();
            let sprayer = Sprayer::start(peer.address(), rate);
            grow(peer.as_mut(), &mut talk, calls)?;
            let heard = talk.run(lasts);
            let (sent, leaked) = sprayer.stop();
            talk.clear();
            peer.end();
            let (recordings, injected) = recordings(peer.server().folder());
            println!(
                "{name}: {calls} calls, {sent} packets sprayed: {leaked} leaked, {} injected, {} of {} lost; \
                 {injected} of {recordings} recordings injected into; load {}",
                heard.injected,
                heard.lost,
                heard.sent,
                load(),
            );
            Ok(json!({
                "sprayed": sent, "leaked": leaked, "injected": heard.injected, "lost": heard.lost,
                "sent": heard.sent, "recordings": recordings, "recordings_injected_into": injected,
            }))
        });
        match sprayed {
            Ok(result) => drop(found.insert(name, result)),
            Err(why) => println!("{name}: left out: {why}"),
        }
    }
    let clean = found.get("tandem").is_none_or(|it| {
        ["leaked", "injected", "recordings_injected_into"]
            .iter()
            .all(|what| it[*what] == 0)
    });
    args.report(
        "spray",
        object(json!({ "calls": calls, "rate": rate, "peers": found, "load_before": before })),
    );
    assert!(clean, "Tandem let a stranger in, or spoke to him");
}

/// Recordings there are, and those of them that hold a frame of the spray.
fn recordings(folder: Option<&Path>) -> (usize, usize) {
    let mut files = Vec::new();
    if let Some(folder) = folder {
        waves(folder, &mut files);
    }
    let injected = files.iter().filter(|file| {
        let bytes = std::fs::read(file).unwrap_or_default();
        let samples = bytes.get(44..).unwrap_or_default().chunks_exact(2);
        let samples: Vec<i16> = samples
            .map(|it| i16::from_le_bytes([it[0], it[1]]))
            .collect();
        // Two channels, or one: a step of either.
        [1, 2].iter().any(|&step| holds_spray(&samples, step))
    });
    (files.len(), injected.count())
}

/// Whether a quarter of a frame alternates between the two loudest values.
fn holds_spray(samples: &[i16], step: usize) -> bool {
    (0..step).any(|channel| {
        let (mut run, mut before) = (0, 0_i16);
        samples.iter().skip(channel).step_by(step).any(|&sample| {
            let alternates = sample.unsigned_abs() > 32_000 && sample.signum() != before.signum();
            run = if alternates { run + 1 } else { 0 };
            before = sample;
            run >= 40
        })
    })
}

fn waves(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            waves(&path, found);
        } else if path.extension().is_some_and(|it| it == "wav") {
            found.push(path);
        }
    }
}

const STRANGER: [u8; 4] = [127, 0, 10, 9];
/// The servers' ports: 20000 to 59999.
const FIRST: u16 = 20_000;
const PORTS: u64 = 20_000;

#[cfg(test)]
mod tests {
    use super::holds_spray;

    #[test]
    fn a_quarter_of_a_frame_of_spray_is_found_in_either_channel() {
        let mut samples = vec![900_i16; 800];
        assert!(!holds_spray(&samples, 2));
        for n in 0..50 {
            samples[201 + 2 * n] = if n % 2 == 0 { 32_124 } else { -32_124 };
        }
        assert!(holds_spray(&samples, 2) && !holds_spray(&samples, 1));
    }
}
