//! Faults in a running measurement: done when they are due, and what came of them.

use std::time::Duration;

use crate::chaos::{Action, Chaos, Fault};
use crate::cluster::Cluster;
use crate::driver::{Measured, Span};
use crate::patience::GivenUp;
use crate::result::{ChaosEvent, Silence};

/// How long a server that was started again, or goes on, may take until it answers; until then nobody
/// gives up on it.
pub(super) const START_TIME: Duration = Duration::from_secs(30);

/// What is done at one moment.
#[derive(Clone, Copy)]
enum Deed {
    Kill,
    Restart,
    Pause,
    Resume,
}

struct Step {
    at: Duration,
    /// Of the server, from 0.
    node: usize,
    deed: Deed,
    /// Of the fault that it belongs to.
    fault: usize,
}

/// The faults of one measurement.
pub(super) struct Faults {
    chaos: Chaos,
    /// In the order of their times, the next one last.
    steps: Vec<Step>,
    /// Per fault: when it was done.
    done: Vec<Option<Duration>>,
    /// Per fault: when the pause was over.
    resumed: Vec<Option<Duration>>,
    nodes: Vec<Node>,
}

/// A server, as far as faults go.
#[derive(Clone, Copy)]
enum Node {
    Untouched,
    Away,
    /// Since then it may answer again.
    Back(Duration),
}

impl Faults {
    pub(super) fn new(chaos: Chaos) -> Self {
        let mut steps = Vec::new();
        for (fault, planned) in chaos.faults().iter().enumerate() {
            let node = planned.server as usize - 1;
            let at = planned.at;
            let (deed, resume) = match planned.action {
                Action::Kill => (Deed::Kill, None),
                Action::Restart => (Deed::Restart, None),
                Action::Pause(length) => (Deed::Pause, Some(at.saturating_add(length))),
            };
            steps.push(Step { at, node, deed, fault });
            steps.extend(resume.map(|at| Step { at, node, deed: Deed::Resume, fault }));
        }
        // What is due at the same moment is done in the order in which it was planned.
        steps.sort_by_key(|step| step.at);
        steps.reverse();
        let none = vec![None; chaos.faults().len()];
        let nodes = chaos.faults().iter().map(|fault| fault.server as usize).max().unwrap_or(0);
        Self {
            steps,
            done: none.clone(),
            resumed: none,
            nodes: vec![Node::Untouched; nodes],
            chaos,
        }
    }

    /// When something is to be done.
    pub(super) fn times(&self) -> Vec<Duration> {
        self.steps.iter().rev().map(|step| step.at).collect()
    }

    /// Does what is due `elapsed` after the beginning.
    pub(super) fn act(&mut self, elapsed: Duration, cluster: &mut Cluster) -> anyhow::Result<()> {
        while let Some(step) = self.steps.pop_if(|step| step.at <= elapsed) {
            let servers = cluster.servers();
            match step.deed {
                Deed::Kill => servers.kill(step.node),
                Deed::Restart => servers.restart(step.node)?,
                Deed::Pause => servers.pause(step.node)?,
                Deed::Resume => servers.resume(step.node)?,
            }
            let is_back = matches!(step.deed, Deed::Restart | Deed::Resume);
            self.nodes[step.node] = if is_back { Node::Back(elapsed) } else { Node::Away };
            let times = match step.deed {
                Deed::Resume => &mut self.resumed,
                _ => &mut self.done,
            };
            times[step.fault] = Some(elapsed);
        }
        Ok(())
    }

    /// Whether who stays away does so by order, or did until just now: then nobody gives up, unless
    /// the run was to have ended before. When nobody answers, one of them is enough: all clients may
    /// wait for it.
    pub(super) fn excuse(&self, given_up: &GivenUp, elapsed: Duration) -> bool {
        let is_excused = |node: &Node| match *node {
            Node::Untouched => false,
            Node::Away => !given_up.is_overdue,
            Node::Back(since) => elapsed < since + START_TIME,
        };
        match given_up.node {
            Some(node) => self.nodes.get(node).is_some_and(is_excused),
            None => self.nodes.iter().any(is_excused),
        }
    }

