//! Numbers as people read them: `51,813` in tables, `1.2 ms` and `52 k` in sentences and on axes.

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// For a table: grouped, with `decimals` below the point; a dash for what is not a number.
pub(crate) fn decimal(number: f64, decimals: usize) -> String {
    if !number.is_finite() {
        return NOTHING.to_owned();
    }
    let text = format!("{:.decimals$}", number.abs());
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    // Beyond 2^64 the digits are exact nonsense anyway: print them as they are.
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), grouped);
    let sign = if number < 0.0 { "-" } else { "" };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}")
}

/// Microseconds in a table, to what three digits of a histogram can tell: `49.6`, `512`, `12,345`.
pub(crate) fn table_us(us: f64) -> String {
    decimal(us, usize::from(us < 100.0))
}

/// Microseconds in a sentence, with the unit that fits: `49.6 µs`, `1.2 ms`, `3.1 s`.
pub(crate) fn duration(us: f64) -> String {
    let (scaled, unit) = match us {
        _ if !us.is_finite() => return NOTHING.to_owned(),
        _ if us < 1.0 => (us * 1e3, "ns"),
        _ if us < 1e3 => (us, "µs"),
        _ if us < 1e6 => (us / 1e3, "ms"),
        _ => (us / 1e6, "s"),
    };
    format!("{} {unit}", three_digits(scaled))
}

/// A count or a rate in a sentence: `950`, `51.8 k`, `1.2 M`.
pub(crate) fn short(number: f64) -> String {
    let (scaled, unit) = match number.abs() {
        _ if !number.is_finite() => return NOTHING.to_owned(),
        size if size < 1e3 => (number, ""),
        size if size < 1e6 => (number / 1e3, " k"),
        size if size < 1e9 => (number / 1e6, " M"),
        _ => (number / 1e9, " G"),
    };
    format!("{}{unit}", three_digits(scaled))
}

/// What stands where nothing was measured.
pub(crate) const NOTHING: &str = "—";

/// Three significant digits without trailing zeros: `1.25`, `51.8`, `120`, `2`.
fn three_digits(number: f64) -> String {
    let decimals = match number.abs() {
        size if size < 9.995 => 2,
        size if size < 99.95 => 1,
        _ => 0,
    };
    let text = format!("{number:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!(decimal(-1234.56, 1), "-1,234.6");
        assert_eq!(decimal(f64::NAN, 1), NOTHING);
        assert_eq!(table_us(49.64), "49.6");
        assert_eq!(table_us(12_345.6), "12,346");
        assert_eq!(duration(0.25), "250 ns");
        assert_eq!(duration(49.64), "49.6 µs");
        assert_eq!(duration(1_250.0), "1.25 ms");
        assert_eq!(duration(2_000_000.0), "2 s");
        assert_eq!(short(0.0), "0");
        assert_eq!(short(51_813.0), "51.8 k");
        assert_eq!(short(120_000.0), "120 k");
        assert_eq!(short(2_000_000.0), "2 M");
    }
}
