//! The paths of one connection: which are open, which one carries packets, and when another takes its place.
//!
//! `table` decides: what is observed and the time go in, actions come out. `steering` carries them out on the library's
//! connection. Only the dialler opens paths and says which is in use; either side closes one that died.

mod meter;
mod reason;
mod steering;
mod table;
#[cfg(test)]
mod table_tests;

pub use reason::PathReason;
pub use steering::PathReport;
pub(super) use steering::Steering;
pub(super) use table::Network;
pub use table::{MAX_TARGETS, PathChange, PathState};
