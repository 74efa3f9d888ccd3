//! Ogg/Opus of two sides (RFC 7845): the caller left, the other party right.
//!
//! The sides are two mono streams that are not coupled (channel mapping family 1 with two streams, §5.1.1.2):
//! joint stereo would let one party be heard faintly on the other's side. So a packet is the first
//! stream's, self-delimited (RFC 6716 appendix B), then the second's. A page ends after each second:
//! what was written before a crash plays up to there.

use std::io;

use ogg::{PacketWriteEndInfo, PacketWriter};

use crate::codec::opus::{Encoder, Settings};

/// Makes the bytes of one file.
pub struct OggOpus {
    pages: PacketWriter<'static, Vec<u8>>,
    encoders: [Encoder; 2],
    rate: u32,
    serial: u32,
    /// Samples that wait for the rest of their 20 ms.
    waiting: [Vec<i16>; 2],
    /// The newest packet, held back: the end of a stream stands on its last one.
    held: Option<Vec<u8>>,
    packets: u64,
    /// Samples of each side so far.
    samples: u64,
}

impl std::fmt::Debug for OggOpus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OggOpus({} Hz, {} samples)", self.rate, self.samples)
    }
}

impl OggOpus {
    /// A file of `rate` samples a second (of [`crate::codec::opus::RATES`]), with `bitrate` bits per
    /// second for each side; `serial` names its stream.
    ///
    /// # Errors
    /// None in practice: it writes to memory.
    pub fn new(rate: u32, bitrate: u32, serial: u32) -> io::Result<Self> {
        let settings = Settings {
            bitrate,
            fec: false,
            ..Settings::default()
        };
        let mut pages = PacketWriter::new(Vec::new());
        for head in [head(rate), tags()] {
            pages.write_packet(head, serial, PacketWriteEndInfo::EndPage, 0)?;
        }
        let encoders = [(); 2].map(|()| Encoder::new(rate, settings));
        Ok(Self {
            pages,
            rate: encoders.first().map_or(rate, Encoder::rate),
            encoders,
            serial,
            waiting: [const { Vec::new() }; 2],
            held: None,
            packets: 0,
            samples: 0,
        })
    }

    /// Appends as many samples of both sides as the shorter has.
    ///
    /// # Errors
    /// As [`OggOpus::new`].
    pub fn push(&mut self, left: &[i16], right: &[i16]) -> io::Result<()> {
        let count = left.len().min(right.len());
        self.samples += count as u64;
        for (waiting, new) in self.waiting.iter_mut().zip([left, right]) {
            waiting.extend_from_slice(new.get(..count).unwrap_or_default());
        }
        let span = self.span();
        while self.waiting.iter().all(|side| side.len() >= span) {
            let packet = self.encode(span);
            self.emit(packet)?;
        }
        Ok(())
    }

    /// Appends silence of so many samples. Its first packets are encoded, the others are the same again:
    /// an hour costs next to nothing.
    ///
    /// # Errors
    /// As [`OggOpus::new`].
    pub fn silence(&mut self, samples: u64) -> io::Result<()> {
        let span = self.span();
        let [waiting, _] = &self.waiting;
        let first = (span - waiting.len()) as u64 % span as u64;
        let first = first.min(samples);
        let whole = (samples - first) / span as u64;
        let rest = samples - first - whole * span as u64;
        let none = vec![0; span];
        let part = |samples: u64| none.get(..samples as usize).unwrap_or_default();
        self.push(part(first), part(first))?;
        let mut packet = Vec::new();
        for n in 0..whole {
            // The first still hold the end of what was heard before.
            if n < SILENT_SOON {
                self.waiting.iter_mut().for_each(|it| it.resize(span, 0));
                packet = self.encode(span);
            }
            self.samples += span as u64;
            self.emit(packet.clone())?;
        }
        self.push(part(rest), part(rest))
    }

    /// Samples of each side so far.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// The bytes that are ready, to be taken and cleared.
    pub fn bytes(&mut self) -> &mut Vec<u8> {
        self.pages.inner_mut()
    }

