//! What the engine asks of the operating system apart from packets.

mod host_monitor;
#[allow(unsafe_code)]
pub mod netlink;
#[allow(unsafe_code)]
mod peer;
mod poll;
#[allow(unsafe_code)]
mod priority;
mod privileges;
#[allow(unsafe_code)]
mod signals;
mod uplinks;

pub use host_monitor::{AddressChange, HostMonitor};
pub use peer::peer_uid;
pub use poll::{Interest, wait};
pub use priority::Priority;
pub use privileges::{drop_privileges, request_exact_waits};
pub use signals::TerminationSignals;
pub use uplinks::{RouteMonitor, Uplink, Uplinks};
