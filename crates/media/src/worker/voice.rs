//! A port's way through a voice thread: see [`crate::tap::voice`].

use clock::Duration;

use super::port::Port;
use super::{Garbage, Refusal, Worker};
use crate::port::PortId;
use crate::tap::VoiceTap;
use crate::tap::voice::VOICE_RATE;

impl Worker {
    /// Puts a port on its way through a voice thread, in place of the one it has.
    pub(super) fn voice(&mut self, port: PortId, tap: Box<VoiceTap>) -> Result<(), Refusal> {
        let at = match self.find(port) {
            Ok(at) => at,
            Err(why) => {
                self.discard(Garbage::Voice(tap));
                return Err(why);
            }
        };
        if let Some(before) = self.port_mut(at).and_then(|port| port.voice.replace(tap)) {
            self.discard(Garbage::Voice(before));
        }
        self.settle(at);
        Ok(())
    }

    /// What comes back on that way is heard by this listener, or by nobody.
    pub(super) fn lend_voice(
        &mut self,
        port: PortId,
        listener: Option<PortId>,
    ) -> Result<(), Refusal> {
        let at = self.find(port)?;
        if let Some(tap) = self.port_mut(at).and_then(|port| port.voice.as_mut()) {
            tap.lend(listener);
        }
        Ok(())
    }

    /// Takes it off that way.
    pub(super) fn unvoice(&mut self, port: PortId) -> Result<(), Refusal> {
        let at = self.find(port)?;
        if let Some(tap) = self.port_mut(at).and_then(|port| port.voice.take()) {
            self.discard(Garbage::Voice(tap));
        }
        self.settle(at);
        Ok(())
    }
}

impl Port {
    /// What the peer said in the tick at `tick` sets out; on a detour it is replaced by what has come back.
    pub(super) fn hear_by_voice(&mut self, tick: Duration, rate: u32, said: &mut [i16]) {
        let Some(voice) = &mut self.voice else { return };
        if let Some(position) = self.plan.playout.spoken_at() {
            let per_second = i64::from(VOICE_RATE);
            let ticked = tick.as_millis() as i64 * per_second / 1_000;
            let spoken = position * per_second / i64::from(self.plan.codec.clock_rate());
            voice.lags(ticked - spoken);
        }
        self.stats.detour_missed += u32::from(!voice.hear(rate, said));
    }

    /// What is sent in this tick goes beside it.
    pub(super) fn offer_to_voice(&mut self, frame: u64, rate: u32, sent: &[i16]) {
        if let Some(voice) = &mut self.voice {
            self.stats.tap_dropped += voice.offer(frame, rate, sent);
        }
    }

    /// What a listener hears of its peer in place of what all others do, at `rate`; `false` if he hears the same.
    pub(super) fn is_heard_aside(&self, listener: PortId, rate: u32, out: &mut [i16]) -> bool {
        let voice = self.voice.as_ref();
        voice.is_some_and(|voice| voice.aside(listener, rate, out))
    }

    /// Whether a tap or a voice thread hears what its peer says.
    pub(super) const fn is_tapped(&self) -> bool {
        self.tap.is_some() || self.voice.is_some()
    }

    /// The highest rate that these want.
    pub(super) fn tapped_rate(&self) -> Option<u32> {
        let tap = self.tap.as_ref().map(|tap| tap.rate());
        tap.max(self.voice.as_ref().map(|_| VOICE_RATE))
    }

    /// Whether others hear what comes back of a voice thread.
    pub(super) fn is_on_detour(&self) -> bool {
        self.voice.as_ref().is_some_and(|voice| voice.is_detour())
    }
}
