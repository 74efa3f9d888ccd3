//! Editions: what many hear alike is encoded once, and its payload sent to all of them.
//!
//! The members of a bridge who do not speak hear the same mix; all who wait hear the same place of the
//! same music. Each such sound has an edition for each way of encoding it, with an encoder of its own
//! that goes on as listeners come and go. A listener who begins to speak takes the edition's state over
//! for his own encoder, so that his peer's decoder follows; the first listener's state began it.
//!
//! Packets of 20 ms alone: longer ones begin at each listener's own frame. When all places are taken a
//! listener's own encoder serves him.

use crate::BUS_FRAME_MAX;
use crate::codec::{Codec, Encoder, PAYLOAD_MAX};
use crate::dsp::Resampler;
use crate::dsp::resample::PAST_ANY;

/// What is heard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Program {
    /// What those of a bridge hear who do not speak, by the bridge's number among all there were.
    Mix(u64),
    /// Music that follows the worker's clock, by the address of its first clip and its length.
    Music(usize, u64),
}

/// Which edition a listener heard last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Reader(Option<usize>);

impl Reader {
    /// None.
    pub(crate) const NONE: Self = Self(None);
}

/// One sound, encoded in one way.
#[derive(Debug)]
struct Edition {
    program: Option<Program>,
    /// Samples per second of what it is given.
    rate: u32,
    /// The frame whose payload this is.
    frame: u64,
    encoder: Encoder,
    to_native: Resampler<PAST_ANY>,
    /// The most loss that listeners reported within this second, in percent.
    loss: u8,
    payload: [u8; PAYLOAD_MAX],
    len: usize,
}

/// All editions of a worker.
#[derive(Debug)]
pub(crate) struct Editions(Box<[Edition]>);

impl Editions {
    /// Takes all the memory it will ever need: some 30 kB for each encoder of Opus.
    pub(crate) fn new() -> Self {
        let codecs = [Codec::Pcma, Codec::G722, Codec::Opus];
        let all = codecs.iter().flat_map(|&codec| {
            (0..EDITIONS_EACH).map(move |_| Edition {
                program: None,
                rate: 0,
                frame: 0,
                encoder: Encoder::new(codec),
                to_native: Resampler::idle(),
                loss: 0,
                payload: [0; PAYLOAD_MAX],
                len: 0,
            })
        });
        Self(all.collect())
    }

    /// The payload of `samples`, a frame at `rate`, as `own` would encode them; `None` when there is no
    /// place for it. Whoever asks first in a frame has it encoded.
    ///
    /// *Media thread*: the encoder's work once a frame, a look at 24 places for each listener.
    pub(crate) fn payload(
        &mut self,
        program: Program,
        frame: u64,
        (rate, samples): (u32, &[i16]),
        own: &Encoder,
        reader: &mut Reader,
    ) -> Option<&[u8]> {
        let found = match reader.0 {
            Some(at) if self.0.get(at)?.is(program, rate, own) => Some(at),
            _ => self.0.iter().position(|it| it.is(program, rate, own)),
        };
        let at = match found {
            Some(at) => at,
            None => self.begin(program, frame, rate, own)?,
        };
        reader.0 = Some(at);
        let edition = self.0.get_mut(at)?;
        edition.loss = edition.loss.max(own.loss());
        if edition.frame != frame {
            edition.frame = frame;
            edition.encode(samples);
        }
        edition.payload.get(..edition.len)
    }

    /// Lets `own` go on where the listener's edition is, if it was one; from now on he is encoded for alone.
    pub(crate) fn hand_over(&self, reader: &mut Reader, own: &mut Encoder) {
        let edition = reader.0.take().and_then(|at| self.0.get(at));
        if let Some(edition) = edition.filter(|it| it.encoder.is_set_like(own)) {
            own.go_on_from(&edition.encoder);
        }
    }

    /// A place of an encoder of that kind which nobody has asked for within a second.
    fn begin(&mut self, program: Program, frame: u64, rate: u32, own: &Encoder) -> Option<usize> {
        let idle = |it: &Edition| it.program.is_none() || it.frame + IDLE_FRAMES < frame;
        let free = |it: &Edition| idle(it) && it.encoder.is_kin(own);
        let at = self.0.iter().position(free)?;
        let edition = self.0.get_mut(at)?;
        edition.encoder.become_like(own);
        edition.to_native = Resampler::idle();
        (edition.program, edition.rate, edition.loss) = (Some(program), rate, 0);
        // Not this one: its payload is not made yet.
        edition.frame = frame.wrapping_sub(1);
        Some(at)
    }
}

impl Edition {
    fn is(&self, program: Program, rate: u32, own: &Encoder) -> bool {
        self.program == Some(program) && self.rate == rate && self.encoder.is_set_like(own)
    }

