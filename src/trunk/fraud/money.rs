//! Amounts of money, exact to a millionth, in whatever currency the operator counts.

use std::fmt;
use std::str::FromStr;

/// Millionths of the currency's unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Money(pub u64);

/// What a call costs: a fee when it is answered, and so much a minute, by the millisecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Price {
    /// For each minute.
    pub minute: Money,
    /// For each answered call.
    pub call: Money,
}

impl Price {
    /// Whether it costs nothing.
    pub const fn is_free(self) -> bool {
        self.minute.0 == 0 && self.call.0 == 0
    }
}

/// The text is no amount: digits, and up to six more behind a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMoney;

impl FromStr for Money {
    type Err = NoMoney;

    fn from_str(text: &str) -> Result<Self, NoMoney> {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let dangling = text.ends_with('.') || whole.is_empty();
        if dangling || !digits(whole) || !digits(part) || part.len() > DECIMALS || whole.len() > 9 {
            return Err(NoMoney);
        }
        let whole: u64 = whole.parse().map_err(|_| NoMoney)?;
        let part: u64 = format!("{part:0<6}").parse().map_err(|_| NoMoney)?;
        Ok(Self(whole * UNIT + part))
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = format!("{:06}", self.0 % UNIT);
        let part = part.trim_end_matches('0');
        write!(f, "{}.{part:0<2}", self.0 / UNIT)
    }
}

impl FromStr for Price {
    type Err = NoMoney;

    /// `0.02` a minute, or `0.02 + 0.05`: a minute and each call.
    fn from_str(text: &str) -> Result<Self, NoMoney> {
        let (minute, call) = text.split_once('+').unwrap_or((text, "0"));
        Ok(Self {
            minute: minute.trim().parse()?,
            call: call.trim().parse()?,
        })
    }
}

const DECIMALS: usize = 6;
const UNIT: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_exact_and_prints_as_it_is_read() {
        let table = [
            ("0.02", 20_000, "0.02"),
            ("12", 12_000_000, "12.00"),
            ("0.000001", 1, "0.000001"),
            ("999999999.5", 999_999_999_500_000, "999999999.50"),
        ];
        for (text, millionths, printed) in table {
            let money: Money = text.parse().unwrap();
            assert_eq!((money.0, money.to_string().as_str()), (millionths, printed));
        }
        for bad in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "1e3",
            "0.0000001",
            "1,5",
            "9999999999",
        ] {
            assert_eq!(bad.parse::<Money>(), Err(NoMoney), "{bad}");
        }
        let price: Price = "0.02 + 0.05".parse().unwrap();
        assert_eq!((price.minute.0, price.call.0), (20_000, 50_000));
    }
}
