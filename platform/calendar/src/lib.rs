//! When money can move in the United States: banking days, the cut-offs of ACH, and when entries
//! settle. Pure: every moment is an argument, in microseconds of UTC.
//!
//! # The map
//!
//! - [`Day`]: a day in New York, where the Federal Reserve's day is; which are banking days, and sums
//!   of them. [`holiday`] names the eleven holidays.
//! - [`Windows`]: the cut-offs of a pace. [`Windows::next_cutoff`] says when a file of some [`Kind`]
//!   of entries goes next, and when it settles. The true windows and the sandbox's fast ones are
//!   values of one type, so that whoever asks does not know which they are.

mod day;
mod holidays;
mod windows;

pub use day::{Day, TimeOfDay};
pub use holidays::holiday;
pub use windows::{Cutoff, Kind, SameDayWindow, Windows};
