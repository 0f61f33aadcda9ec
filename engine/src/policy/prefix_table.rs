//! Longest-prefix look-up.
//!
//! A hash map for each prefix length in use, longest first. A fabric has few lengths (/32 and /128 for nodes, a handful for
//! subnets behind routers), so a look-up is one or two probes, and the table is as simple as its proof.

use std::net::IpAddr;

use rustc_hash::FxHashMap;

use super::Prefix;

pub struct PrefixTable<V> {
    ipv4: Vec<Level<V>>,
    ipv6: Vec<Level<V>>,
}

/// All prefixes of one length; levels stand longest first.
struct Level<V> {
    bits: u8,
    // The keys come from the desired state and look-ups insert nothing, so a fast hash without a secret is safe.
    entries: FxHashMap<IpAddr, V>,
}

impl<V> Default for PrefixTable<V> {
    fn default() -> Self {
        PrefixTable {
            ipv4: Vec::new(),
            ipv6: Vec::new(),
        }
    }
}

impl<V> PrefixTable<V> {
    /// Adds a prefix; the first value stays when it is already there. Says whether it was new.
    pub fn insert(&mut self, prefix: Prefix, value: V) -> bool {
        let levels = if prefix.address().is_ipv4() {
            &mut self.ipv4
        } else {
            &mut self.ipv6
        };
        let place = match levels.binary_search_by(|level| prefix.bits().cmp(&level.bits)) {
            Ok(place) => place,
            Err(place) => {
                levels.insert(
                    place,
                    Level {
                        bits: prefix.bits(),
                        entries: FxHashMap::default(),
                    },
                );
                place
            }
        };
        let entries = &mut levels[place].entries;
        if entries.contains_key(&prefix.address()) {
            return false;
        }
        entries.insert(prefix.address(), value);
        true
    }

    /// The value of the longest prefix that holds `address`.
    pub fn lookup(&self, address: IpAddr) -> Option<&V> {
        let levels = if address.is_ipv4() {
            &self.ipv4
        } else {
            &self.ipv6
        };
        levels.iter().find_map(|level| {
            let prefix = Prefix::holding(address, level.bits)?;
            level.entries.get(&prefix.address())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn any_prefix() -> impl Strategy<Value = Prefix> {
        // A small space, so that prefixes nest and collide often.
        let ipv4 = (0u32..64, 26u8..=32)
            .prop_map(|(host, bits)| (IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 | host)), bits));
        let ipv6 = (0u128..64, 122u8..=128)
            .prop_map(|(host, bits)| (IpAddr::V6(Ipv6Addr::from_bits(0xfd << 120 | host)), bits));
        prop_oneof![ipv4, ipv6]
            .prop_map(|(address, bits)| Prefix::holding(address, bits).expect("bits fit"))
    }

    proptest! {
        #[test]
        fn agrees_with_a_linear_search(prefixes in prop::collection::vec(any_prefix(), 0..40), host in 0u32..64, six: bool) {
            let address = if six {
                IpAddr::V6(Ipv6Addr::from_bits(0xfd << 120 | u128::from(host)))
            } else {
                IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 | host))
            };
            let mut table = PrefixTable::default();
            for prefix in &prefixes {
                table.insert(*prefix, *prefix);
            }
            let expected = prefixes.iter().filter(|prefix| prefix.contains(address)).max_by_key(|prefix| prefix.bits());
            prop_assert_eq!(table.lookup(address), expected);
        }
    }

    #[test]
    fn the_default_route_holds_everything() {
        let mut table = PrefixTable::default();
        assert!(table.insert("0.0.0.0/0".parse().expect("prefix"), 1));
        assert!(!table.insert("0.0.0.0/0".parse().expect("prefix"), 2));
        assert_eq!(table.lookup(IpAddr::V4(Ipv4Addr::BROADCAST)), Some(&1));
        assert_eq!(table.lookup(IpAddr::V6(Ipv6Addr::LOCALHOST)), None);
    }
}
