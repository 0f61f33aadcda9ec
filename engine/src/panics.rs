//! What a panic ends. Where `contain` stands around the work of one connection, that connection; anywhere else the process, which is
//! started again: what half-changed state would do is unknown.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};

use serde_json::json;

use crate::log;

thread_local! {
    static CONTAINING: Cell<bool> = const { Cell::new(false) };
    static CONTAINED: Cell<u64> = const { Cell::new(0) };
}

/// The result of the work; `None` when it panicked. The caller then throws away all that the work could change.
pub fn contain<T>(work: impl FnOnce() -> T) -> Option<T> {
    let outer = CONTAINING.replace(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(work));
    CONTAINING.set(outer);
    if outcome.is_err() {
        CONTAINED.set(CONTAINED.get() + 1);
    }
    outcome.ok()
}

/// How many panics of this thread were contained so far.
pub fn contained() -> u64 {
    CONTAINED.get()
}

/// From now on a panic is logged as one line, and ends the process unless it is contained.
pub fn end_process_unless_contained() {
    panic::set_hook(Box::new(|info| {
        let contained = CONTAINING.get();
        log::error("a fault in the program", fields(info, contained));
        if !contained {
            std::process::abort();
        }
    }));
}

fn fields(info: &PanicHookInfo<'_>, contained: bool) -> serde_json::Value {
    json!({
        "problem": info.payload_as_str(),
        "place": info.location().map(ToString::to_string),
        "contained": contained,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_panics_gives_nothing_and_is_counted() {
        let before = contained();
        assert_eq!(contain(|| 1), Some(1));
        assert_eq!(contain(|| -> u8 { panic!("on purpose") }), None);
        assert_eq!(contained(), before + 1);
        assert!(!CONTAINING.get(), "what comes after is not contained");
    }
}