    /// Ends the stream: what is left of it is in [`OggOpus::bytes`] then, and its length is exact.
    ///
    /// # Errors
    /// As [`OggOpus::new`].
    pub fn finish(&mut self) -> io::Result<()> {
        let (samples, span) = (self.samples, self.span());
        // The encoder is late: what it still keeps is pushed out by silence, which is cut off again.
        let wanted = u64::from(PRE_SKIP) + samples * TICKS / u64::from(self.rate);
        while self.packets * PACKET_TICKS < wanted {
            self.waiting.iter_mut().for_each(|it| it.resize(span, 0));
            let packet = self.encode(span);
            self.emit(packet)?;
        }
        self.samples = samples;
        let Some(last) = self.held.take() else {
            return Ok(());
        };
        let end = PacketWriteEndInfo::EndStream;
        self.pages.write_packet(last, self.serial, end, wanted)
    }

    /// Samples of a side in a packet.
    const fn span(&self) -> usize {
        (self.rate / 50) as usize
    }

    /// Encodes the oldest span of both sides into one packet.
    fn encode(&mut self, span: usize) -> Vec<u8> {
        let mut packet = Vec::new();
        let mut buffer = [0; STREAM_MAX];
        for (n, (encoder, side)) in self.encoders.iter_mut().zip(&mut self.waiting).enumerate() {
            let samples = side.get(..span).unwrap_or_default();
            let len = encoder.encode(samples, &mut buffer);
            let stream = buffer.get(..len).unwrap_or_default();
            side.drain(..span.min(side.len()));
            match n {
                0 => self_delimited(stream, &mut packet),
                _ => packet.extend_from_slice(stream),
            }
        }
        packet
    }

    /// Writes the packet before, and keeps this one.
    fn emit(&mut self, packet: Vec<u8>) -> io::Result<()> {
        let before = self.held.replace(packet);
        if let Some(before) = before {
            let end = if self.packets.is_multiple_of(PAGE_PACKETS) {
                PacketWriteEndInfo::EndPage
            } else {
                PacketWriteEndInfo::NormalPacket
            };
            let position = self.packets * PACKET_TICKS;
            self.pages
                .write_packet(before, self.serial, end, position)?;
        }
        self.packets += 1;
        Ok(())
    }
}

/// The identification header (RFC 7845 §5.1): two streams, neither coupled, the first left.
fn head(rate: u32) -> Vec<u8> {
    let mut head = b"OpusHead\x01\x02".to_vec();
    head.extend(PRE_SKIP.to_le_bytes());
    head.extend(rate.to_le_bytes());
    // No gain, mapping family 1, two streams, none coupled, left is the first.
    head.extend([0, 0, 1, 2, 0, 0, 1]);
    head
}

/// The comment header (RFC 7845 §5.2): who made it, and no comment.
fn tags() -> Vec<u8> {
    let mut tags = b"OpusTags".to_vec();
    tags.extend(6_u32.to_le_bytes());
    tags.extend(b"tandem");
    tags.extend(0_u32.to_le_bytes());
    tags
}

/// A packet of one frame, which tells its own length (RFC 6716 appendix B): after the first byte stands
/// the length of what follows, in one byte or two (§3.2.1).
fn self_delimited(packet: &[u8], out: &mut Vec<u8>) {
    let (first, frame) = packet.split_first().unwrap_or((&SILENT_FRAME, &[]));
    debug_assert_eq!(first & 3, 0, "a packet of one frame");
    out.push(*first);
    let len = frame.len().min(STREAM_MAX);
    if len < 252 {
        out.push(len as u8);
    } else {
        let low = 252 + (len & 3);
        out.extend([low as u8, ((len - low) / 4) as u8]);
    }
    out.extend(frame.iter().take(len));
}

/// How much of an Ogg file, from its beginning, is whole pages of one stream, and up to which
/// position they play, in ticks of 48 kHz without the beginning that is skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Whole {
    /// Bytes.
    pub bytes: u64,
    /// Ticks of 48 kHz.
    pub ticks: u64,
    /// Pages.
    pub pages: u64,
}

