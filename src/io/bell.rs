//! What a thread without a runtime waits for: descriptors, wakers of channels, and a moment.
//!
//! One `epoll` set. A channel's waker rings an eventfd in it, once until somebody has listened: what
//! is sent to a thread that is awake anyway costs no system call. Neither the eventfd nor anybody
//! else's is ever read: they are watched for their edges.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};

/// The poll set of one thread.
#[derive(Debug)]
pub struct Bell {
    epoll: OwnedFd,
    ring: Arc<Ring>,
    waker: Waker,
}

/// What woke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// A waker was used: look into every channel that was given it.
    Rung,
    /// A descriptor, by its key.
    Readable(u32),
}

/// When a descriptor is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tell {
    /// As long as there is something to read.
    While,
    /// Each time that something comes: for an eventfd, which is then never read.
    Each,
}

impl Bell {
    /// A set with nothing in it but the wakers' eventfd.
    ///
    /// # Errors
    /// The system's, when it has no descriptors left.
    pub fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let (data, edges) = (epoll::EventData::new_u64(RING), Tell::Each.flags());
        epoll::add(&epoll, &event, data, edges)?;
        let ring = Arc::new(Ring {
            event,
            rung: AtomicBool::new(false),
        });
        let waker = Waker::from(Arc::clone(&ring));
        Ok(Self { epoll, ring, waker })
    }

    /// Has a descriptor watched until it is closed.
    ///
    /// # Errors
    /// The system's.
    pub fn watch(&self, descriptor: impl AsFd, key: u32, tell: Tell) -> io::Result<()> {
        let data = epoll::EventData::new_u64(key.into());
        Ok(epoll::add(&self.epoll, descriptor, data, tell.flags())?)
    }

    /// For the channels that this thread reads.
    pub fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Sleeps so long, whatever comes: it is told of by the next wait, all together.
    pub fn rest(&self, span: Duration) {
        if span.is_zero() {
            return;
        }
        let span = Timespec {
            tv_sec: span.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: span.subsec_nanos().into(),
        };
        // An interrupted sleep ends early, and something is told of alone.
        let _ = rustix::thread::nanosleep(&span);
    }

    /// Waits at most so long, and says of each thing that woke. An interrupted wait ends early.
    pub fn wait(&self, at_most: Duration, mut woken: impl FnMut(Woken)) {
        let timeout = Timespec {
            tv_sec: at_most.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: at_most.subsec_nanos().into(),
        };
        let mut ready = [const { MaybeUninit::uninit() }; BATCH];
        let Ok((ready, _)) = epoll::wait(&self.epoll, &mut ready[..], Some(&timeout)) else {
            return;
        };
        for event in ready {
            match event.data.u64() {
                RING => {
                    // Cleared before the channels are looked into: what comes after that rings again.
                    self.ring.rung.store(false, Ordering::SeqCst);
                    woken(Woken::Rung);
                }
                key => woken(Woken::Readable(u32::try_from(key).unwrap_or(u32::MAX))),
            }
        }
    }
}

impl Tell {
    fn flags(self) -> epoll::EventFlags {
        match self {
            Self::While => epoll::EventFlags::IN,
            Self::Each => epoll::EventFlags::IN | epoll::EventFlags::ET,
        }
    }
}

#[derive(Debug)]
struct Ring {
    event: OwnedFd,
    /// Nobody has listened since.
    rung: AtomicBool,
}

impl Wake for Ring {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.rung.swap(true, Ordering::SeqCst) {
            // Full after 2^64 rings: it is readable then too.
            let _ = rustix::io::write(&self.event, &1_u64.to_ne_bytes());
        }
    }
}

/// The key of the wakers' eventfd: no descriptor's, which have 32 bits.
const RING: u64 = u64::MAX;

/// What is told of in one wait: a server's sockets, and room.
const BATCH: usize = 32;

#[cfg(test)]
mod interleavings;

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::task::{Context, Poll};

    use tokio::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    fn woken(bell: &Bell, at_most: Duration) -> Vec<Woken> {
        let mut all = Vec::new();
        bell.wait(at_most, |it| all.push(it));
        all
    }

    #[test]
    fn what_is_sent_to_a_channel_wakes_the_thread_that_waits_once_for_many() {
        let bell = Bell::new().unwrap();
        let (sender, mut receiver) = mpsc::channel(8);
        let mut cx = Context::from_waker(bell.waker());
        for round in 0..3 {
            assert_eq!(receiver.poll_recv(&mut cx), Poll::Pending);
            let sender = sender.clone();
            let sending = std::thread::spawn(move || {
                sender.try_send(round).unwrap();
                sender.try_send(round).unwrap();
            });
            assert_eq!(woken(&bell, LONG), [Woken::Rung]);
            sending.join().unwrap();
            for _ in 0..2 {
                assert_eq!(receiver.poll_recv(&mut cx), Poll::Ready(Some(round)));
            }
        }
        assert_eq!(receiver.poll_recv(&mut cx), Poll::Pending);
        assert_eq!(woken(&bell, Duration::from_millis(1)), []);
    }

    #[test]
    fn a_socket_is_told_of_until_it_is_read_an_edge_once() {
        let bell = Bell::new().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let event = eventfd(0, EventfdFlags::NONBLOCK).unwrap();
        bell.watch(&socket, 1, Tell::While).unwrap();
        bell.watch(&event, 2, Tell::Each).unwrap();
        socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
        rustix::io::write(&event, &1_u64.to_ne_bytes()).unwrap();
        let mut first = woken(&bell, LONG);
        first.sort_by_key(|it| format!("{it:?}"));
        assert_eq!(first, [Woken::Readable(1), Woken::Readable(2)]);
        assert_eq!(woken(&bell, LONG), [Woken::Readable(1)]);
        rustix::io::write(&event, &1_u64.to_ne_bytes()).unwrap();
        socket.recv(&mut [0; 8]).unwrap();
        assert_eq!(woken(&bell, LONG), [Woken::Readable(2)]);
        assert_eq!(woken(&bell, Duration::from_millis(1)), []);
    }
}
