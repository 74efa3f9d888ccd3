//! The sixteen keys of a telephone (ITU-T Q.23), as RFC 4733 numbers them.

use std::fmt;

use clock::Duration;

/// One key: `0`–`9`, `*`, `#`, `A`–`D`. Its number is the telephone-event code, 0 to 15.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digit(u8);

const KEYS: [char; 16] = [
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D',
];

impl Digit {
    /// The key `0`.
    pub const ZERO: Self = Self(0);

    /// How many keys there are.
    pub const COUNT: usize = KEYS.len();

    /// Names the key with telephone-event code `event` (RFC 4733 §3.2), if it is a key.
    pub const fn from_event(event: u8) -> Option<Self> {
        if event < 16 { Some(Self(event)) } else { None }
    }

    /// Names the key that `key` is printed on; `a`–`d` count as `A`–`D`.
    pub fn from_char(key: char) -> Option<Self> {
        let key = key.to_ascii_uppercase();
        let code = KEYS.iter().position(|&k| k == key)?;
        u8::try_from(code).ok().map(Self)
    }

    /// The telephone-event code, 0 to 15.
    pub const fn event(self) -> u8 {
        self.0
    }

    /// What is printed on the key.
    pub const fn as_char(self) -> char {
        KEYS[(self.0 & 15) as usize]
    }

    /// The two tones of the key in hertz: row (697–941), column (1,209–1,633), by ITU-T Q.23.
    pub const fn tones_hz(self) -> (u16, u16) {
        let (row, column) = match self.0 {
            0 => (3, 1),
            10 => (3, 0),
            11 => (3, 2),
            key @ 1..=9 => ((key - 1) / 3, (key - 1) % 3),
            letter => (letter.saturating_sub(12) & 3, 3),
        };
        (ROWS_HZ[row as usize], COLUMNS_HZ[column as usize])
    }

    /// The key at the crossing of a row and a column of the keypad, each 0 to 3.
    pub fn at(row: usize, column: usize) -> Option<Self> {
        let key = *GRID.get(row)?.get(column)?;
        Self::from_event(key)
    }
}

impl fmt::Display for Digit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_char())
    }
}

impl fmt::Debug for Digit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digit({})", self.as_char())
    }
}

/// What one more piece of a stream has shown of keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Heard {
    /// A press is over: this key, after so long. It comes before `pressed`.
    pub released: Option<(Digit, Duration)>,
    /// A key has gone down.
    pub pressed: Option<Digit>,
}

/// The low tones, one for each row of the keypad, in hertz.
pub const ROWS_HZ: [u16; 4] = [697, 770, 852, 941];

/// The high tones, one for each column of the keypad, in hertz.
pub const COLUMNS_HZ: [u16; 4] = [1209, 1336, 1477, 1633];

const GRID: [[u8; 4]; 4] = [[1, 2, 3, 12], [4, 5, 6, 13], [7, 8, 9, 14], [10, 0, 11, 15]];

#[cfg(test)]
mod tests {
    use super::{COLUMNS_HZ, Digit, ROWS_HZ};

    #[test]
    fn every_key_is_named_by_its_character_its_event_and_its_tones() {
        for (event, key) in "0123456789*#ABCD".chars().enumerate() {
            let digit = Digit::from_char(key).unwrap();
            assert_eq!((usize::from(digit.event()), digit.as_char()), (event, key));
            let (low, high) = digit.tones_hz();
            let row = ROWS_HZ.iter().position(|&hz| hz == low).unwrap();
            let column = COLUMNS_HZ.iter().position(|&hz| hz == high).unwrap();
            assert_eq!(Digit::at(row, column), Some(digit));
        }
        assert_eq!((Digit::from_event(16), Digit::from_char('E')), (None, None));
    }
}
