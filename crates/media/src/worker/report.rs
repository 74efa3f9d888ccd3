//! What a port tells now and then: its silence, its counters, its reports to the peer (RTCP), and
//! the copy of its sound for a tap.

use std::net::SocketAddr;

use clock::Now;

use super::port::Port;
use super::tick::Sound;
use super::{Lane, PortEvent, Worker};
use crate::codec::Decoder;
use crate::{Frame, SILENCE};

impl Worker {
    /// Looks whether anything of a port is due; once a frame.
    pub(super) fn look_after(&mut self, now: Now, at: usize) {
        let Some(port) = self.slots.get_mut(at).and_then(|slot| slot.port.as_mut()) else {
            return;
        };
        let id = port.plan.port;
        if port.care.silence_at <= now {
            let silent = port.silence(now, self.config.no_media_after);
            if let Some(silent_ms) = silent {
                self.events.chatter(PortEvent::NoMedia {
                    port: id,
                    silent_ms,
                });
            }
        }
        if port.care.stats_at <= now && !self.config.stats_every.is_zero() {
            port.care.stats_at = now + self.config.stats_every;
            self.events.chatter(PortEvent::Stats {
                port: id,
                stats: port.stats,
            });
        }
        if port.care.report_at <= now {
            port.care.report_at = now + self.config.rtcp_every;
        }
    }
}

impl Port {
    /// For how long the peer has been silent, in ms, when that is too long; sets when to ask again.
    fn silence(&mut self, now: Now, after: clock::Duration) -> Option<u32> {
        if !self.plan.receive || self.plan.remote.is_none() {
            self.care.heard_at = now;
        }
        let silent = now.since(self.care.heard_at);
        if silent < after {
            self.care.silence_at = self.care.heard_at + after;
            return None;
        }
        self.care.silence_at = now + after;
        Some(u32::try_from(silent.as_millis()).unwrap_or(u32::MAX))
    }

    /// Copies this frame to the tap, if there is one.
    pub(super) fn record(&mut self, heard: &Frame) {
        let Some(tap) = &mut self.tap else { return };
        if !tap.offer(&self.said, heard) {
            self.stats.tap_dropped += 1;
        }
    }

    pub(super) fn record_sound(&mut self, sound: &Sound) {
        match sound {
            _ if self.tap.is_none() => {}
            Sound::Nothing => self.record(&SILENCE),
            Sound::Samples(samples) => self.record(samples),
            Sound::Payload(payload) => {
                let mut samples = SILENCE;
                Decoder::new(self.plan.codec).decode(payload, &mut samples);
                self.record(&samples);
            }
        }
    }
}
