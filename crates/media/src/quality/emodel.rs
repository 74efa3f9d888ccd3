//! The E-model (ITU-T G.107, 06/2015): from delay and loss to a rating R, and from that to a MOS.
//!
//! All that belongs to the telephones and the room has the Recommendation's default values, so that what
//! is left are the network's delay and loss and the codec: R = 93.2 for the best path there is. The
//! scale is the narrowband one for every codec, so that legs can be compared; a wideband codec sounds
//! better than its 4.41.

use clock::Duration;

use crate::Codec;

/// What a codec costs of the rating, and how it stands loss (ITU-T G.113 Appendix I).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Robustness {
    /// The impairment without loss, Ie.
    pub equipment: f64,
    /// The robustness against loss, Bpl: the percentage of lost packets that costs half of what is left.
    pub loss: f64,
}

impl Robustness {
    /// Of a codec whose losses the listener conceals.
    ///
    /// G.711 has the figures of G.113 with the concealment of G.711 Appendix I, which ours is in the manner of.
    /// G.722, L16 and Opus have none on this scale: they are put as high as G.711, and what Opus
    /// makes good by itself is not counted as lost in the first place. G.729 has the figures of G.729A with
    /// its silence suppression; AMR-WB, which has none on this scale, stands loss as it does.
    pub const fn of(codec: Codec) -> Self {
        match codec {
            Codec::Pcmu | Codec::Pcma | Codec::G722 | Codec::L16 | Codec::L16Wide | Codec::Opus => {
                Self {
                    equipment: 0.0,
                    loss: 25.1,
                }
            }
            Codec::G729 => Self {
                equipment: 11.0,
                loss: 19.0,
            },
            Codec::AmrWb => Self {
                equipment: 0.0,
                loss: 19.0,
            },
        }
    }
}

/// What lies between a mouth and an ear.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Path {
    /// One way, mouth to ear.
    pub delay: Duration,
    /// Packets without sound: lost, or too late; percent of those sent.
    pub loss_percent: f64,
    /// How much longer losses in a row are than chance would have them: 1 for chance, BurstR.
    pub burst_ratio: f64,
}

/// A rating on the E-model's scale: 0 (nobody could talk) to 93.2 (nothing is wrong).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rating(u16);

impl Rating {
    /// Kept in hundredths.
    fn new(r: f64) -> Self {
        // At most 10,000.
        Self((r.clamp(0.0, 100.0) * 100.0).round() as u16)
    }

    /// A rating that another one reports, 0 to 100.
    pub fn reported(r: u8) -> Self {
        Self::new(r.into())
    }

    /// R.
    pub fn r(self) -> f64 {
        f64::from(self.0) / 100.0
    }

    /// The mean opinion that listeners would give in conversation (MOS-CQE), 1 to 4.5 (G.107 Annex B).
    pub fn mos(self) -> f64 {
        let r = self.r();
        // Below 6.5 the polynomial would fall below the worst there is.
        (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).clamp(1.0, 4.5)
    }
}

/// Rates a path for one codec: R = Ro − Is − Id − Ie,eff.
pub fn rate(robustness: Robustness, path: &Path) -> Rating {
    let delay_ms = path.delay.as_secs_f64() * 1e3;
    Rating::new(BASE - by_delay(delay_ms) - by_loss(robustness, path))
}

/// Ie,eff (G.107 §7.5).
fn by_loss(robustness: Robustness, path: &Path) -> f64 {
    let Robustness { equipment, loss } = robustness;
    let lost = path.loss_percent.clamp(0.0, 100.0);
    let burst_ratio = path.burst_ratio.max(1.0);
    equipment + (95.0 - equipment) * lost / (lost / burst_ratio + loss)
}

/// Id (G.107 §7.4): talker's echo, listener's echo, and delay as such, for T = Ta = Tr / 2.
fn by_delay(ms: f64) -> f64 {
    let talker = {
        let echo = TALKER_ECHO_DB - 40.0 * ((1.0 + ms / 10.0) / (1.0 + ms / 150.0)).log10()
            + 6.0 * (-0.3 * ms * ms).exp();
        let difference = RO - (80.0 + 2.5 * (echo - 14.0));
        (difference / 2.0 + (difference * difference / 4.0 + 100.0).sqrt() - 1.0)
            * (1.0 - (-ms).exp())
    };
    let listener = {
        let echo = 10.5 * (LISTENER_ECHO_DB + 7.0) * (2.0 * ms + 1.0).powf(-0.25);
        let difference = RO - echo;
        difference / 2.0 + (difference * difference / 4.0 + 169.0).sqrt()
    };
    let alone = if ms > 100.0 {
        let x = (ms / 100.0).log2();
        let rise = |by: f64| (1.0 + (x / by).powi(6)).powf(1.0 / 6.0);
        25.0 * (rise(1.0) - 3.0 * rise(3.0) + 2.0)
    } else {
        0.0
    };
    talker + listener + alone
}

