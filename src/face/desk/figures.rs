//! How the sound of a desk's calls fares, told each second: measured at the server, so that a page whose
//! microphone is dead knows it before its agent does.

use std::time::Duration;

use clock::Now;
use serde_json::json;

use super::calls::Stage;
use super::machine::{Ask, Desk};
use crate::call::CallId;
use crate::store::LegRow;

/// The counters that were there when figures were told last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Before {
    received: u64,
    lost: i64,
}

impl Desk {
    /// A call stands: its figures are told from now on.
    pub(super) fn watch_figures(&mut self, now: Now) {
        if self.figures_at.is_none() {
            self.figures_at = Some(now + EVERY);
        }
    }

    /// Asks for the figures of the calls that stand.
    pub(super) fn ask_figures(&mut self, now: Now) {
        let up = self.calls.iter().filter(|call| call.stage == Stage::Up);
        let calls: Vec<(String, CallId)> = up
            .clone()
            .filter_map(|call| Some((call.name.clone(), call.id?)))
            .collect();
        let stands = up.count() > 0;
        // Asked again when these have come.
        self.figures_at = None;
        let Some(line) = &self.line else { return };
        if !calls.is_empty() {
            let endpoint = line.user().to_owned();
            self.ask(Ask::Figures { endpoint, calls });
        } else if stands {
            self.figures_at = Some(now + EVERY);
        }
    }

    pub(super) fn on_figures(&mut self, now: Now, figures: Vec<(String, LegRow)>) {
        for (name, leg) in figures {
            let Some(call) = self.call_mut(&name) else {
                continue;
            };
            let is = Before {
                received: leg.received,
                lost: leg.lost,
            };
            let before = call.before.replace(is).unwrap_or_default();
            let told = json!({
                "call": name,
                "mos": worse(leg.mos, leg.peer_mos),
                "loss": loss(before, is),
                "jitter_ms": leg.jitter_max_ms,
                "rtt_ms": leg.round_trip_ms,
                "unheard": call.unheard,
            });
            self.say("quality", told);
        }
        if self.calls.iter().any(|call| call.stage == Stage::Up) {
            self.watch_figures(now);
        }
    }

    /// Nothing is heard of the page, or something again: told at once.
    pub(super) fn on_heard(&mut self, now: Now, id: CallId, unheard: bool) {
        let call = self.calls.iter_mut().find(|call| call.id == Some(id));
        let Some(call) = call.filter(|call| call.unheard != unheard) else {
            return;
        };
        call.unheard = unheard;
        let told = json!({"call": call.name, "unheard": unheard});
        self.say("quality", told);
        self.watch_figures(now);
    }
}

/// The share of the packets since then that never came, 0 to 1.
fn loss(before: Before, is: Before) -> f64 {
    let lost = is.lost.saturating_sub(before.lost).max(0);
    let received = is.received.saturating_sub(before.received);
    let sent = lost as f64 + received as f64;
    if sent > 0.0 { lost as f64 / sent } else { 0.0 }
}

/// The worse of two opinions: what he says at the server, and what he hears.
fn worse(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

const EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_is_that_of_the_last_second() {
        let at = |received, lost| Before { received, lost };
        let table = [
            (at(0, 0), at(50, 0), 0.0),
            (at(50, 0), at(90, 10), 0.2),
            (at(90, 10), at(140, 8), 0.0),
            (at(90, 10), at(90, 10), 0.0),
            (at(90, 10), at(90, 60), 1.0),
        ];
        for (before, is, want) in table {
            assert!((loss(before, is) - want).abs() < 1e-9, "{is:?}");
        }
        assert_eq!(worse(Some(4.0), Some(3.0)), Some(3.0));
        assert_eq!(worse(None, Some(3.0)), Some(3.0));
    }
}