    fn encode(&mut self, samples: &[i16]) {
        let rate = self.rate;
        if self.frame.is_multiple_of(LOSS_FRAMES) {
            self.encoder.lost(self.loss);
            self.loss = 0;
        }
        self.encoder.tune(rate);
        let native_rate = self.encoder.rate();
        let mut native = [0; BUS_FRAME_MAX];
        let samples = if native_rate == rate {
            samples
        } else {
            self.to_native.tune(rate, native_rate);
            let count = self.to_native.convert(samples, &mut native);
            native.get(..count).unwrap_or_default()
        };
        self.len = self.encoder.encode(samples, &mut self.payload);
    }
}

/// Editions of each kind of codec: of samples, G.722, Opus. More bridges and pieces of music at one time
/// are encoded for each listener.
const EDITIONS_EACH: usize = 8;

/// After so many frames without a listener an edition's place is another's.
const IDLE_FRAMES: u64 = 50;

/// How often the encoder learns of its listeners' loss, in frames.
const LOSS_FRAMES: u64 = 50;

#[cfg(test)]
mod tests {
    use super::{EDITIONS_EACH, Editions, Program, Reader};
    use crate::codec::{Codec, Decoder, Encoder, opus};
    use crate::dsp::{Tone, level};

    fn frame(tone: &mut Tone) -> [i16; 160] {
        tone.frame()
    }

    #[test]
    fn all_who_ask_in_a_frame_get_the_payload_that_the_first_had_made() {
        let mut editions = Editions::new();
        let mut tone = Tone::new(440.0, -13.0);
        for codec in Codec::ALL {
            let encoders = [Encoder::new(codec), Encoder::new(codec)];
            let mut readers = [Reader::NONE; 2];
            for n in 0..5 {
                let samples = frame(&mut tone);
                let silence = [0; 160];
                let program = Program::Mix(3);
                let first = editions
                    .payload(program, n, (8_000, &samples), &encoders[0], &mut readers[0])
                    .unwrap()
                    .to_vec();
                let second = editions
                    .payload(program, n, (8_000, &silence), &encoders[1], &mut readers[1])
                    .unwrap();
                assert!(!first.is_empty(), "{codec:?}");
                assert_eq!(first, second, "{codec:?}");
            }
            assert_eq!(readers[0], readers[1]);
        }
    }

    #[test]
    fn settings_of_their_own_make_editions_of_their_own_and_places_run_out() {
        let mut editions = Editions::new();
        let mut begun = 0;
        for n in 0..EDITIONS_EACH as u32 + 3 {
            let settings = opus::Settings {
                bitrate: 16_000 + 1_000 * n,
                ..opus::Settings::default()
            };
            let own = Encoder::opus(settings);
            let payload = editions.payload(
                Program::Mix(0),
                9,
                (8_000, &[0; 160]),
                &own,
                &mut Reader::NONE.clone(),
            );
            begun += usize::from(payload.is_some());
        }
        assert_eq!(begun, EDITIONS_EACH);
        let own = Encoder::new(Codec::Opus);
        let mut later = |frame| {
            editions
                .payload(
                    Program::Mix(1),
                    frame,
                    (8_000, &[0; 160]),
                    &own,
                    &mut Reader::NONE.clone(),
                )
                .is_some()
        };
        assert!(!later(30), "within a second");
        assert!(later(100), "after one in which nobody asked");
    }

    #[test]
    fn a_listener_who_begins_to_speak_is_encoded_for_without_a_break() {
        // What his decoder makes of the edition and then of his own packets is a tone without a step.
        let settle = |hands_over: bool| {
            let mut editions = Editions::new();
            let mut tone = Tone::new(440.0, -13.0);
            let mut own = Encoder::new(Codec::Opus);
            own.tune(8_000);
            let mut decoder = Decoder::new(Codec::Opus);
            decoder.tune(8_000);
            let mut reader = Reader::NONE;
            let mut worst = 0.0_f32;
            for n in 0..60 {
                let samples = frame(&mut tone);
                let mut payload = [0; 640];
                let len = if n < 40 {
                    let made = editions
                        .payload(Program::Mix(0), n, (8_000, &samples), &own, &mut reader)
                        .unwrap();
                    payload[..made.len()].copy_from_slice(made);
                    made.len()
                } else {
                    if n == 40 && hands_over {
                        editions.hand_over(&mut reader, &mut own);
                    }
                    own.encode(&samples, &mut payload)
                };
                let mut sound = [0; 160];
                decoder.decode(&payload[..len], &mut sound);
                if n >= 40 {
                    worst = worst.max((level::dbfs(&sound) + 13.0).abs());
                }
            }
            worst
        };
        assert!(settle(true) < 1.0, "{}", settle(true));
        assert!(settle(true) < settle(false), "the control");
    }
}
