//! Whether counts follow a law: Pearson's chi-square test.

/// Asserts that `counts` are as `probabilities` (in any scale) would have them, at a level of 0.1 %.
/// With a fixed seed the answer is always the same. Neighbours that are too rare to be told from one
/// another are taken together.
pub(crate) fn assert_follows(what: &str, counts: &[u64], probabilities: &[f64]) {
    assert_eq!(counts.len(), probabilities.len(), "{what}");
    let draws = counts.iter().sum::<u64>() as f64;
    let whole: f64 = probabilities.iter().sum();
    let mut cells: Vec<(f64, f64)> = Vec::new();
    let mut open = (0.0, 0.0);
    for (&count, probability) in counts.iter().zip(probabilities) {
        assert!(*probability > 0.0 || count == 0, "{what}: the impossible, {count} times");
        open = (open.0 + count as f64, open.1 + draws * probability / whole);
        if open.1 >= 10.0 {
            cells.push(std::mem::take(&mut open));
        }
    }
    if let Some(last) = cells.last_mut() {
        *last = (last.0 + open.0, last.1 + open.1);
    }
    assert!(cells.len() > 1, "{what}: nothing to compare");
    let square: f64 = cells.iter().map(|(seen, due)| (seen - due).powi(2) / due).sum();
    let limit = critical(cells.len() as f64 - 1.0);
    assert!(square < limit, "{what}: chi-square {square:.1}, at most {limit:.1}: {cells:?}");
}

/// What chi-square exceeds once in a thousand times (E. B. Wilson, M. M. Hilferty, 1931).
fn critical(degrees: f64) -> f64 {
    const NORMAL_QUANTILE: f64 = 3.0902;
    let ninth = 2.0 / (9.0 * degrees);
    degrees * (1.0 - ninth + NORMAL_QUANTILE * ninth.sqrt()).powi(3)
}