/// Ro by default: the signal above all noise (G.107 §7.2).
const RO: f64 = 94.769;
/// Ro − Is by default, Is being 1.414 (G.107 §7.3).
const BASE: f64 = 93.355;
/// TELR and WEPL by default (G.107 table 2).
const TALKER_ECHO_DB: f64 = 65.0;
const LISTENER_ECHO_DB: f64 = 110.0;

#[cfg(test)]
mod tests {
    use super::*;

    /// Ro and Is of the default values of G.107 table 2, by §7.2 and §7.3.
    fn defaults() -> (f64, f64) {
        let (slr, rlr, stmr, telr) = (8.0_f64, 2.0_f64, 15.0_f64, 65.0_f64);
        let (d_s, d_r, p_s, p_r) = (3.0_f64, 3.0_f64, 35.0_f64, 35.0_f64);
        let (nc, nfor, olr) = (-70.0_f64, -64.0_f64, slr + rlr);
        let power = |db: f64| 10_f64.powf(db / 10.0);
        let nos = p_s - slr - d_s - 100.0 + 0.004 * (p_s - olr - d_s - 14.0).powi(2);
        let pre = p_r + 10.0 * (1.0 + power(10.0 - (stmr + d_r))).log10();
        let nor = rlr - 121.0 + pre + 0.008 * (pre - 35.0).powi(2);
        let no = 10.0 * (power(nc) + power(nos) + power(nor) + power(nfor + rlr)).log10();
        let ro = 15.0 - 1.5 * (slr + no);
        let xolr = olr + 0.2 * (64.0 + no - rlr);
        let iolr = 20.0 * ((1.0 + (xolr / 8.0).powi(8)).powf(0.125) - xolr / 8.0);
        let stmro = -10.0 * (power(-stmr) + power(-telr)).log10();
        let ist = 12.0 * (1.0 + ((stmro - 13.0) / 6.0).powi(8)).powf(0.125)
            - 28.0 * (1.0 + ((stmro + 1.0) / 19.4).powi(35)).powf(1.0 / 35.0)
            - 13.0 * (1.0 + ((stmro - 3.0) / 33.0).powi(13)).powf(1.0 / 13.0)
            + 29.0;
        let q = 37.0_f64;
        let g = 1.07 + 0.258 * q + 0.0602 * q * q;
        let y = (ro - 100.0) / 15.0 + 46.0 / 8.4 - g / 9.0;
        let z = 46.0 / 30.0 - g / 40.0;
        let iq = 15.0 * (1.0 + 10_f64.powf(y) + 10_f64.powf(z)).log10();
        (ro, iolr + ist + iq)
    }

    fn g711(delay_ms: u64, loss_percent: f64, burst_ratio: f64) -> Rating {
        let path = Path {
            delay: Duration::from_millis(delay_ms),
            loss_percent,
            burst_ratio,
        };
        rate(Robustness::of(Codec::Pcma), &path)
    }

    #[test]
    fn the_constants_are_those_of_the_default_values() {
        let (ro, is) = defaults();
        assert!((ro - RO).abs() < 0.001, "{ro}");
        assert!((ro - is - BASE).abs() < 0.001, "{ro} {is}");
    }

    #[test]
    fn the_best_path_has_the_rating_that_the_recommendation_names() {
        let best = g711(0, 0.0, 1.0);
        assert!((best.r() - 93.2).abs() < 0.05, "{best:?}");
        assert!((best.mos() - 4.41).abs() < 0.005, "{}", best.mos());
    }

    #[test]
    fn loss_costs_what_the_formula_says_and_in_bursts_more() {
        for (loss, burst, costs) in [
            (1.0, 1.0, 95.0 / 26.1),
            (5.0, 1.0, 5.0 * 95.0 / 30.1),
            (5.0, 2.0, 5.0 * 95.0 / 27.6),
            (20.0, 1.0, 20.0 * 95.0 / 45.1),
        ] {
            let r = g711(0, 0.0, 1.0).r() - g711(0, loss, burst).r();
            assert!(
                (r - costs).abs() < 0.02,
                "{loss} {burst}: {r}, want {costs}"
            );
        }
        // 5 % at random: 4.41 falls to 3.92.
        let mos = g711(0, 5.0, 1.0).mos();
        assert!((mos - 3.92).abs() < 0.01, "{mos}");
    }

    #[test]
    fn delay_costs_little_until_150_ms_and_much_from_300_ms_on() {
        let r = |ms| g711(ms, 0.0, 1.0).r();
        assert!(r(150) > 86.0 && r(150) < 90.5, "{}", r(150));
        assert!(r(400) > 55.0 && r(400) < 65.0, "{}", r(400));
        let mut before = r(0);
        for ms in (10..2_000).step_by(10) {
            let now = r(ms);
            assert!(now <= before + 0.011, "{ms}: {before} {now}");
            before = now;
        }
    }

    #[test]
    fn nothing_is_rated_worse_than_nothing() {
        let worst = g711(5_000, 100.0, 50.0);
        assert_eq!((worst.r(), worst.mos()), (0.0, 1.0));
        let odd = g711(0, f64::INFINITY, f64::NAN);
        assert!((0.0..=100.0).contains(&odd.r()));
    }
}
