//! What nobody asked for: OPTIONS and REGISTER of the trunk's own address, and requests of a stranger,
//! as fast as a core sends them.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use crate::target::{CALLER, STRANGER};
use lab::message;

/// A thread that sends until it is told to stop.
pub(crate) struct Noise {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Noise {
    pub(crate) fn start(server: SocketAddr) -> Self {
        let (stop, sent) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let (stopped, counted) = (stop.clone(), sent.clone());
        let thread = std::thread::spawn(move || send(server, &stopped, &counted));
        Self { stop, sent, thread }
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

fn send(server: SocketAddr, stop: &AtomicBool, sent: &AtomicU64) {
    // The real-time class is the caller's alone: noise takes what it leaves.
    let tid = rustix::thread::gettid().as_raw_nonzero().to_string();
    let _ = std::process::Command::new("chrt")
        .args(["-o", "-p", "0", &tid])
        .status();
    let known = UdpSocket::bind((CALLER, 0)).unwrap();
    let stranger = UdpSocket::bind((STRANGER, 0)).unwrap();
    let of =
        |socket: &UdpSocket, method| message::junk(method, socket.local_addr().unwrap(), server);
    let kinds = [
        (&known, of(&known, "OPTIONS")),
        (&known, of(&known, "REGISTER")),
        (&stranger, of(&stranger, "INVITE")),
        (&stranger, of(&stranger, "OPTIONS")),
        (&stranger, of(&stranger, "REGISTER")),
    ];
    let (mut out, mut number) = (Vec::new(), 0_u32);
    while !stop.load(Ordering::Relaxed) {
        for (socket, template) in &kinds {
            template.write(number, b"", &mut out);
            number = number.wrapping_add(1);
            if socket.send_to(&out, server).is_ok() {
                sent.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
