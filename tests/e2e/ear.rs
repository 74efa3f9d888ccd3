//! The audio of a SIPp phone: one UDP port that hears, and speaks a tone to whoever speaks to it.
//!
//! SIPp carries the signalling and names this port in its SDP. Every source that sends here is a
//! *flow*: one call's audio, told apart by the server's port. Each flow is answered every 20 ms by
//! its own tone, in one stream of RTP, in which keys are pressed by RFC 4733 or in band.

use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Result;
use media::codec::g711::Law;
use media::dsp::{DtmfTone, Tone};
use media::rtp::{Header, RtpTime, Sequence, write_header};
use media::{Digit, FRAME};
use parking_lot::Mutex;
use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

use crate::sound::{RATE, RtpPacket, Stream, TONE_DBFS};

/// What an ear says.
#[derive(Clone, Debug)]
pub(crate) struct Voice {
    /// The tone of the first flow, a whole number of Hz.
    pub(crate) hz: u32,
    /// How much higher each next flow's tone is.
    pub(crate) step_hz: u32,
    /// A key that each flow presses by RFC 4733, so long after it was first heard.
    pub(crate) press: Option<(Duration, Digit)>,
}

impl Voice {
    /// One tone for all.
    pub(crate) fn tone(hz: u32) -> Self {
        Self {
            hz,
            step_hz: 0,
            press: None,
        }
    }
}

/// An open ear. Dropped, its port closes.
pub(crate) struct Ear {
    pub(crate) address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What passes between an ear's thread and its owner. The thread never waits for it: somebody who
/// holds it may have to wait for a processor.
#[derive(Default)]
struct Shared {
    /// By flow: its tone, and what it has heard.
    heard: Vec<(u32, Stream)>,
    presses: Vec<(Digit, Press)>,
    speak_to: Vec<SocketAddr>,
}

/// The thread's own data.
struct Listener {
    socket: UdpSocket,
    voice: Voice,
    flows: Vec<Flow>,
    /// What was heard and is not shared yet, by flow.
    fresh: Vec<(usize, RtpPacket)>,
}

/// One call's audio.
struct Flow {
    source: SocketAddr,
    hz: u32,
    began: Instant,
    pressed: bool,
    mouth: Mouth,
}

/// What one flow sends.
struct Mouth {
    second: Vec<u8>,
    place: usize,
    header: Header,
    keys: VecDeque<Key>,
}

/// A key on its way, in packets of 20 ms.
enum Key {
    Event { digit: Digit, packet: u16 },
    Sound { payload: Vec<u8> },
}

/// How a key is pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Press {
    Rfc4733,
    InBand,
}

