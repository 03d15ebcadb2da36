//! Redis' glob patterns, for `KEYS`, `SCAN MATCH` and `CONFIG GET`.

/// Whether `text` matches `pattern`: `*`, `?`, `[a-z]`, `[^a]`, and `\` before any byte. An
/// unclosed `[` ends with the pattern, as in Redis, where nothing but `*` alone or an empty pattern
/// matches an empty text.
pub fn glob_match(pattern: &[u8], text: &[u8]) -> bool {
    if text.is_empty() {
        return matches!(pattern, b"" | b"*");
    }
    let (mut p, mut t) = (0, 0);
    // Where to go on when the rest does not match: behind the last `*`, one more byte of text
    // swallowed. One such place is enough, so the time is bounded by |pattern| × |text|.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if p < pattern.len() && pattern[p] == b'*' {
            p += 1;
            retry = Some((p, t));
            continue;
        }
        if t == text.len() {
            return p == pattern.len();
        }
        if let Some(next) = match_one(pattern, p, text[t]) {
            p = next;
            t += 1;
            continue;
        }
        match &mut retry {
            None => return false,
            Some((star, from)) => {
                *from += 1;
                (p, t) = (*star, *from);
            }
        }
    }
}

/// Matches one byte at `p`; answers where the pattern goes on.
fn match_one(pattern: &[u8], p: usize, byte: u8) -> Option<usize> {
    match *pattern.get(p)? {
        b'?' => Some(p + 1),
        b'[' => match_class(pattern, p + 1, byte),
        b'\\' if p + 1 < pattern.len() => (pattern[p + 1] == byte).then_some(p + 2),
        literal => (literal == byte).then_some(p + 1),
    }
}

fn match_class(pattern: &[u8], mut p: usize, byte: u8) -> Option<usize> {
    let negated = pattern.get(p) == Some(&b'^');
    p += usize::from(negated);
    let mut found = false;
    while let Some(&first) = pattern.get(p) {
        match (first, pattern.get(p + 1), pattern.get(p + 2)) {
            (b'\\', Some(&escaped), _) => {
                found |= escaped == byte;
                p += 2;
            }
            (b']', ..) => return (found != negated).then_some(p + 1),
            (_, Some(b'-'), Some(&last)) => {
                found |= (first.min(last)..=first.max(last)).contains(&byte);
                p += 3;
            }
            _ => {
                found |= first == byte;
                p += 1;
            }
        }
    }
    (found != negated).then_some(p)
}

#[cfg(test)]
mod tests {
    use super::glob_match;

    #[test]
    fn patterns_match_as_in_redis() {
        for (pattern, text, matches) in [
            ("", "", true),
            ("*", "", true),
            ("**", "", false),
            ("a*c", "abbc", true),
            ("a*c", "abbd", false),
            ("h?llo", "hello", true),
            ("h[ae]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-c]llo", "hbllo", true),
            ("h[c-a]llo", "hbllo", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("[\\]]", "]", true),
            ("[ab", "b", true),
            ("a**b*c", "axxbyyc", true),
            ("\\", "\\", true),
        ] {
            assert_eq!(
                glob_match(pattern.as_bytes(), text.as_bytes()),
                matches,
                "{pattern} against {text}"
            );
        }
    }

    #[test]
    fn a_hostile_pattern_takes_no_exponential_time() {
        let pattern = b"a*".repeat(50);
        assert!(!glob_match(&[&pattern[..], b"b"].concat(), &b"a".repeat(5000)));
    }
}
