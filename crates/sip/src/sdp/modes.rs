//! The modes of AMR-WB that a stream is held to (`mode-set`, RFC 4867 §8.1 and §8.3.1).
//!
//! A set binds both directions and is answered unmodified or not at all; only who was offered none may choose one. So
//! legs between which it is relayed must have the same.

use std::fmt;

/// Some of the speech modes 0 to 8, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModeSet(u16);

impl ModeSet {
    /// Reads `mode-set` among the parameters of an `a=fmtp`; `None` where all modes may be used, and for what is no set.
    pub(super) fn read(parameters: &str) -> Option<Self> {
        let named = |parameter: &str| {
            let (name, value) = parameter.split_once('=')?;
            let is_set = name.trim().eq_ignore_ascii_case("mode-set");
            is_set.then(|| value.trim().to_owned())
        };
        let list = parameters.split(';').find_map(named)?;
        let mode = |text: &str| {
            text.trim()
                .parse::<u16>()
                .ok()
                .filter(|&mode| mode <= MODE_MAX)
        };
        let modes: Option<Vec<u16>> = list.split(',').map(mode).collect();
        let bits = modes?.into_iter().fold(0, |bits, mode| bits | 1 << mode);
        Some(Self(bits))
    }
}

impl fmt::Display for ModeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for mode in (0..=MODE_MAX).filter(|mode| self.0 & (1 << mode) != 0) {
            write!(f, "{between}{mode}")?;
            between = ",";
        }
        Ok(())
    }
}

/// 23.85 kbit/s.
const MODE_MAX: u16 = 8;
