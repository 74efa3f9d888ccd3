//! How losses lie: alone in a gap, or together in a burst (RFC 3611 §4.7.2), and how long they last in
//! a row.
//!
//! A burst begins and ends with a loss and has fewer than [`GMIN`] packets in a row between two losses;
//! a loss with that many around it is alone, and belongs to the gap. What has been said stays said: a
//! packet that comes after its place was counted as lost is not taken out again.

/// What became of the packets of one stream, in their order. A loss is a packet that gave no sound:
/// lost on the way, or too late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    /// Packets in all.
    total: u64,
    /// Losses in all, and runs of them.
    lost: u64,
    runs: u64,
    /// Packets that came since the last loss.
    since: u64,
    /// The losses that lie close together at the end: packets from the first to the last, and losses.
    cluster: Cluster,
    /// Bursts that are over, their packets and losses.
    bursts: u64,
    in_bursts: Cluster,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cluster {
    packets: u64,
    lost: u64,
}

/// Bursts and gaps as an extended report has them. Durations are in packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    /// Share of losses within bursts, in 256ths.
    pub burst_density: u8,
    /// Share of losses outside of bursts, in 256ths.
    pub gap_density: u8,
    /// The mean length of a burst.
    pub burst_packets: u64,
    /// The mean length of what is between.
    pub gap_packets: u64,
}

impl Runs {
    /// The next packet came `ahead` places after the one before: those between did not.
    pub fn came(&mut self, ahead: u64) {
        if ahead > 1 {
            self.lose(ahead - 1);
        }
        self.total += 1;
        self.since += 1;
    }

    /// The packet that came last was of no use.
    pub fn last_was_late(&mut self) {
        if let Some(since) = self.since.checked_sub(1) {
            (self.since, self.total) = (since, self.total - 1);
            self.lose(1);
        }
    }

    fn lose(&mut self, count: u64) {
        self.runs += u64::from(self.since > 0 || self.lost == 0);
        let apart = self.since >= GMIN;
        if apart || self.lost == 0 {
            self.end_cluster();
            self.cluster.packets = count;
        } else {
            self.cluster.packets += self.since + count;
        }
        self.cluster.lost += count;
        self.lost += count;
        self.total += count;
        self.since = 0;
    }

    fn end_cluster(&mut self) {
        let Cluster { packets, lost } = std::mem::take(&mut self.cluster);
        if lost > 1 {
            self.bursts += 1;
            self.in_bursts.packets += packets;
            self.in_bursts.lost += lost;
        }
    }

    /// How much longer losses in a row are than chance would have them; 1 at least (G.107 §3.3).
    pub fn burst_ratio(&self) -> f64 {
        if self.lost == 0 || self.total == 0 {
            return 1.0;
        }
        let mean = self.lost as f64 / self.runs.max(1) as f64;
        let by_chance = 1.0 / (1.0 - self.lost as f64 / self.total as f64).max(0.01);
        (mean / by_chance).max(1.0)
    }

    /// Bursts and gaps until now.
    pub fn gaps(&self) -> Gaps {
        let mut whole = *self;
        whole.end_cluster();
        let Self {
            total,
            lost,
            bursts,
            in_bursts,
            ..
        } = whole;
        let share = |lost: u64, packets: u64| match packets {
            0 => 0,
            packets => u8::try_from(lost * 256 / packets).unwrap_or(u8::MAX),
        };
        let outside = total - in_bursts.packets;
        Gaps {
            burst_density: share(in_bursts.lost, in_bursts.packets),
            gap_density: share(lost - in_bursts.lost, outside),
            burst_packets: in_bursts.packets.checked_div(bursts).unwrap_or(0),
            gap_packets: outside / (bursts + 1),
        }
    }
}

/// Packets in a row that end a burst (RFC 3611 §4.7.2: "usually set to 16").
pub const GMIN: u64 = 16;

#[cfg(test)]
mod tests {
    use super::{Gaps, Runs};

    /// `x` is a loss, `.` a packet that came, `l` one that came too late.
    fn of(story: &str) -> Runs {
        let mut runs = Runs::default();
        let mut ahead = 1;
        for packet in story.chars() {
            if packet == 'x' {
                ahead += 1;
                continue;
            }
            runs.came(ahead);
            ahead = 1;
            if packet == 'l' {
                runs.last_was_late();
            }
        }
        runs
    }

    // covers: RFC 3611 §4.7.2
    #[test]
    fn a_loss_alone_belongs_to_the_gap_and_two_close_ones_are_a_burst() {
        let calm = ".".repeat(16);
        let alone = of(&format!("{calm}x{calm}x{calm}"));
        let want = Gaps {
            gap_density: (2 * 256 / 50) as u8,
            gap_packets: 50,
            ..Gaps::default()
        };
        assert_eq!(alone.gaps(), want);
        // The example of the RFC: two losses with fifteen between them.
        let burst = of(&format!("{calm}x{}x{calm}", ".".repeat(15)));
        let want = Gaps {
            burst_density: (2 * 256 / 17) as u8,
            gap_density: 0,
            burst_packets: 17,
            gap_packets: 16,
        };
        assert_eq!(burst.gaps(), want);
        let many = of(&format!("{calm}xxx.x{calm}x{calm}xx{calm}"));
        let gaps = many.gaps();
        assert_eq!((gaps.burst_packets, gaps.burst_density), (3, 219));
        assert_eq!(gaps.gap_density, (256 / (4 * 16 + 1)) as u8);
    }

    // covers: RFC 3611 §4.7.2
    #[test]
    fn a_late_packet_is_a_loss_where_it_came() {
        let calm = ".".repeat(16);
        let late = of(&format!("{calm}lll{calm}"));
        assert_eq!(late.gaps(), of(&format!("{calm}xxx{calm}")).gaps());
    }

    #[test]
    fn chance_has_a_burst_ratio_of_one_and_rows_have_more() {
        assert_eq!(of("......").burst_ratio(), 1.0);
        let alternate = ".....x".repeat(50);
        assert_eq!(of(&format!("{alternate}.")).burst_ratio(), 1.0);
        let rows = of(&format!("{}.", "................xxxx".repeat(50)));
        assert!(
            (rows.burst_ratio() - 3.2).abs() < 0.05,
            "{}",
            rows.burst_ratio()
        );
        let mut leap = Runs::default();
        leap.came(u64::from(u16::MAX));
        assert!(leap.burst_ratio() >= 1.0 && leap.gaps().burst_density >= 254);
    }
}