impl Ear {
    /// Opens a port at `address`; 0 lets the system choose an even one.
    pub(crate) fn open(ip: std::net::IpAddr, voice: Voice) -> Result<Self> {
        let socket = loop {
            let socket = UdpSocket::bind((ip, 0))?;
            if socket.local_addr()?.port() % 2 == 0 {
                break socket;
            }
        };
        socket.set_read_timeout(Some(Duration::from_millis(2)))?;
        let buffer = socket2::SockRef::from(&socket);
        buffer.set_recv_buffer_size(8 << 20)?;
        let address = socket.local_addr()?;
        let shared = Arc::new(Mutex::new(Shared::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let mut listener = Listener {
            socket,
            voice,
            flows: Vec::new(),
            fresh: Vec::new(),
        };
        let thread = std::thread::Builder::new().name("ear".to_owned()).spawn({
            let (shared, stop) = (shared.clone(), stop.clone());
            move || listener.run(&shared, &stop)
        })?;
        Ok(Self {
            address,
            shared,
            stop,
            thread: Some(thread),
        })
    }

    /// What every flow has heard so far, in the order in which they began, with their own tones.
    pub(crate) fn heard(&self) -> Vec<(u32, Stream)> {
        self.shared.lock().heard.clone()
    }

    /// What the first flow has heard so far.
    pub(crate) fn first(&self) -> Stream {
        let shared = self.shared.lock();
        shared
            .heard
            .first()
            .map(|it| it.1.clone())
            .unwrap_or_default()
    }

    /// Speaks to `source` before anything was heard from there, as phones do.
    pub(crate) fn speak_to(&self, source: SocketAddr) {
        self.shared.lock().speak_to.push(source);
    }

    /// Presses a key on every flow.
    pub(crate) fn press(&self, digit: Digit, how: Press) {
        self.shared.lock().presses.push((digit, how));
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A phone's audio is not late because a machine is busy: real time, if the system permits it.
fn hurry() {
    let fifo = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
    if let Ok(low) = ThreadPriorityValue::try_from(5) {
        let low = ThreadPriority::Crossplatform(low);
        // Without the right to it, a busy machine shows in the figures.
        let _ = set_thread_priority_and_policy(thread_native_id(), low, fifo);
    }
}

impl Listener {
    fn run(&mut self, shared: &Mutex<Shared>, stop: &AtomicBool) {
        hurry();
        let start = Instant::now();
        let wall = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs_f64();
        let mut due = start;
        let mut bytes = [0; 2_048];
        while !stop.load(Ordering::Relaxed) {
            if let Ok((len, source)) = self.socket.recv_from(&mut bytes) {
                let at = wall + start.elapsed().as_secs_f64();
                if let Some(packet) = RtpPacket::parse(at, &bytes[..len]) {
                    let flow = self.flow(source);
                    self.fresh.push((flow, packet));
                }
            }
            if Instant::now() >= due {
                due += Duration::from_millis(20);
                if let Some(mut shared) = shared.try_lock() {
                    self.exchange(&mut shared);
                }
                for flow in &mut self.flows {
                    flow.speak(&self.socket, &self.voice);
                }
            }
        }
    }

    fn exchange(&mut self, shared: &mut Shared) {
        for source in std::mem::take(&mut shared.speak_to) {
            self.flow(source);
        }
        for (digit, how) in std::mem::take(&mut shared.presses) {
            for flow in &mut self.flows {
                flow.mouth.press(digit, how);
            }
        }
        for flow in self.flows.iter().skip(shared.heard.len()) {
            shared.heard.push((flow.hz, Stream::default()));
        }
        for (flow, packet) in self.fresh.drain(..) {
            shared.heard[flow].1.0.push(packet);
        }
    }

    fn flow(&mut self, source: SocketAddr) -> usize {
        if let Some(known) = self.flows.iter().position(|flow| flow.source == source) {
            return known;
        }
        let number = u32::try_from(self.flows.len()).unwrap_or(0);
        let hz = self.voice.hz + number * self.voice.step_hz;
        self.flows.push(Flow {
            source,
            hz,
            began: Instant::now(),
            pressed: false,
            mouth: Mouth::new(hz, 0x7a0d_0000 + number),
        });
        self.flows.len() - 1
    }
}

impl Flow {
    fn speak(&mut self, socket: &UdpSocket, voice: &Voice) {
        if let Some((after, digit)) = voice.press
            && !self.pressed
            && self.began.elapsed() >= after
        {
            self.pressed = true;
            self.mouth.press(digit, Press::Rfc4733);
        }
        let packet = self.mouth.next();
        // The server may have closed its port already.
        let _ = socket.send_to(&packet, self.source);
    }
}

impl Mouth {
    fn new(hz: u32, ssrc: u32) -> Self {
        let mut samples = vec![0; RATE];
        Tone::new(hz as f32, TONE_DBFS).fill(&mut samples);
        let mut second = vec![0; RATE];
        Law::Mu.encode(&samples, &mut second);
        Self {
            second,
            place: 0,
            header: Header {
                marker: true,
                payload_type: 0,
                sequence: Sequence(1),
                time: RtpTime(160),
                ssrc,
            },
            keys: VecDeque::new(),
        }
    }

    fn press(&mut self, digit: Digit, how: Press) {
        match how {
            // 160 ms of key in eight packets, the end told three times.
            Press::Rfc4733 => self
                .keys
                .extend((0..10).map(|packet| Key::Event { digit, packet })),
            Press::InBand => {
                let mut samples = vec![0; FRAME * 8];
                DtmfTone::new(digit, -9.0).fill(&mut samples);
                for frame in samples.chunks_exact(FRAME) {
                    let mut payload = vec![0; FRAME];
                    Law::Mu.encode(frame, &mut payload);
                    self.keys.push_back(Key::Sound { payload });
                }
            }
        }
    }

    /// The next packet: a key if one is pressed, else the tone.
    fn next(&mut self) -> Vec<u8> {
        let mut header = self.header;
        let payload = match self.keys.pop_front() {
            Some(Key::Event { digit, packet }) => {
                header.payload_type = 101;
                header.marker = packet == 0;
                // All packets of a key bear the time of its beginning.
                header.time = RtpTime(header.time.0.wrapping_sub(160 * u32::from(packet)));
                let pressed = (packet.min(7) + 1) * 160;
                let end = if packet >= 7 { 0x80 } else { 0 };
                let [high, low] = pressed.to_be_bytes();
                vec![digit.event(), end | 10, high, low]
            }
            Some(Key::Sound { payload }) => payload,
            None => self.second[self.place..self.place + FRAME].to_vec(),
        };
        self.place = (self.place + FRAME) % self.second.len();
        self.header.marker = false;
        self.header.sequence = Sequence(self.header.sequence.0.wrapping_add(1));
        self.header.time = RtpTime(self.header.time.0.wrapping_add(160));
        let mut packet = vec![0; 12 + payload.len()];
        if let Some(room) = write_header(&header, &mut packet) {
            room.copy_from_slice(&payload);
        }
        packet
    }
}
