//! Whether held calls are heard without a gap: one thread that waits for audio and notes when it came.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::caller::AUDIO;
use crate::target::CALLER;

/// What was heard of all calls.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) packets: u64,
    pub(crate) calls: usize,
    /// Sequence numbers that never came.
    pub(crate) lost: u64,
    /// The longest time between two packets of a call.
    pub(crate) gap: Duration,
    /// Times between packets, µs, at most a million.
    pub(crate) gaps_us: Vec<u32>,
}

/// The thread.
pub(crate) struct Ear {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Heard>,
}

impl Ear {
    pub(crate) fn start() -> Self {
        let socket = UdpSocket::bind((CALLER, AUDIO)).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || listen(&socket, &stopped));
        Self { stop, thread }
    }

    pub(crate) fn stop(self) -> Heard {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

fn listen(socket: &UdpSocket, stop: &AtomicBool) -> Heard {
    // On the server's processor, above everybody there: behind the caller its bursts, and the time that
    // the system takes from a real-time thread which never sleeps, would look like gaps. Twenty calls
    // cost the server a hundredth of its processor by that.
    let tid = rustix::thread::gettid().as_raw_nonzero().to_string();
    for (program, args) in [("taskset", ["-cp", "0"]), ("chrt", ["-fp", "40"])] {
        let mut command = std::process::Command::new(program);
        let _ = command.args(args).arg(&tid).stdout(Stdio::null()).status();
    }
    // What came meanwhile, as far as there was room for it, is not what is listened to.
    socket.set_nonblocking(true).unwrap();
    while socket.recv_from(&mut [0; 2_048]).is_ok() {}
    socket.set_nonblocking(false).unwrap();
    let timeout = Some(Duration::from_millis(100));
    socket.set_read_timeout(timeout).unwrap();
    let mut last: HashMap<SocketAddr, (Instant, u16)> = HashMap::new();
    let mut heard = Heard::default();
    let mut buffer = [0; 2_048];
    while !stop.load(Ordering::Relaxed) {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        if length < 12 {
            continue;
        }
        let (now, sequence) = (Instant::now(), u16::from_be_bytes([buffer[2], buffer[3]]));
        heard.packets += 1;
        if let Some((before, earlier)) = last.insert(from, (now, sequence)) {
            let gap = now - before;
            heard.gap = heard.gap.max(gap);
            if heard.gaps_us.len() < 1_000_000 {
                heard.gaps_us.push(gap.as_micros() as u32);
            }
            heard.lost += u64::from(sequence.wrapping_sub(earlier).wrapping_sub(1));
        }
    }
    heard.calls = last.len();
    heard
}
