//! What is fuzzed: each function takes any bytes, gives them to one parser, and panics when what comes out contradicts what the
//! parser promises. `engine/fuzz` runs them with coverage and AddressSanitizer; the seeds are run by the tests as well.

mod control;
mod host;
mod lanes;
mod relay;
mod socket;

pub use control::frames;
pub use host::host_packets;
pub use lanes::{datagrams, records};
pub use relay::relay;
pub use socket::socket;

/// The first byte chooses the size of portions, the rest is in portions of that size: nothing may depend on how bytes arrive.
fn portions(data: &[u8]) -> Option<(&[u8], std::slice::Chunks<'_, u8>)> {
    let (size, rest) = data.split_first()?;
    Some((rest, rest.chunks(usize::from(*size) + 1)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use proptest::prelude::*;

    type Target = (&'static str, fn(&[u8]));

    /// As `fuzz/fuzz_targets` names them.
    const TARGETS: [Target; 6] = [
        ("frames", super::frames),
        ("records", super::records),
        ("datagrams", super::datagrams),
        ("host_packets", super::host_packets),
        ("relay", super::relay),
        ("socket", super::socket),
    ];

    #[test]
    fn every_seed_is_survived_and_every_target_has_some() {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        for (name, run) in TARGETS {
            assert!(fuzz.join(format!("fuzz_targets/{name}.rs")).exists());
            let seeds: Vec<_> = fs::read_dir(fuzz.join("seeds").join(name))
                .expect("a folder of seeds")
                .map(|entry| entry.expect("an entry").path())
                .collect();
            assert!(seeds.len() > 3, "{name} has {} seeds", seeds.len());
            for seed in seeds {
                run(&fs::read(seed).expect("a seed"));
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(data in prop::collection::vec(any::<u8>(), 0..400)) {
            for (_, run) in TARGETS {
                run(&data);
            }
        }
    }
}
