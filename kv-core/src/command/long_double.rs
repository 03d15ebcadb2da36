//! The 80-bit floats of `INCRBYFLOAT`. Redis computes in C's `long double` and prints `%.17Lf`
//! without trailing zeros; a 64-bit float would answer 0.30000000000000004 where Redis says 0.3.

use std::fmt;
use std::str::FromStr;

use rustc_apfloat::Float;
use rustc_apfloat::ieee::X87DoubleExtended;

/// An x87 double-extended number.
#[derive(Clone, Copy)]
pub(super) struct LongDouble(X87DoubleExtended);

/// Digits behind the point in `%.17Lf`.
const DECIMALS: usize = 17;

/// Texts that Redis reads as numbers are shorter (`MAX_LONG_DOUBLE_CHARS`, with C's final NUL).
const TEXT_BYTES_MAX: usize = 5 * 1024;

/// Exponent bias, and the fraction bits of the 64-bit significand.
const EXPONENT_BIAS: i32 = 16_383;
const FRACTION_BITS: i32 = 63;

impl LongDouble {
    pub(super) const ZERO: Self = Self(X87DoubleExtended::ZERO);

    /// Reads a whole text as C's `strtold` does; blanks and `nan` are refused, as Redis refuses
    /// them.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok().filter(|text| text.len() < TEXT_BYTES_MAX)?;
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let negative = text.starts_with('-');
        if unsigned.eq_ignore_ascii_case("inf") || unsigned.eq_ignore_ascii_case("infinity") {
            let infinity = X87DoubleExtended::INFINITY;
            return Some(Self(if negative { -infinity } else { infinity }));
        }
        let value = parse_finite(&unsigned.to_ascii_lowercase())?;
        Some(Self(if negative { -value } else { value }))
    }

    /// The sum, unless it is infinite or not a number.
    pub(super) fn add(self, other: Self) -> Option<Self> {
        Some((self.0 + other.0).value).filter(|sum| sum.is_finite()).map(Self)
    }
}

/// Reads `12.5e3` or `0x1.8p3`; what is too large or too small for a long double is refused.
fn parse_finite(lower: &str) -> Option<X87DoubleExtended> {
    let hexadecimal = lower.strip_prefix("0x");
    let (digits, radix, mark) = match hexadecimal {
        Some(digits) => (digits, 16, 'p'),
        None => (lower, 10, 'e'),
    };
    let (mantissa, exponent) = digits.split_once(mark).unwrap_or((digits, "0"));
    let exponent_digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut mantissa_digits = whole.chars().chain(fraction.chars());
    let is_number = mantissa.len() > usize::from(mantissa.contains('.'))
        && mantissa_digits.clone().all(|digit| digit.is_digit(radix))
        && !exponent_digits.is_empty()
        && exponent_digits.bytes().all(|digit| digit.is_ascii_digit());
    if !is_number {
        return None;
    }
    if mantissa_digits.all(|digit| digit == '0') {
        return Some(X87DoubleExtended::ZERO);
    }
    let prefix = if hexadecimal.is_some() { "0x" } else { "" };
    let value = X87DoubleExtended::from_str(&format!("{prefix}{mantissa}{mark}{exponent}"));
    value.ok().filter(|value| value.is_finite() && !value.is_zero())
}

impl fmt::Display for LongDouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.0.to_bits();
        let significand = bits as u64;
        let exponent = (bits >> 64) as i32 & 0x7fff;
        // The value is significand × 2^exponent; subnormals share the lowest exponent.
        let exponent = exponent.max(1) - EXPONENT_BIAS - FRACTION_BITS;
        let text = match u32::try_from(exponent) {
            Ok(exponent) => shifted_left(significand, exponent),
            Err(_) => with_decimals(significand, exponent.unsigned_abs()),
        };
        let negative = self.0.is_negative() && text != "0";
        write!(f, "{}{text}", if negative { "-" } else { "" })
    }
}

/// `significand / 2^shift`, rounded half to even at the last decimal.
fn with_decimals(significand: u64, shift: u32) -> String {
    let scaled = u128::from(significand) * 10u128.pow(DECIMALS as u32);
    let rounded = if shift >= u128::BITS {
        0
    } else {
        let (whole, rest) = (scaled >> shift, scaled & ((1 << shift) - 1));
        let half = 1u128 << (shift - 1);
        whole + u128::from(rest > half || rest == half && whole % 2 == 1)
    };
    let unit = 10u128.pow(DECIMALS as u32);
    let text = format!("{}.{:0DECIMALS$}", rounded / unit, rounded % unit);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `significand × 2^shift`, of up to 4933 digits.
fn shifted_left(significand: u64, mut shift: u32) -> String {
    const LIMB: u64 = 1_000_000_000;
    const SHIFT_MAX: u32 = 29; // a limb times 2^29 and a carry stay below 2^64
    let mut limbs = vec![significand % LIMB, significand / LIMB % LIMB, significand / LIMB / LIMB];
    while shift > 0 {
        let step = shift.min(SHIFT_MAX);
        let mut carry = 0;
        for limb in &mut limbs {
            let value = (*limb << step) + carry;
            *limb = value % LIMB;
            carry = value / LIMB;
        }
        limbs.push(carry);
        shift -= step;
    }
    let digits: Vec<String> = limbs.iter().rev().map(|limb| format!("{limb:09}")).collect();
    let digits = digits.concat();
    let text = digits.trim_start_matches('0');
    if text.is_empty() { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::LongDouble;

    fn sum(a: &str, b: &str) -> Option<String> {
        let (a, b) = (LongDouble::parse(a.as_bytes())?, LongDouble::parse(b.as_bytes())?);
        a.add(b).map(|sum| sum.to_string())
    }

    #[test]
    fn sums_print_as_redis_prints_them() {
        // Answers of redis-server 7.0.15 to `INCRBYFLOAT`, on x86-64.
        for (a, b, expected) in [
            ("0.1", "0.2", "0.3"),
            ("3.0", "1.1", "4.1"),
            ("10.50", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("1", "-1", "0"),
            ("-1.5", "0.25", "-1.25"),
            ("1e20", "1", "100000000000000000000"),
            ("1e30", "0", "1000000000000000000024696061952"),
            ("0", "1e-18", "0"),
            ("-0.0", "0", "0"),
        ] {
            assert_eq!(sum(a, b).as_deref(), Some(expected), "{a} + {b}");
        }
    }

    #[test]
    fn what_is_not_a_number_is_refused() {
        for text in [
            "", " 1", "1 ", "abc", "nan", "1..2", "0x", "--1", "1e", "1e+", "e1", ".", "1e5000",
            "1e-5000",
        ] {
            assert!(LongDouble::parse(text.as_bytes()).is_none(), "{text}");
        }
        assert!(sum("inf", "1").is_none());
    }
}
