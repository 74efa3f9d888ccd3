//! A bench's sound: the server's ports are production workers; each peer speaks a tone to where the
//! server's description wants it, and hears what comes to where its own said.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use clock::{Duration, Now};
use media::Codec;
use media::codec::{Decoder, Encoder};
use media::dsp::{Goertzel, Tone};
use media::rtp::{HEADER_LEN, Header, Packet, RtpTime, Sequence, write_header};
use media::source::Clip;
use media::worker::MediaPlane;
use parking_lot::Mutex;
use sim::{Desk, Studio};
use tandem::call::Prompt;

use super::Lab;

/// The server's workers, and the peers' ears.
pub(super) struct Sound {
    studio: Arc<Mutex<Studio>>,
    /// By the address that the peer's description names.
    ears: BTreeMap<SocketAddr, Ear>,
    next: Option<Now>,
    /// Packets on the way to the server: when they come, from whom, to where.
    travelling: VecDeque<(Now, SocketAddr, SocketAddr, Vec<u8>)>,
}

/// One peer's mouth and ear: PCMA, a packet each 20 ms.
struct Ear {
    tone: Tone,
    /// What is said in place of the tone, then nothing.
    words: Option<std::vec::IntoIter<i16>>,
    room: Option<Room>,
    /// How much later than others a packet may come, and what that is drawn from.
    late: Option<(Duration, u64)>,
    encoder: Encoder,
    decoder: Decoder,
    /// Where the server wants its audio.
    to: Option<SocketAddr>,
    packets: u16,
    heard: Vec<i16>,
}

impl Sound {
    pub(super) fn new(workers: u8) -> Self {
        Self {
            studio: Studio::of(workers),
            ears: BTreeMap::new(),
            next: None,
            travelling: VecDeque::new(),
        }
    }

    /// The server's end.
    pub(super) fn plane(&self) -> Box<dyn MediaPlane + Send> {
        Box::new(Desk::server(self.studio.clone()))
    }

    pub(super) fn set_now(&self, now: Now) {
        self.studio.lock().set_now(now);
    }

    /// When something sounds next.
    pub(super) fn deadline(&self) -> Option<Now> {
        let workers = self.studio.lock().deadline()?;
        let arrives = self.travelling.iter().map(|it| it.0).min();
        let soonest = self.next.map_or(workers, |next| next.min(workers));
        Some(arrives.map_or(soonest, |it| it.min(soonest)))
    }

    /// The server has said to a peer where it listens.
    pub(super) fn told(&mut self, remote: SocketAddr, body: &[u8]) {
        let text = String::from_utf8_lossy(body);
        let line = |start: &str| text.lines().find_map(|line| line.strip_prefix(start));
        let port = line("m=audio ").and_then(|it| it.split(' ').next()?.parse().ok());
        if let (Some(ip), Some(port), Some(ear)) = (
            line("c=IN IP4 ").and_then(|ip| ip.trim().parse().ok()),
            port,
            self.ears.get_mut(&audio(remote)),
        ) {
            ear.to = Some(SocketAddr::new(ip, port));
        }
    }

    /// Lets workers tick and peers speak and hear, as far as it is time.
    pub(super) fn run(&mut self, now: Now) {
        let mut studio = self.studio.lock();
        studio.set_now(now);
        studio.run();
        if self.next.is_none_or(|next| next <= now) {
            self.next = Some(now + FRAME);
            for (at, ear) in &mut self.ears {
                if let Some(to) = ear.to {
                    let packet = ear.speak().to_vec();
                    let arrives = now + ear.drawn();
                    self.travelling.push_back((arrives, *at, to, packet));
                }
            }
        }
        for _ in 0..self.travelling.len() {
            let Some((arrives, from, to, packet)) = self.travelling.pop_front() else {
                break;
            };
            match arrives <= now {
                true => studio.deliver(from, to, &packet),
                false => self.travelling.push_back((arrives, from, to, packet)),
            }
        }
        for sent in studio.take_sent() {
            if let Some(ear) = self.ears.get_mut(&sent.to) {
                ear.hear(&sent.bytes);
            }
        }
    }
}

