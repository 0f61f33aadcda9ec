//! Socket addresses between Rust and the kernel.

use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// A kernel socket address of either family and its length.
pub struct RawAddress {
    storage: libc::sockaddr_storage,
    length: libc::socklen_t,
}

impl RawAddress {
    pub fn empty() -> Self {
        // SAFETY: sockaddr_storage is plain data for which all zeroes is a valid value.
        let storage = unsafe { MaybeUninit::<libc::sockaddr_storage>::zeroed().assume_init() };
        RawAddress {
            storage,
            length: size_of::<libc::sockaddr_storage>() as libc::socklen_t,
        }
    }

    pub fn as_mut_ptr(&mut self) -> *mut libc::c_void {
        std::ptr::from_mut(&mut self.storage).cast()
    }

    pub fn as_ptr(&self) -> *const libc::c_void {
        std::ptr::from_ref(&self.storage).cast()
    }

    pub fn length(&self) -> libc::socklen_t {
        self.length
    }

    /// The address, when the kernel wrote one of a family we know.
    pub fn read(&self) -> Option<SocketAddr> {
        match i32::from(self.storage.ss_family) {
            libc::AF_INET => {
                // SAFETY: the family says that the storage holds a sockaddr_in, which is smaller and no stricter aligned.
                let raw = unsafe { &*self.as_ptr().cast::<libc::sockaddr_in>() };
                let address = Ipv4Addr::from(raw.sin_addr.s_addr.to_ne_bytes());
                Some(SocketAddr::V4(SocketAddrV4::new(
                    address,
                    u16::from_be(raw.sin_port),
                )))
            }
            libc::AF_INET6 => {
                // SAFETY: the family says that the storage holds a sockaddr_in6, which is smaller and no stricter aligned.
                let raw = unsafe { &*self.as_ptr().cast::<libc::sockaddr_in6>() };
                let address = Ipv6Addr::from(raw.sin6_addr.s6_addr);
                let port = u16::from_be(raw.sin6_port);
                Some(SocketAddr::V6(SocketAddrV6::new(
                    address,
                    port,
                    0,
                    raw.sin6_scope_id,
                )))
            }
            _ => None,
        }
    }
}

impl From<SocketAddr> for RawAddress {
    fn from(address: SocketAddr) -> Self {
        let mut raw = RawAddress::empty();
        match address {
            SocketAddr::V4(address) => {
                let value = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: address.port().to_be(),
                    sin_addr: in_addr(*address.ip()),
                    sin_zero: [0; 8],
                };
                // SAFETY: the storage is larger than a sockaddr_in and aligned for every address family.
                unsafe { raw.as_mut_ptr().cast::<libc::sockaddr_in>().write(value) };
                raw.length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
            }
            SocketAddr::V6(address) => {
                let value = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: address.port().to_be(),
                    sin6_flowinfo: 0,
                    sin6_addr: in6_addr(*address.ip()),
                    sin6_scope_id: address.scope_id(),
                };
                // SAFETY: the storage is larger than a sockaddr_in6 and aligned for every address family.
                unsafe { raw.as_mut_ptr().cast::<libc::sockaddr_in6>().write(value) };
                raw.length = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
            }
        }
        raw
    }
}

pub fn in_addr(address: Ipv4Addr) -> libc::in_addr {
    libc::in_addr {
        s_addr: u32::from_ne_bytes(address.octets()),
    }
}

pub fn in6_addr(address: Ipv6Addr) -> libc::in6_addr {
    libc::in6_addr {
        s6_addr: address.octets(),
    }
}

pub fn ip_of_in_addr(address: libc::in_addr) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(address.s_addr.to_ne_bytes()))
}

pub fn ip_of_in6_addr(address: libc::in6_addr) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from(address.s6_addr))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_as_it_went() {
        for text in ["192.0.2.7:7443", "[2001:db8::1]:1", "[fe80::1%3]:65535"] {
            let address: SocketAddr = text.parse().expect("address");
            assert_eq!(RawAddress::from(address).read(), Some(address));
        }
        assert_eq!(RawAddress::empty().read(), None);
    }
}
