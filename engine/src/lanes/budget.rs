//! What may wait for all peers together: each queue has its own bound, and a thousand of them would be too much.

use std::cell::Cell;
use std::rc::Rc;

use super::class::TrafficClass;

/// What waits for all peers together, with its bookkeeping: eight full queues of bulk and room for the others.
pub const MAX_QUEUED_BYTES: usize = 80 << 20;
/// Bulk and droppable packets join only below it, so that stalled transfers leave the others their room.
pub const MAX_QUEUED_BULK_BYTES: usize = 64 << 20;
/// Reliable ones likewise, so that the urgent always find room.
pub const MAX_QUEUED_RELIABLE_BYTES: usize = 72 << 20;

/// Shared by the queues of one engine.
#[derive(Clone, Debug, Default)]
pub struct Budget(Rc<Cell<usize>>);

impl Budget {
    /// Says false when there is no room for it.
    #[must_use]
    pub(super) fn take(&self, class: TrafficClass, bytes: usize) -> bool {
        let most = match class {
            TrafficClass::Bulk | TrafficClass::Droppable => MAX_QUEUED_BULK_BYTES,
            TrafficClass::Reliable => MAX_QUEUED_RELIABLE_BYTES,
            _ => MAX_QUEUED_BYTES,
        };
        let fits = self.0.get() + bytes <= most;
        if fits {
            self.0.set(self.0.get() + bytes);
        }
        fits
    }

    pub(super) fn give_back(&self, bytes: usize) {
        self.0.set(self.0.get() - bytes);
    }

    pub fn taken(&self) -> usize {
        self.0.get()
    }
}