/// What comes back of what a peer hears: one reflection.
struct Room {
    gain: f32,
    heard: VecDeque<i16>,
}

impl Ear {
    fn new(hz: f32) -> Self {
        Self {
            tone: Tone::new(hz, SPOKEN_DBFS),
            words: None,
            room: None,
            late: None,
            encoder: Encoder::new(Codec::Pcma),
            decoder: Decoder::new(Codec::Pcma),
            to: None,
            packets: 0,
            heard: Vec::new(),
        }
    }

    /// How much later the next packet comes.
    fn drawn(&mut self) -> Duration {
        let Some((most, random)) = &mut self.late else {
            return Duration::ZERO;
        };
        *random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        most.mul_f64((*random >> 40) as f64 / (1_u64 << 24) as f64)
    }

    fn speak(&mut self) -> [u8; HEADER_LEN + 160] {
        let mut pcm = [0; 160];
        match &mut self.words {
            Some(words) => pcm.fill_with(|| words.next().unwrap_or(0)),
            None => self.tone.fill(&mut pcm),
        }
        if let Some(room) = &mut self.room {
            for sample in &mut pcm {
                let echo = f32::from(room.heard.pop_front().unwrap_or(0)) * room.gain;
                *sample = sample.saturating_add(echo as i16);
            }
        }
        let mut packet = [0; HEADER_LEN + 160];
        let header = Header {
            marker: self.packets == 0,
            payload_type: 8,
            sequence: Sequence(self.packets),
            time: RtpTime(u32::from(self.packets) * 160),
            ssrc: 0x0ea2,
        };
        self.packets = self.packets.wrapping_add(1);
        let payload = write_header(&header, &mut packet).unwrap();
        self.encoder.encode(&pcm, payload);
        packet
    }

    fn hear(&mut self, bytes: &[u8]) {
        let Ok(packet) = Packet::parse(bytes) else {
            return;
        };
        if packet.header().payload_type == 8 {
            let mut out = [0; 160];
            let count = self.decoder.decode(packet.payload(), &mut out);
            self.heard.extend_from_slice(&out[..count]);
            if let Some(room) = &mut self.room {
                room.heard.extend(&out[..count]);
            }
        }
    }
}

/// What each kind of prompt sounds like here.
pub(super) fn clips(items: &[Prompt]) -> Result<Vec<Arc<Clip>>, String> {
    let sound = |item: &Prompt| {
        let (hz, seconds) = match item {
            Prompt::Music(_) => (MUSIC_HZ, 4),
            Prompt::File(_) => (FILE_HZ, 2),
            _ => (950.0, 1),
        };
        let mut samples = vec![0; 8_000 * seconds];
        Tone::new(hz, SPOKEN_DBFS).fill(&mut samples);
        Clip::from_pcm8k(samples).map(Arc::new)
    };
    let clips: Result<Vec<_>, _> = items.iter().map(sound).collect();
    clips.map_err(|error| error.to_string())
}

/// All music.
pub(crate) const MUSIC_HZ: f32 = 350.0;
/// Every prompt file.
pub(crate) const FILE_HZ: f32 = 1_900.0;

impl Lab {
    /// The tones that a peer hears as loud as they are spoken, of those that are asked for; each within the
    /// second that follows.
    pub(crate) fn hears(&mut self, remote: &str, tones: &[f32]) -> Vec<f32> {
        self.level(remote, 0.0);
        let at = audio(remote.parse().unwrap());
        let heard = &self.sound.as_ref().unwrap().ears[&at].heard;
        let sound = heard.get(heard.len().saturating_sub(4_000)..);
        let sound = sound.unwrap_or_default();
        let loud = |hz: &&f32| {
            let level = Goertzel::new(**hz, 8_000).dbfs(sound);
            sound.len() == 4_000 && (level - SPOKEN_DBFS).abs() < 1.5
        };
        tones.iter().filter(loud).copied().collect()
    }

