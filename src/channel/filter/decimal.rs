//! Decimal numbers in text, compared without being converted: exact at any size, no allocation.
//!
//! Upstream: the module quagmt/udecimal as centrifuge internal/filter uses it.

use std::cmp::Ordering;

/// Longest text that is a number.
const MAX_LEN: usize = 200;

/// Most digits behind the point.
const MAX_FRACTION: usize = 19;

/// A number as its digits, without the zeros that mean nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decimal<'t> {
    /// Never set for zero.
    is_negative: bool,
    whole: &'t [u8],
    fraction: &'t [u8],
}

impl<'t> Decimal<'t> {
    /// Digits with an optional sign, an optional point with digits on both sides of it, and nothing else; nothing for
    /// any other text, and for one that is too long.
    pub fn parse(text: &'t str) -> Option<Self> {
        if text.len() > MAX_LEN {
            return None;
        }
        let (sign, digits) = match text.as_bytes() {
            [sign @ (b'-' | b'+'), digits @ ..] => (*sign, digits),
            digits => (b'+', digits),
        };
        let (whole, fraction) = match memchr::memchr(b'.', digits) {
            Some(at) => (&digits[..at], Some(&digits[at + 1..])),
            None => (digits, None),
        };
        let is_digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
        if !is_digits(whole) || fraction.is_some_and(|part| !is_digits(part) || part.len() > MAX_FRACTION) {
            return None;
        }
        let leading = whole.iter().take_while(|digit| **digit == b'0').count();
        let fraction = fraction.unwrap_or_default();
        let trailing = fraction.iter().rev().take_while(|digit| **digit == b'0').count();
        let (whole, fraction) = (&whole[leading..], &fraction[..fraction.len() - trailing]);
        let is_zero = whole.is_empty() && fraction.is_empty();
        Some(Self { is_negative: sign == b'-' && !is_zero, whole, fraction })
    }
}

impl Ord for Decimal<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let size = |number: &Self| (number.whole.len(), number.whole, number.fraction);
        match (self.is_negative, other.is_negative) {
            (false, false) => size(self).cmp(&size(other)),
            (true, true) => size(other).cmp(&size(self)),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Decimal<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_plain_decimals_are_numbers() {
        for good in ["0", "-0", "+1", "007", "1.0", "-12.50", "0.0000000000000000001", &"9".repeat(200)] {
            assert!(Decimal::parse(good).is_some(), "{good}");
        }
        let long = "9".repeat(201);
        for bad in ["", "-", "+", ".", "1.", ".1", "-.1", "1.2.3", "1e3", " 1", "1_0", "0x1", "--1", "+-1", "é", &long]
        {
            assert!(Decimal::parse(bad).is_none(), "{bad}");
        }
        assert!(Decimal::parse("0.00000000000000000001").is_none(), "twenty digits behind the point");
    }

    #[test]
    fn size_is_what_counts() {
        let sorted = ["-100", "-9.5", "-9.45", "-0.1", "0", "0.05", "0.1", "9", "9.000001", "10", "99", "100.0"];
        for (at, low) in sorted.iter().enumerate() {
            for high in &sorted[at + 1..] {
                assert!(Decimal::parse(low) < Decimal::parse(high), "{low} < {high}");
            }
        }
        for (one, other) in [("0", "-0.00"), ("10", "+010.0"), ("-1.50", "-01.5")] {
            assert_eq!(Decimal::parse(one), Decimal::parse(other));
        }
    }

    proptest! {
        #[test]
        fn as_integers_in_thousandths(one: i32, other: i32) {
            let text = |number: i32| {
                let (sign, size) = (if number < 0 { "-" } else { "" }, number.unsigned_abs());
                format!("{sign}{}.{:03}", size / 1000, size % 1000)
            };
            let (left, right) = (text(one), text(other));
            let compared = Decimal::parse(&left).unwrap().cmp(&Decimal::parse(&right).unwrap());
            prop_assert_eq!(compared, one.cmp(&other));
        }
    }
}
