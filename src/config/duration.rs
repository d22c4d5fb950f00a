//! Durations as Go writes them: `1m30s`, `-1.5h`, `100ms`. Mirrors `time.ParseDuration` and `Duration.String`.

const UNITS: [(&str, i64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Nanoseconds of a duration; `None` when the text is not one or does not fit 64 bits.
pub fn parse(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let whole_len = digits(rest);
        let (whole, after) = rest.split_at(whole_len);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(behind) => behind.split_at(digits(behind)),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let unit_len = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_len);
        let scale = i128::from(UNITS.iter().find(|(name, _)| *name == unit)?.1);
        if !whole.is_empty() {
            total = total.checked_add(whole.parse::<i128>().ok()?.checked_mul(scale)?)?;
        }
        // Digits of a fraction beyond the nineteenth are below a nanosecond for every unit.
        let fraction = &fraction[..fraction.len().min(19)];
        if !fraction.is_empty() {
            total = total.checked_add(fraction.parse::<i128>().ok()? * scale / 10i128.pow(fraction.len() as u32))?;
        }
        rest = after;
    }
    i64::try_from(if negative { -total } else { total }).ok()
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// The duration as Go prints it.
pub fn format(ns: i64) -> String {
    if ns == 0 {
        return "0s".to_owned();
    }
    let sign = if ns < 0 { "-" } else { "" };
    let ns = ns.unsigned_abs();
    if ns < 1_000_000_000 {
        let (unit, scale) = match ns {
            0..1_000 => ("ns", 1),
            1_000..1_000_000 => ("\u{b5}s", 1_000),
            _ => ("ms", 1_000_000),
        };
        return format!("{sign}{}{unit}", decimal(ns, scale));
    }
    let seconds = ns / 1_000_000_000;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let seconds = decimal(ns % 60_000_000_000, 1_000_000_000);
    match (hours, minutes) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, _) => format!("{sign}{minutes}m{seconds}s"),
        _ => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

/// `value / scale` with as many decimals as needed.
fn decimal(value: u64, scale: u64) -> String {
    let (whole, rest) = (value / scale, value % scale);
    if rest == 0 {
        return whole.to_string();
    }
    let width = scale.ilog10() as usize;
    format!("{whole}.{}", format!("{rest:0width$}").trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, ns: impl Into<Option<i64>>) {
        assert_eq!(parse(text), ns.into(), "{text}");
    }

    #[test]
    fn parses_what_go_parses() {
        check("0", 0);
        check("5s", 5_000_000_000);
        check("1h2m3s", 3_723_000_000_000);
        check("1.5h", 5_400_000_000_000);
        check(".5s", 500_000_000);
        check("5.s", 5_000_000_000);
        check("-8s", -8_000_000_000);
        check("+1us", 1_000);
        check("1\u{b5}s1\u{3bc}s", 2_000);
        check("100ms", 100_000_000);
        check("2562047h47m16.854775807s", i64::MAX);
    }

    #[test]
    fn refuses_what_go_refuses() {
        for text in
            ["", "25", "5 parsecs", "s", ".s", "-", "1d", "5 s", "2562048h", "99999999999999999999999999999999999999h"]
        {
            check(text, None);
        }
    }

    #[test]
    fn prints_as_go_prints() {
        for (ns, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5\u{b5}s"),
            (100_000_000, "100ms"),
            (1_000_000_000, "1s"),
            (60_000_000_000, "1m0s"),
            (90_500_000_000, "1m30.5s"),
            (2_592_000_000_000_000, "720h0m0s"),
            (-1_000_000_000, "-1s"),
        ] {
            assert_eq!(format(ns), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_back(ns in any::<i64>()) {
            prop_assume!(ns != i64::MIN);
            prop_assert_eq!(parse(&format(ns)), Some(ns));
        }
    }
}