    /// Whether anything was done to server number `node`.
    pub(super) fn concern(&self, node: usize) -> bool {
        self.nodes.get(node).is_some_and(|node| !matches!(node, Node::Untouched))
    }

    /// The measurement is over: what is stopped goes on, and nothing more is done.
    pub(super) fn finish(&mut self, cluster: &mut Cluster) -> anyhow::Result<()> {
        for step in self.steps.drain(..).rev() {
            let is_stopped = matches!(self.nodes[step.node], Node::Away);
            if matches!(step.deed, Deed::Resume) && is_stopped {
                cluster.servers().resume(step.node)?;
            }
        }
        Ok(())
    }

    /// What was never done, as it was asked for.
    pub(super) fn missed(&self) -> impl Iterator<Item = &Fault> {
        let faults = self.chaos.faults().iter().zip(&self.done);
        faults.filter(|(_, done)| done.is_none()).map(|(fault, _)| fault)
    }

    /// What came of them.
    pub(super) fn events(
        &self,
        measured: &Measured,
        name: impl Fn(usize) -> String,
    ) -> Vec<ChaosEvent> {
        let all = self.chaos.faults().iter().enumerate();
        all.map(|(index, fault)| {
            let node = fault.server as usize - 1;
            let done = self.done[index];
            let until = self.resumed[index].or_else(|| self.next_of(index));
            let gap = match (done, fault.action) {
                (Some(from), Action::Kill | Action::Pause(_)) => {
                    longest_gap(measured, node, from, until)
                }
                _ => None,
            };
            let back_from = match fault.action {
                Action::Restart => done,
                Action::Pause(_) => self.resumed[index],
                Action::Kill => None,
            };
            ChaosEvent {
                action: fault.action.name().to_owned(),
                server: name(node),
                asked_s: fault.at.as_secs_f64(),
                done_s: done.map(|at| at.as_secs_f64()),
                unavailable: gap,
                recovery_s: back_from.and_then(|from| recovery_s(measured, node, from)),
            }
        })
        .collect()
    }

    /// When something else was done to the server of fault number `index`.
    fn next_of(&self, index: usize) -> Option<Duration> {
        let faults = self.chaos.faults();
        let next = (index + 1..faults.len()).find(|&i| faults[i].server == faults[index].server)?;
        self.done[next]
    }
}

/// The longest time without a success of a server that began between two moments, or before.
fn longest_gap(
    measured: &Measured,
    node: usize,
    from: Duration,
    until: Option<Duration>,
) -> Option<Silence> {
    let at_ns = |at: Duration| measured.start_ns + at.as_nanos() as u64;
    let fault = Span { begin_ns: at_ns(from), end_ns: until.map_or(measured.end_ns, at_ns) };
    let gaps = measured.unserved.get(node)?.iter().map(|gap| gap.span.overlap(whole(measured)));
    let gap =
        gaps.filter(|gap| gap.overlap(fault).length_ns() > 0).max_by_key(|gap| gap.length_ns())?;
    Some(Silence {
        start_s: gap.begin_ns.saturating_sub(measured.start_ns) as f64 / 1e9,
        length_s: gap.length_ns() as f64 / 1e9,
    })
}

/// From `from` to the first success after it; `None` when there was none.
fn recovery_s(measured: &Measured, node: usize, from: Duration) -> Option<f64> {
    let from_ns = measured.start_ns + from.as_nanos() as u64;
    let gap =
        measured.unserved.get(node)?.iter().map(|gap| gap.span).find(|gap| gap.end_ns > from_ns)?;
    // It had not stopped serving, or not for long enough to tell.
    if gap.begin_ns > from_ns {
        return Some(0.0);
    }
    if gap.end_ns == u64::MAX {
        return None;
    }
    Some((gap.end_ns - from_ns) as f64 / 1e9)
}

fn whole(measured: &Measured) -> Span {
    Span { begin_ns: measured.start_ns, end_ns: measured.end_ns }
}
