//! The highest rate at which objectives are kept: which rate to probe next, and what the probes say.
//!
//! A probe is an open loop at one rate. How many of its operations were beyond an objective is counted
//! in slices of time; since operations wait for each other, and slow ones come together, the slices'
//! scatter says how much those counts are worth. A probe is *kept* when with 95 % confidence no more
//! were beyond than may be, *missed* when with the same confidence more were, and repeated while it is
//! neither. What comes less often than some times in a probe is beyond what it can know. The rates are
//! bracketed, then bisected, and both ends probed again; near the crossing, where no probe decides, a
//! model of all probes ([`estimate`]) says where it lies.
//!
//! Nothing here measures: a [`Search`] asks for rates and is told what came of them.

mod estimate;
mod judge;
mod search;

pub use estimate::{Estimate, estimate};
pub use judge::{Decision, Probe, Slice, judge};
pub use search::{Ask, Finding, Search};