/// Walks the pages of `file` up to the first that is not whole. Reads page by page: 64 kB of memory.
///
/// # Errors
/// What reading gives; the end of the file is none.
pub fn whole_pages(file: &mut impl io::Read) -> io::Result<Whole> {
    let mut whole = Whole::default();
    let mut serial = None;
    while let Some(page) = page(file)? {
        if *serial.get_or_insert(page.serial) != page.serial {
            break;
        }
        whole.bytes += page.bytes;
        whole.pages += 1;
        // A page on which no packet ends has no position.
        if page.position != u64::MAX {
            whole.ticks = page.position.saturating_sub(u64::from(PRE_SKIP));
        }
    }
    Ok(whole)
}

struct Page {
    bytes: u64,
    position: u64,
    serial: u32,
}

/// The next page; `None` if what follows is none, or not a whole one.
fn page(file: &mut impl io::Read) -> io::Result<Option<Page>> {
    let mut head = [0; PAGE_HEAD];
    if !fill(file, &mut head)? {
        return Ok(None);
    }
    let Ok((mut parser, segments)) = ogg::reading::PageParser::new(head) else {
        return Ok(None);
    };
    let mut table = vec![0; segments];
    if !fill(file, &mut table)? {
        return Ok(None);
    }
    let mut body = vec![0; parser.parse_segments(table)];
    if !fill(file, &mut body)? {
        return Ok(None);
    }
    let bytes = (PAGE_HEAD + segments + body.len()) as u64;
    let field = |at: usize| head.get(at..).and_then(<[u8]>::first_chunk);
    let position = head.get(6..).and_then(<[u8]>::first_chunk);
    let (Some(position), Some(serial)) = (position.copied(), field(14).copied()) else {
        return Ok(None);
    };
    let valid = parser.parse_packet_data(body).is_ok();
    Ok(valid.then_some(Page {
        bytes,
        position: u64::from_le_bytes(position),
        serial: u32::from_le_bytes(serial),
    }))
}

