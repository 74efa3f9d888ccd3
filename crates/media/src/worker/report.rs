//! What a port tells now and then: its silence, its counters, its reports to the peer (RTCP), and
//! the copy of its sound for a tap.

use clock::{Duration, Now};

use super::port::Port;
use super::tick::{Bus, Sound};
use super::transmit::TransmitQueue;
use super::{DtmfVia, Lane, PortEvent, Worker};
use crate::port::PortStats;
use crate::rtp::NtpTime;
use crate::rtp::rtcp::{Compound, ReportBlocks, RtcpPacket, append_goodbye, write_report};
use crate::rtp::stats::{Reception, round_trip};
use crate::rtp::xr::append_metrics;
use crate::{BUS_FRAME_MAX, SILENCE};

impl Worker {
    /// Looks whether anything of a port is due; once a frame.
    pub(super) fn look_after(&mut self, now: Now, at: usize) {
        let partner_ms = self.partner_silence(now, at);
        let Some(port) = self.slots.get_mut(at).and_then(Option::as_mut) else {
            return;
        };
        let id = port.plan.port;
        let key = port.key_timed_out(now);
        if port.care.silence_at <= now {
            let told = port.silence(now, self.config.no_media_after, partner_ms);
            if let Some(event) = told {
                self.events.chatter(event);
            }
        }
        if port.care.stats_at <= now && !self.config.stats_every.is_zero() {
            port.care.stats_at = now + self.config.stats_every;
            port.look_at_playout();
            let stats = port.snapshot();
            self.stats.totals.grow(&mut port.judged.told, &stats);
            self.events.chatter(PortEvent::Stats { port: id, stats });
        }
        if port.care.report_at <= now {
            port.care.report_at = now + self.config.rtcp_every;
            port.look_at_playout();
            port.judge();
            port.report(now, self.config.ntp_at_zero, &mut self.transmits, false);
            if let Some(silent_ms) = port.reports_ended(now, self.config.rtcp_every) {
                let port = id;
                self.events
                    .chatter(PortEvent::NoReports { port, silent_ms });
            }
        }
        if let Some((digit, duration_ms)) = key {
            self.pressed(at, digit, DtmfVia::Rfc4733, duration_ms);
        }
    }
}

impl Port {
    /// The counters as they stand.
    pub(super) fn snapshot(&self) -> PortStats {
        let reception = self.reception.as_ref();
        PortStats {
            sent: self.transmission.packets,
            sent_bytes: self.transmission.octets,
            first_sent: self.transmission.first,
            lost: self.lost(),
            expected: u64::try_from(self.expected()).unwrap_or(0),
            rating: self.rating(),
            jitter: reception.map_or(Duration::ZERO, Reception::jitter),
            jitter_max: reception.map_or(Duration::ZERO, Reception::max_jitter),
            ..self.stats
        }
    }

    /// The last report, with a goodbye: only of one who has spoken at all (RFC 3550 §6.3.7).
    pub(super) fn goodbye(&mut self, now: Now, ntp_at_zero: u64, out: &mut TransmitQueue) {
        if self.transmission.packets > 0 {
            self.report(now, ntp_at_zero, out, true);
        }
    }

    /// Sends a report: of what was sent if anything was, and of what was heard (RFC 3550 §6.4). Who
    /// leaves says so, and protects it at once: nobody knows his keys when it goes.
    fn report(&mut self, now: Now, ntp_at_zero: u64, out: &mut TransmitQueue, leaves: bool) {
        let Some(to) = self.source.rtcp(self.plan.rtcp_mux) else {
            return;
        };
        let ntp = NtpTime(ntp_at_zero).plus(now.since(Now::ZERO));
        let sender = self
            .transmission
            .report(now, ntp, self.plan.codec.clock_rate());
        let metrics = self.metrics();
        let block = self
            .reception
            .as_mut()
            .map(|reception| reception.report(now));
        let ssrc = self.out.ssrc();
        // The SSRC is random, so a name made of it is too (RFC 7022 §4.2).
        let name = hexadecimal(ssrc);
        let name = std::str::from_utf8(&name).unwrap_or_default();
        let lane = if self.plan.rtcp_mux {
            Lane::Rtp
        } else {
            Lane::Rtcp
        };
        out.push_as(leaves, (self.plan.port, lane, to), |packet| {
            let mut len = write_report(packet, ssrc, sender.as_ref(), block.as_slice(), name)?;
            if let Some(metrics) = &metrics {
                len = append_metrics(packet, len, ssrc, metrics)?;
            }
            if !leaves {
                return Some(len);
            }
            let len = append_goodbye(packet, len, ssrc)?;
            self.seal(now, (lane, to), packet, len)
        });
    }

