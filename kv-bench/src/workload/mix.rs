//! The proportions of operations, such as `get=90,put=9,delete=1`.

use std::fmt;
use std::str::FromStr;

use super::Kind;
use super::command::{COMMANDS_MAX, Command, Commands, distinguish};

/// Proportions of operations. Weights are relative: `get=9,put=1` and `get=90,put=10` are equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mix {
    /// Those above 0, in the order of [`Kind::index`].
    weights: Vec<(Kind, u32)>,
    /// A 32-bit draw below a threshold and not below the previous one picks what begins so.
    thresholds: Vec<(u64, Kind)>,
    fills: bool,
    commands: Commands,
}

/// Why a mix was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MixError {
    #[error(
        "unknown operation '{0}' (known: get, put, delete, insert, rmw; such as get=90,put=9,delete=1)"
    )]
    UnknownOperation(String),
    #[error("'{0}' is not a whole weight from 0 to 1000000 (such as get=90,put=9,delete=1)")]
    Weight(String),
    #[error("'{0}' is named twice (name each operation once, such as get=90,put=10)")]
    Twice(&'static str),
    #[error("{0} commands are more than {COMMANDS_MAX}")]
    Commands(usize),
    #[error("every weight is 0 (give at least one operation a weight, such as get=100)")]
    Empty,
}

impl Mix {
    /// Only this kind.
    pub fn only(kind: Kind) -> Self {
        Self::from_weights(vec![(kind, 1)])
    }

    /// These commands by their weights.
    ///
    /// # Errors
    ///
    /// When there are too many of them, or none with a weight.
    pub fn of_commands(commands: Vec<(Command, u32)>) -> Result<Self, MixError> {
        let (mut commands, weights): (Vec<_>, Vec<_>) = commands.into_iter().unzip();
        if commands.len() > COMMANDS_MAX {
            return Err(MixError::Commands(commands.len()));
        }
        distinguish(&mut commands);
        let weights = Kind::all(commands.len()).skip(Kind::MAX - COMMANDS_MAX).zip(weights);
        let weights: Vec<_> = weights.filter(|&(_, weight)| weight > 0).collect();
        if weights.is_empty() {
            return Err(MixError::Empty);
        }
        Ok(Self { commands: commands.into(), ..Self::from_weights(weights) })
    }

    /// What a trace has, by their numbers there.
    pub fn of_counts(fixed: Vec<(Kind, u64)>, commands: Vec<(Command, u64)>) -> Self {
        let (commands, counts): (Vec<_>, Vec<_>) = commands.into_iter().unzip();
        let named = Kind::all(commands.len()).skip(Kind::MAX - COMMANDS_MAX).zip(counts);
        let weight = |(kind, count)| (kind, u32::try_from(count).unwrap_or(u32::MAX));
        let weights = fixed.into_iter().chain(named).map(weight).filter(|&(_, weight)| weight > 0);
        Self { commands: commands.into(), ..Self::from_weights(weights.collect()) }
    }

    /// The user's own commands, by their numbers.
    pub fn commands(&self) -> &Commands {
        &self.commands
    }

    /// The weight of `kind`.
    pub fn weight(&self, kind: Kind) -> u32 {
        self.weights.iter().find(|&&(other, _)| other == kind).map_or(0, |&(_, weight)| weight)
    }

    fn from_weights(weights: Vec<(Kind, u32)>) -> Self {
        let total: u64 = weights.iter().map(|&(_, weight)| u64::from(weight)).sum();
        let mut sum = 0;
        let threshold = |&(kind, weight): &(Kind, u32)| {
            sum += u64::from(weight);
            ((sum << 32) / total.max(1), kind.first())
        };
        let thresholds = weights.iter().map(threshold).collect();
        Self { weights, thresholds, fills: false, commands: Commands::default() }
    }

    /// The same, where a get that finds nothing is followed by a put of its key, as who reads through
    /// a cache does.
    #[must_use]
    pub fn filling(self) -> Self {
        Self { fills: true, ..self }
    }

    /// Whether gets that find nothing are followed by puts.
    #[inline]
    pub fn fills(&self) -> bool {
        self.fills
    }

    /// Whether `kind` can be drawn.
    pub fn contains(&self, kind: Kind) -> bool {
        self.weights.iter().any(|&(other, _)| other == kind)
    }

    /// Whether `kind` is all that can be drawn.
    pub fn is_only(&self, kind: Kind) -> bool {
        self.weights.iter().all(|&(other, _)| other == kind)
    }

    /// Whether it is known of each key what a read of it must find.
    pub(crate) fn is_verifiable(&self) -> bool {
        let known = |kind: &Kind| matches!(kind, Kind::Get | Kind::Put | Kind::Delete);
        !self.fills && self.weights.iter().all(|(kind, _)| known(kind))
    }

    /// Whether what stands under `kind` in results can happen.
    pub fn shows(&self, kind: Kind) -> bool {
        match kind {
            Kind::Get => self.contains(kind) || self.contains(Kind::ReadModifyWrite),
            Kind::Put => self.fills || self.contains(kind) || self.contains(Kind::ReadModifyWrite),
            _ => self.contains(kind),
        }
    }

    /// What goes out first of the kind that 32 random bits select.
    #[inline]
    pub fn pick(&self, draw: u32) -> Kind {
        let draw = u64::from(draw);
        let found = self.thresholds.iter().find(|&&(threshold, _)| draw < threshold);
        found.map_or(Kind::Get, |&(_, kind)| kind)
    }
}

impl FromStr for Mix {
    type Err = MixError;

    /// Reads `get=90,put=9,delete=1`, or one name alone (`get`).
    fn from_str(text: &str) -> Result<Self, MixError> {
        let mut weights = [None; Kind::NAMED.len()];
        for part in text.split(',') {
            let (name, weight) = part.split_once('=').unwrap_or((part, "1"));
            let kind = kind_named(name.trim())?;
            let weight = weight.trim();
            let weight = weight
                .parse::<u32>()
                .ok()
                .filter(|&w| w <= 1_000_000)
                .ok_or_else(|| MixError::Weight(weight.to_owned()))?;
            if weights[kind.index()].replace(weight).is_some() {
                return Err(MixError::Twice(kind.name()));
            }
        }
        let weights = Kind::NAMED.into_iter().zip(weights);
        let weights = weights.filter_map(|(kind, w)| Some((kind, w.filter(|&w| w > 0)?)));
        let weights: Vec<_> = weights.collect();
        if weights.is_empty() { Err(MixError::Empty) } else { Ok(Self::from_weights(weights)) }
    }
}

fn kind_named(name: &str) -> Result<Kind, MixError> {
    match name.to_ascii_lowercase().as_str() {
        "get" => Ok(Kind::Get),
        "put" | "set" => Ok(Kind::Put),
        "delete" | "del" => Ok(Kind::Delete),
        "insert" => Ok(Kind::Insert),
        "rmw" | "read-modify-write" => Ok(Kind::ReadModifyWrite),
        _ => Err(MixError::UnknownOperation(name.to_owned())),
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (kind, weight) in &self.weights {
            let name = match kind {
                Kind::Command(index) => &self.commands[usize::from(*index)].name,
                kind => kind.name(),
            };
            write!(f, "{separator}{name}={weight}")?;
            separator = ",";
        }
        Ok(())
    }
}
