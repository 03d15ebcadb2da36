//! The highest rate at which objectives are kept: which rate to probe next, and what the probes say.
//!
//! A probe is an open loop at one rate. How many of its operations were beyond an objective is counted
//! in slices of time; since operations wait for each other, and slow ones come together, the slices'
//! scatter says how much those counts are worth. A probe is *kept* when with 95 % confidence no more
//! were beyond than may be, *missed* when with the same confidence more were, and repeated while it is
//! neither. What comes less often than some times in a probe is beyond what it can know. So the rates are
//! bracketed and bisected, up to a quarter, and both ends probed again.
//!
//! The rest of the time goes to *passes*, independent looks for the crossing about there. What can be done
//! changes from one moment to the next, and from one start of a server to the next, by more than the
//! operations of one probe tell: only how passes scatter among each other says where another search
//! will find it ([`estimate`]).
//!
//! Nothing here measures: a [`Search`] asks for rates and is told what came of them.

mod estimate;
mod judge;
mod pass;
mod search;

pub use estimate::{Estimate, PASSES_MIN, estimate};
pub use judge::{Decision, LATE_SHARE_MAX, Probe, Slice, falls_short, judge};
pub use search::{Ask, Finding, FoundPass, Search};
