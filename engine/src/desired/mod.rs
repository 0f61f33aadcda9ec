//! The desired state: checked as a whole before anything is changed, and compared with what is.

mod changes;
mod plan;

pub use changes::{PeerChange, changes};
pub use plan::{Plan, PlannedPeer};