    /// A peer speaks a tone from now on, and hears.
    pub(crate) fn speaks(&mut self, remote: &str, hz: f32) {
        let sound = self.sound.as_mut().unwrap();
        let at = audio(remote.parse().unwrap());
        sound.ears.insert(at, Ear::new(hz));
    }

    /// A peer says these words from now on, at 8 kHz, and then nothing; what it hears so far is forgotten.
    pub(crate) fn says(&mut self, remote: &str, words: Vec<i16>) {
        let ear = self.ear(remote);
        ear.words = Some(words.into_iter());
        ear.heard.clear();
    }

    /// A peer is in a room from now on: what it hears comes back so much later and quieter.
    pub(crate) fn echoes(&mut self, remote: &str, after: Duration, down_db: f32) {
        let before = after.as_millis() as usize * 8;
        self.ear(remote).room = Some(Room {
            gain: 10_f32.powf(-down_db / 20.0),
            heard: vec![0; before].into(),
        });
    }

    /// A peer's packets come up to so much later than they might, each as it is drawn.
    pub(crate) fn comes_late(&mut self, remote: &str, most: Duration) {
        self.ear(remote).late = Some((most, 1));
    }

    /// All that a peer has heard since it was last told to say something.
    pub(crate) fn heard(&mut self, remote: &str) -> Vec<i16> {
        self.ear(remote).heard.clone()
    }

    fn ear(&mut self, remote: &str) -> &mut Ear {
        let at = audio(remote.parse().unwrap());
        self.sound.as_mut().unwrap().ears.get_mut(&at).unwrap()
    }

    /// The level in dBFS at which a peer hears a tone within the second that follows; the lowest there
    /// is where it hears nothing.
    pub(crate) fn level(&mut self, remote: &str, hz: f32) -> f32 {
        let at = audio(remote.parse().unwrap());
        self.pass(Duration::from_millis(300));
        self.sound
            .as_mut()
            .unwrap()
            .ears
            .get_mut(&at)
            .unwrap()
            .heard
            .clear();
        self.pass(Duration::from_millis(700));
        let sound = self.sound.as_ref().unwrap();
        let heard = &sound.ears[&at].heard;
        // Half a second and more, without a hole.
        if heard.len() < 4_000 {
            return f32::NEG_INFINITY;
        }
        Goertzel::new(hz, 8_000).dbfs(&heard[heard.len() - 4_000..])
    }

    /// Requires that each of two peers hears the other's tone as loud as it is spoken; the levels.
    pub(crate) fn hear_each_other(&mut self, one: (&str, f32), other: (&str, f32)) -> (f32, f32) {
        let levels = (self.level(one.0, other.1), self.level(other.0, one.1));
        for level in [levels.0, levels.1] {
            assert!(
                (level - SPOKEN_DBFS).abs() < 1.0,
                "{} hears {} Hz at {:.1} dBFS, {} hears {} Hz at {:.1}: {}",
                one.0,
                other.1,
                levels.0,
                other.0,
                one.1,
                levels.1,
                self.troubles()
            );
        }
        levels
    }

    /// Requires that nothing is left of any call: no call, no session, no media port.
    pub(crate) fn nothing_is_left(&mut self) {
        self.pass(Duration::from_secs(40));
        let ports = self
            .sound
            .as_ref()
            .map(|it| it.studio.lock().server_ports());
        assert_eq!(self.control.holds(), (0, 0));
        assert_eq!(ports.unwrap_or_default(), (0, 0));
        assert_eq!(self.control.sip_counts().sessions, 0);
    }
}

/// Where the descriptions of a bench's peers want audio.
fn audio(remote: SocketAddr) -> SocketAddr {
    SocketAddr::new(remote.ip(), 40_000)
}

/// How loud peers speak.
const SPOKEN_DBFS: f32 = -10.0;
const FRAME: Duration = Duration::from_millis(20);
