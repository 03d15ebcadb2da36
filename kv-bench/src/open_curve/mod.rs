//! A curve over offered loads: which of them are measured in which order, and what they tell.
//!
//! Two ends of a service are looked for, which need not be the same. It is *saturated* from the load
//! on at which less is achieved than is offered ([`saturation`]). Its *knee* is where the tail of
//! response times bends upwards ([`knee`]), which users notice first.

pub mod knee;
mod loads;
pub mod saturation;

pub use loads::{CALIBRATION, IDLE, Layout, Loads, LoadsError, order};
