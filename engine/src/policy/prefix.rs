//! A CIDR prefix of either family.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An address and a prefix length, with all host bits zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    address: IpAddr,
    bits: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrefixError {
    /// Not `<address>/<bits>`.
    Malformed,
    /// The address has bits set beyond the prefix.
    HostBits,
}

impl fmt::Display for PrefixError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            PrefixError::Malformed => "not a prefix of the form address/bits",
            PrefixError::HostBits => "the address has bits beyond the prefix",
        })
    }
}

impl Prefix {
    /// The prefix of `bits` that holds `address`; `None` when `bits` is more than the family has.
    pub fn holding(address: IpAddr, bits: u8) -> Option<Prefix> {
        if bits > width(address) {
            return None;
        }
        Some(Prefix {
            address: mask(address, bits),
            bits,
        })
    }

    pub fn address(&self) -> IpAddr {
        self.address
    }

    pub fn bits(&self) -> u8 {
        self.bits
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        same_family(self.address, address) && mask(address, self.bits) == self.address
    }

    /// Whether every address of `other` is one of this prefix.
    pub fn covers(&self, other: &Prefix) -> bool {
        self.bits <= other.bits && self.contains(other.address)
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Prefix, PrefixError> {
        let (address, bits) = text.split_once('/').ok_or(PrefixError::Malformed)?;
        let address: IpAddr = address.parse().map_err(|_| PrefixError::Malformed)?;
        let bits: u8 = bits.parse().map_err(|_| PrefixError::Malformed)?;
        let prefix = Prefix::holding(address, bits).ok_or(PrefixError::Malformed)?;
        if prefix.address == address {
            Ok(prefix)
        } else {
            Err(PrefixError::HostBits)
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.address, self.bits)
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn same_family(one: IpAddr, other: IpAddr) -> bool {
    one.is_ipv4() == other.is_ipv4()
}

fn mask(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let kept = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & kept))
        }
        IpAddr::V6(address) => {
            let kept = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & kept))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().expect("prefix")
    }

    #[test]
    fn parses_and_prints() {
        for text in [
            "0.0.0.0/0",
            "10.0.0.0/8",
            "10.1.2.3/32",
            "::/0",
            "fd5a::/64",
            "fd5a::5/128",
        ] {
            assert_eq!(prefix(text).to_string(), text);
        }
    }

    #[test]
    fn refuses_what_is_no_prefix() {
        for text in [
            "",
            "10.0.0.0",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/-1",
            "10.0.0/8",
            "/8",
            "10.0.0.0/8/8",
        ] {
            assert_eq!(
                text.parse::<Prefix>(),
                Err(PrefixError::Malformed),
                "{text}"
            );
        }
        assert_eq!("10.0.0.1/8".parse::<Prefix>(), Err(PrefixError::HostBits));
    }

    #[test]
    fn covers_only_its_own_family_and_longer_prefixes() {
        assert!(prefix("0.0.0.0/0").covers(&prefix("10.0.0.0/8")));
        assert!(prefix("10.0.0.0/8").covers(&prefix("10.0.0.0/8")));
        assert!(!prefix("10.0.0.0/16").covers(&prefix("10.0.0.0/8")));
        assert!(!prefix("0.0.0.0/0").covers(&prefix("::/0")));
        assert!(!prefix("::/0").contains(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    }
}
