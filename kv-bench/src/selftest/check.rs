//! One thing that was looked at, and how it is told.

/// What a check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Passed,
    Failed,
    /// A figure that nothing is wanted of.
    Told,
}

impl Verdict {
    const fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Told => "-",
        }
    }
}

#[derive(Debug)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) verdict: Verdict,
    figures: String,
    wanted: String,
}

impl Check {
    pub(super) fn judged(
        name: &'static str,
        figures: String,
        passed: bool,
        wanted: String,
    ) -> Self {
        let verdict = if passed { Verdict::Passed } else { Verdict::Failed };
        Self { name, verdict, figures, wanted }
    }

    pub(super) fn told(name: &'static str, figures: String) -> Self {
        Self { name, verdict: Verdict::Told, figures, wanted: String::new() }
    }

    pub(super) fn line(&self) -> String {
        let Self { name, verdict, figures, wanted } = self;
        let wanted = if wanted.is_empty() { String::new() } else { format!("; wanted: {wanted}") };
        format!("{:7} {name:12} {figures}{wanted}\n", verdict.name())
    }
}
