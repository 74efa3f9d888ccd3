//! libopus, called in memory that is ours: the one place of this crate where `unsafe` stands.
//!
//! A codec's state is a block of bytes that libopus lays out (`opus_decoder_init` instead of
//! `opus_decoder_create`). So it is taken once, and a change of rate begins anew in the same block:
//! after `new` nothing here allocates. libopus keeps no pointer into the block but such as it finds
//! from the block's own address, and a box does not move what it holds.
#![expect(
    unsafe_code,
    reason = "libopus is C; each call hands it lengths that are those of the slices beside them"
)]

use std::ffi::c_int;

use opusic_sys as c;

/// A decoder's state: mono out, whatever comes in.
pub(super) struct Decoder(Box<[Block]>);

/// An encoder's state: mono, tuned for speech.
pub(super) struct Encoder(Box<[Block]>);

/// As aligned as `malloc` would have it.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
struct Block([u8; 16]);

fn memory(bytes: c_int) -> Box<[Block]> {
    let bytes = usize::try_from(bytes).unwrap_or(0);
    vec![Block([0; 16]); bytes.div_ceil(16)].into()
}

impl Decoder {
    pub(super) fn new() -> Self {
        // SAFETY: a function of a number.
        Self(memory(unsafe { c::opus_decoder_get_size(1) }))
    }

    /// Begins anew at `rate` samples a second; `false` for a rate that libopus does not know.
    pub(super) fn begin(&mut self, rate: u32) -> bool {
        // SAFETY: the block has the size that libopus asks for one channel, and its alignment.
        let done = unsafe { c::opus_decoder_init(self.state(), rate.cast_signed(), 1) };
        done == c::OPUS_OK
    }

    /// Decodes `packet` into `out`; without one, invents what would have followed. With `fec`,
    /// decodes what `packet` tells of the one before it. Gives the samples written, if any.
    pub(super) fn decode(&mut self, packet: Option<&[u8]>, out: &mut [i16], fec: bool) -> usize {
        let (data, len) = packet.map_or((std::ptr::null(), 0), |packet| {
            (packet.as_ptr(), length(packet.len()))
        });
        let state = self.state();
        // SAFETY: `state` was initialised by `begin`, which every owner calls first; the pointers
        // live through the call and the lengths are their slices'.
        let count = unsafe {
            c::opus_decode(
                state,
                data,
                len,
                out.as_mut_ptr(),
                length(out.len()),
                fec.into(),
            )
        };
        usize::try_from(count).unwrap_or(0).min(out.len())
    }

    fn state(&mut self) -> *mut c::OpusDecoder {
        self.0.as_mut_ptr().cast()
    }
}

impl Encoder {
    pub(super) fn new() -> Self {
        // SAFETY: a function of a number.
        Self(memory(unsafe { c::opus_encoder_get_size(1) }))
    }

    /// Begins anew at `rate` samples a second; `false` for a rate that libopus does not know.
    pub(super) fn begin(&mut self, rate: u32) -> bool {
        // SAFETY: the block has the size that libopus asks for one channel, and its alignment.
        let done = unsafe {
            c::opus_encoder_init(
                self.state(),
                rate.cast_signed(),
                1,
                c::OPUS_APPLICATION_VOIP,
            )
        };
        done == c::OPUS_OK
    }

    /// Becomes a copy of `other`: "only a shallow copy is sufficient to copy it" (`opus.h`, of the
    /// encoder's state). `false` when the blocks differ in size, which they never do.
    pub(super) fn copy(&mut self, other: &Self) -> bool {
        let alike = self.0.len() == other.0.len();
        if alike {
            self.0.copy_from_slice(&other.0);
        }
        alike
    }

    /// Encodes `samples`, which must last 2.5, 5, 10, 20, 40 or 60 ms; gives the bytes written.
    pub(super) fn encode(&mut self, samples: &[i16], out: &mut [u8]) -> usize {
        let state = self.state();
        // SAFETY: `state` was initialised by `begin`, which every owner calls first; the pointers
        // live through the call and the lengths are their slices'.
        let count = unsafe {
            c::opus_encode(
                state,
                samples.as_ptr(),
                length(samples.len()),
                out.as_mut_ptr(),
                length(out.len()),
            )
        };
        usize::try_from(count).unwrap_or(0).min(out.len())
    }

    /// Sets one of the settings that take a whole number.
    pub(super) fn set(&mut self, setting: Setting, value: i32) {
        // SAFETY: all of `Setting` are requests that read one `opus_int32`.
        let done = unsafe { c::opus_encoder_ctl(self.state(), setting as c_int, value) };
        debug_assert_eq!(done, c::OPUS_OK, "{setting:?} {value}");
    }

    fn state(&mut self) -> *mut c::OpusEncoder {
        self.0.as_mut_ptr().cast()
    }
}

/// What of an encoder can be set.
#[derive(Clone, Copy, Debug)]
#[repr(i32)]
pub(super) enum Setting {
    /// Bits per second.
    Bitrate = c::OPUS_SET_BITRATE_REQUEST,
    /// 0 to 10.
    Complexity = c::OPUS_SET_COMPLEXITY_REQUEST,
    /// Whether silence is sent as next to nothing.
    Dtx = c::OPUS_SET_DTX_REQUEST,
    /// Whether a packet tells of the one before it.
    Fec = c::OPUS_SET_INBAND_FEC_REQUEST,
    /// The loss to be prepared for, in percent.
    LossPercent = c::OPUS_SET_PACKET_LOSS_PERC_REQUEST,
    /// Whether the rate may vary from packet to packet.
    Vbr = c::OPUS_SET_VBR_REQUEST,
}

/// The samples for each channel that `packet` holds at 48 kHz; none if it is no Opus packet.
pub(super) fn samples_at_48k(packet: &[u8]) -> usize {
    if packet.is_empty() {
        return 0;
    }
    // SAFETY: reads at most the length given.
    let count =
        unsafe { c::opus_packet_get_nb_samples(packet.as_ptr(), length(packet.len()), 48_000) };
    usize::try_from(count).unwrap_or(0)
}

/// Whether `packet` tells of the one before it.
pub(super) fn has_fec(packet: &[u8]) -> bool {
    // SAFETY: reads at most the length given, and nothing of an empty packet.
    !packet.is_empty()
        && unsafe { c::opus_packet_has_lbrr(packet.as_ptr(), length(packet.len())) } > 0
}

/// No slice here is longer than a datagram or a tenth of a second.
fn length(len: usize) -> c_int {
    c_int::try_from(len).unwrap_or(c_int::MAX)
}