fn fill(file: &mut impl io::Read, place: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(place) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// How late libopus is when it is tuned for speech: 6.5 ms at 48 kHz, whatever the rate.
pub const PRE_SKIP: u16 = 312;

/// Positions count at 48 kHz.
pub const TICKS: u64 = 48_000;

/// Ticks of a packet of 20 ms.
const PACKET_TICKS: u64 = 960;
/// A page each second.
const PAGE_PACKETS: u64 = 50;
/// Packets after which a silence is nothing but that.
const SILENT_SOON: u64 = 5;
/// The longest packet of one stream (RFC 6716 §3.4).
const STREAM_MAX: usize = 1_275;
/// SILK, narrowband, 20 ms, mono, one frame: what stands for a packet that could not be made.
const SILENT_FRAME: u8 = 0x08;
const PAGE_HEAD: usize = 27;

#[cfg(test)]
mod tests {
    use super::{OggOpus, PRE_SKIP, Whole, self_delimited, whole_pages};
    use crate::codec::opus::Decoder;
    use crate::dsp::Goertzel;

    fn sine(hz: f64, rate: u32, count: usize) -> Vec<i16> {
        let step = std::f64::consts::TAU * hz / f64::from(rate);
        (0..count)
            .map(|i| ((step * i as f64).sin() * 8_000.0) as i16)
            .collect()
    }

    fn whole(bytes: &[u8]) -> Whole {
        whole_pages(&mut &bytes[..]).unwrap()
    }

    /// The two sides as a player decodes them, at `rate`, the beginning skipped.
    fn played(bytes: &[u8], rate: u32) -> [Vec<i16>; 2] {
        let mut reader = ogg::PacketReader::new(std::io::Cursor::new(bytes));
        let mut decoders = [(); 2].map(|()| Decoder::new(rate));
        let mut sides = [Vec::new(), Vec::new()];
        let mut end = 0;
        while let Ok(Some(packet)) = reader.read_packet() {
            if packet.data.starts_with(b"Opus") {
                continue;
            }
            let (long, len) = match packet.data[1] {
                len @ 252.. => (1, usize::from(len) + 4 * usize::from(packet.data[2])),
                len => (0, usize::from(len)),
            };
            let (left, right) = packet.data.split_at(2 + long + len);
            let left = [&left[..1], &left[2 + long..]].concat();
            for (n, stream) in [&left[..], right].into_iter().enumerate() {
                let mut out = vec![0; rate as usize / 50];
                assert_eq!(decoders[n].decode(stream, &mut out), out.len());
                sides[n].extend(out);
            }
            end = packet.absgp_page();
        }
        let skip = usize::from(PRE_SKIP) * rate as usize / 48_000;
        let kept = (end as usize - usize::from(PRE_SKIP)) * rate as usize / 48_000;
        sides.map(|side| side[skip..skip + kept].to_vec())
    }

    #[test]
    fn each_side_hears_its_own_tone_alone_in_its_place_and_its_exact_length() {
        for rate in [8_000, 16_000, 48_000] {
            let count = rate as usize * 3 + 77;
            let (left, right) = (sine(440.0, rate, count), sine(1_000.0, rate, count));
            let mut file = OggOpus::new(rate, 24_000, 5).unwrap();
            for (left, right) in left.chunks(160).zip(right.chunks(160)) {
                file.push(left, right).unwrap();
            }
            file.finish().unwrap();
            let sides = played(file.bytes(), rate);
            let second = rate as usize..2 * rate as usize;
            for (side, own, other) in [(&sides[0], 440.0, 1_000.0), (&sides[1], 1_000.0, 440.0)] {
                assert!(side.len().abs_diff(count) <= 1, "{} {count}", side.len());
                let level = |hz| Goertzel::new(hz, rate).dbfs(&side[second.clone()]);
                assert!(level(own) > -14.0, "{rate} {own}: {}", level(own));
                assert!(level(other) < -50.0, "{rate} {other}: {}", level(other));
            }
            let all = whole(file.bytes());
            assert_eq!(all.bytes, file.bytes().len() as u64);
            assert!(all.ticks.abs_diff(count as u64 * 48_000 / u64::from(rate)) <= 6);
        }
    }

    #[test]
    fn a_sound_is_played_when_it_was_made_and_silence_lasts_as_long_as_it_is() {
        for (rate, silence) in [(8_000, 100_003), (16_000, 77), (16_000, 320), (48_000, 9)] {
            let mut file = OggOpus::new(rate, 24_000, 1).unwrap();
            let loud = sine(500.0, rate, rate as usize / 10);
            let before = rate as usize / 2 + 13;
            file.push(&vec![0; before], &vec![0; before]).unwrap();
            file.silence(silence).unwrap();
            file.push(&loud, &loud).unwrap();
            file.finish().unwrap();
            let [left, _] = played(file.bytes(), rate);
            let onset = left.iter().position(|it| it.abs() > 3_000).unwrap();
            let wanted = before + silence as usize;
            let off_ms = onset.abs_diff(wanted) * 1_000 / rate as usize;
            assert!(off_ms <= 3, "{rate} {silence}: {onset} for {wanted}");
            assert!(left.len().abs_diff(wanted + loud.len()) <= 1);
        }
    }

    #[test]
    fn a_file_cut_anywhere_has_whole_pages_up_to_the_second_before() {
        let mut file = OggOpus::new(8_000, 16_000, 7).unwrap();
        let second = sine(440.0, 8_000, 8_000);
        let mut written = Vec::new();
        for _ in 0..5 {
            file.push(&second, &second).unwrap();
            written.append(file.bytes());
        }
        let plays = whole(&written);
        assert_eq!((plays.bytes, plays.pages), (written.len() as u64, 6));
        assert!(plays.ticks >= 4 * 48_000 - 312);
        for cut in (0..written.len()).step_by(7) {
            let part = whole(&written[..cut]);
            assert!(part.bytes <= cut as u64 && part.ticks <= plays.ticks);
        }
        // Control: a page whose bits changed is no whole page.
        let mut broken = written.clone();
        let last = broken.len() - 1;
        broken[last] ^= 1;
        assert_eq!(whole(&broken).pages, 5);
    }

    #[test]
    fn lengths_of_frames_are_told_as_the_standard_has_them() {
        for (len, told) in [
            (0, vec![0]),
            (251, vec![251]),
            (252, vec![252, 0]),
            (1_000, vec![252, 187]),
            (1_275, vec![255, 255]),
        ] {
            let mut packet = vec![0x48];
            packet.resize(1 + len, 9);
            let mut out = Vec::new();
            self_delimited(&packet, &mut out);
            assert_eq!(out[1..=told.len()], told);
            assert_eq!(out.len(), 1 + told.len() + len);
        }
    }
}
