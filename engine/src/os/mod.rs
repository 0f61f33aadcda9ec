//! What the engine asks of the operating system apart from packets.

#[allow(unsafe_code)]
mod addresses;
mod poll;
mod privileges;
#[allow(unsafe_code)]
mod signals;

pub use addresses::{AddressChange, AddressMonitor};
pub use poll::{Interest, wait};
pub use privileges::{drop_privileges, request_exact_waits, request_real_time};
pub use signals::TerminationSignals;
