//! A few outcomes of any probabilities, drawn with one look into a table.

/// An outcome and another one, which is meant when the rest of the draw is not below `keep`.
#[derive(Debug, Clone, Copy)]
struct Cell {
    keep: u32,
    other: u32,
}

/// Outcomes by their weights, each within 2^−32 of a cell (A. J. Walker 1977; the table is built as by
/// M. D. Vose: A linear algorithm for generating random numbers with a given distribution, IEEE TSE
/// 17(9), 1991).
#[derive(Debug)]
pub(super) struct Alias {
    /// A power of two of them.
    cells: Box<[Cell]>,
    shift: u32,
}

impl Alias {
    /// Outcome *i* in proportion to the *i*-th of `weights`, of which there is at least one.
    pub(super) fn new(weights: &[f64]) -> Self {
        // Two cells at least, so that the draw is shifted by less than it has bits.
        let size = weights.len().next_power_of_two().max(2);
        let whole: f64 = weights.iter().sum();
        let mut shares: Vec<f64> = weights.iter().map(|w| w / whole * size as f64).collect();
        shares.resize(size, 0.0);
        // A cell that nothing is taken from or given to keeps all of itself, but for 2^−32.
        let mut cells: Box<[Cell]> =
            (0..size as u32).map(|other| Cell { keep: u32::MAX, other }).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) =
            (0..size).partition(|&index| shares[index] < 1.0);
        while let (Some(poor), Some(&rich)) = (small.pop(), large.last()) {
            let keep = (shares[poor] * (1_u64 << 32) as f64) as u32;
            cells[poor] = Cell { keep, other: rich as u32 };
            shares[rich] -= 1.0 - shares[poor];
            if shares[rich] < 1.0 {
                large.pop();
                small.push(rich);
            }
        }
        Self { cells, shift: u64::BITS - size.ilog2() }
    }

    /// The outcome for 64 random bits: the highest choose the cell, the lowest 32 within it.
    #[inline]
    pub(super) fn pick(&self, draw: u64) -> u64 {
        let index = (draw >> self.shift) as usize;
        let Cell { keep, other } = self.cells[index];
        if (draw as u32) < keep { index as u64 } else { u64::from(other) }
    }
}