    /// Takes a peer's report. Its goodbye ends nothing: calls are ended by signalling.
    pub(super) fn receive_report(&mut self, now: Now, bytes: &[u8], ntp_at_zero: u64) {
        let Ok(compound) = Compound::parse(bytes) else {
            self.stats.malformed += 1;
            return;
        };
        self.stats.rtcp_received += 1;
        self.care.reported_at = Some(now);
        let ntp = NtpTime(ntp_at_zero).plus(now.since(Now::ZERO));
        for packet in compound.packets() {
            match packet {
                RtcpPacket::SenderReport {
                    ssrc,
                    sender,
                    blocks,
                } => {
                    let heard = self.reception.as_mut().filter(|heard| heard.ssrc() == ssrc);
                    if let Some(heard) = heard {
                        heard.sender_report(now, &sender);
                    }
                    self.heard_of_us(ntp, blocks);
                }
                RtcpPacket::ReceiverReport { blocks, .. } => self.heard_of_us(ntp, blocks),
                RtcpPacket::Extended { blocks, .. } => self.metrics_of_us(&blocks),
                _ => {}
            }
        }
    }

    fn heard_of_us(&mut self, ntp: NtpTime, blocks: ReportBlocks<'_>) {
        let Some(block) = blocks.about(self.out.ssrc()) else {
            return;
        };
        let percent = u32::from(block.fraction_lost) * 100 / 256;
        let encoder = &mut self.plan.coding.encoder;
        encoder.lost(u8::try_from(percent).unwrap_or(100));
        self.stats.peer_lost = block.lost;
        self.stats.peer_jitter = block.jitter;
        self.stats.round_trip = round_trip(ntp, &block).or(self.stats.round_trip);
        self.judge_ours(&block);
    }

    /// Copies this frame to the tap, if there is one: what was said on the bus, and `heard` beside it.
    pub(super) fn record(&mut self, bus: &Bus<'_>, heard: &[i16]) {
        let heard = heard.get(..bus.said.len()).unwrap_or(heard);
        self.offer_to_voice(bus.frame, bus.rate, heard);
        let Some(tap) = &mut self.tap else { return };
        self.stats.tap_dropped += tap.offer(bus.frame, (bus.rate, bus.said), (bus.rate, heard));
    }

    pub(super) fn record_sound(&mut self, bus: &Bus<'_>, sound: &Sound<'_>) {
        match sound {
            _ if !self.is_tapped() => {}
            Sound::Nothing => self.record(bus, &[0; BUS_FRAME_MAX]),
            Sound::Samples(samples) => self.record(bus, samples),
            // Of a port alone, at 8 kHz.
            Sound::Payload(payload) => {
                let mut samples = SILENCE;
                if let Some(law) = self.plan.codec.law() {
                    law.decode(payload, &mut samples);
                }
                self.record(bus, &samples);
            }
        }
    }
}

fn hexadecimal(word: u32) -> [u8; 8] {
    let mut out = *b"00000000";
    for (n, place) in out.iter_mut().enumerate() {
        let nibble = (word >> (28 - 4 * n)) as usize & 15;
        *place = HEX.get(nibble).copied().unwrap_or(b'0');
    }
    out
}

const HEX: &[u8; 16] = b"0123456789abcdef";
