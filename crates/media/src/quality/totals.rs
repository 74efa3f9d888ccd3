//! What all ports of a worker have counted, as one set of counters that only rise.

use crate::port::PortStats;

/// Counters of many ports, closed ones included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// RTP packets taken from peers.
    pub received: u64,
    /// Packets that peers sent and that never came.
    pub lost: u64,
    /// Packets too late to be heard.
    pub late: u64,
    /// Packets made good by others.
    pub recovered: u64,
    /// Frames played of decoded ports, and those of them that were invented.
    pub frames: u64,
    /// See `frames`.
    pub concealed: u64,
    /// Packets from addresses that may not speak.
    pub foreign: u64,
    /// Packets that are no RTP or RTCP.
    pub malformed: u64,
    /// Packets of secured ports whose tag is wrong.
    pub unauthentic: u64,
    /// Authentic packets that came again.
    pub replayed: u64,
    /// Packets that came before their key.
    pub keyless: u64,
    /// Packets that could not be protected and were not sent.
    pub unsent: u64,
    /// Times that a peer fell silent.
    pub silences: u64,
    /// Frames looked at that were clipped, and that were silent.
    pub clipped: u64,
    /// See `clipped`.
    pub silent: u64,
}

impl Totals {
    /// Adds by how much a port's counters have grown since `told`, which becomes what they are now.
    pub fn grow(&mut self, told: &mut Self, stats: &PortStats) {
        let mut now = Self::of(stats);
        let sums = self.each().into_iter().zip(told.each());
        for ((sum, told), now) in sums.zip(now.each()) {
            // Losses are taken back when a packet comes late: the sum waits until they have caught up.
            *sum += now.saturating_sub(*told);
            *told = (*told).max(*now);
        }
    }

    /// Every counter once.
    fn each(&mut self) -> [&mut u64; 15] {
        let Self {
            received,
            lost,
            late,
            recovered,
            frames,
            concealed,
            foreign,
            malformed,
            unauthentic,
            replayed,
            keyless,
            unsent,
            silences,
            clipped,
            silent,
        } = self;
        [
            received,
            lost,
            late,
            recovered,
            frames,
            concealed,
            foreign,
            malformed,
            unauthentic,
            replayed,
            keyless,
            unsent,
            silences,
            clipped,
            silent,
        ]
    }

    fn of(stats: &PortStats) -> Self {
        Self {
            received: stats.received,
            lost: u64::try_from(stats.lost).unwrap_or(0),
            late: stats.late.into(),
            recovered: stats.recovered.into(),
            frames: stats.frames.into(),
            concealed: stats.concealed.into(),
            foreign: stats.foreign.into(),
            malformed: stats.malformed.into(),
            unauthentic: stats.unauthentic.into(),
            replayed: stats.replayed.into(),
            keyless: stats.keyless.into(),
            unsent: stats.unsent.into(),
            silences: stats.silences.into(),
            clipped: stats.sound.clipped.into(),
            silent: stats.sound.silent.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Totals;
    use crate::port::PortStats;

    #[test]
    fn sums_grow_by_what_was_not_told_yet_and_never_fall() {
        let (mut totals, mut told) = (Totals::default(), Totals::default());
        for (received, lost) in [(10, 3), (20, 1), (30, 4)] {
            let stats = PortStats {
                received,
                lost,
                ..PortStats::default()
            };
            totals.grow(&mut told, &stats);
        }
        assert_eq!((totals.received, totals.lost), (30, 4));
        // Another port.
        totals.grow(
            &mut Totals::default(),
            &PortStats {
                received: 5,
                ..PortStats::default()
            },
        );
        assert_eq!(totals.received, 35);
    }
}
