//! The ways out of this host: through which of its interfaces, and from which of its addresses, a remote is reached (rtnetlink(7)).

use std::io;
use std::net::IpAddr;

use super::host_monitor::{ADDRESS_HEADER_BYTES, address_of};
use super::netlink::{Message, Netlink, attributes, family, octets, u32_at};

/// A host with more interfaces that lead to the same network uses these.
const MAX_UPLINKS: usize = 8;
/// Of what was told of routes; the rest is read the next time.
const MAX_READS: usize = 64;
/// rtmsg: family, lengths of destination and source, type of service, table, protocol, scope, type, flags.
const ROUTE_HEADER_BYTES: usize = 12;
/// The route itself, with the prefix that the destination falls under.
const RTM_F_FIB_MATCH: u32 = 0x2000;
const RTN_UNICAST: u8 = 1;
/// Addresses that are not to be used for something new, or not yet.
const UNUSABLE: u8 = (libc::IFA_F_DEPRECATED | libc::IFA_F_TENTATIVE) as u8;

/// An interface with an address of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uplink {
    pub local: IpAddr,
    pub interface: u32,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Uplinks {
    /// The first address of each family of each interface.
    all: Vec<Uplink>,
}

impl Uplinks {
    /// Those that this host has now, without the interface `except`.
    pub fn read(except: Option<u32>) -> io::Result<Uplinks> {
        let mut all: Vec<Uplink> = Vec::new();
        let mut message = Message::new(libc::RTM_GETADDR, 0);
        message.put(&[0; ADDRESS_HEADER_BYTES]);
        Netlink::open()?.dump(message, |kind, body| {
            let Some(found) = uplink(kind, body).filter(|found| Some(found.interface) != except)
            else {
                return;
            };
            let same = |known: &Uplink| {
                known.interface == found.interface && known.local.is_ipv4() == found.local.is_ipv4()
            };
            if !all.iter().any(same) {
                all.push(found);
            }
        })?;
        Ok(Uplinks { all })
    }

    /// Whether some remote may be reached through more than one.
    pub fn are_several(&self) -> bool {
        let ipv4 = self.all.iter().filter(|uplink| uplink.local.is_ipv4());
        let ipv4 = ipv4.count();
        ipv4 > 1 || self.all.len() - ipv4 > 1
    }

    /// Those that lead to this remote by a route for the same prefix, in the same table, as the one that the host takes, without that
    /// one. Of many interfaces the first are asked.
    pub fn others(&self, remote: IpAddr) -> Vec<Uplink> {
        let of_family = |uplink: &&Uplink| uplink.local.is_ipv4() == remote.is_ipv4();
        let asked: Vec<&Uplink> = self
            .all
            .iter()
            .filter(of_family)
            .take(MAX_UPLINKS)
            .collect();
        if asked.len() < 2 {
            return Vec::new();
        }
        let Ok(netlink) = Netlink::open() else {
            return Vec::new();
        };
        let Some(taken) = route(&netlink, remote, None) else {
            return Vec::new();
        };
        let leads_there = |uplink: &&&Uplink| {
            uplink.interface != taken.interface
                && route(&netlink, remote, Some(***uplink)).is_some_and(|route| {
                    (route.table, route.prefix_bits) == (taken.table, taken.prefix_bits)
                })
        };
        asked
            .iter()
            .filter(leads_there)
            .map(|uplink| **uplink)
            .collect()
    }
}

/// Tells when routes of this host change. It is asked now and then: a router may have thousands of changes a second.
pub struct RouteMonitor {
    netlink: Netlink,
}

impl RouteMonitor {
    pub fn open() -> io::Result<RouteMonitor> {
        let groups = libc::RTMGRP_IPV4_ROUTE | libc::RTMGRP_IPV6_ROUTE;
        let netlink = Netlink::subscribe(groups as u32)?;
        Ok(RouteMonitor { netlink })
    }

    /// Whether any route changed since the last call.
    pub fn has_changed(&self) -> bool {
        let mut any = false;
        let is_all = self.netlink.read(MAX_READS, |_, _| any = true);
        any || !is_all
    }
}

/// The first usable address beyond its own link.
fn uplink(kind: u16, body: &[u8]) -> Option<Uplink> {
    let header = body.get(..ADDRESS_HEADER_BYTES)?;
    let (flags, scope) = (header[2], header[3]);
    if kind != libc::RTM_NEWADDR || scope != libc::RT_SCOPE_UNIVERSE || flags & UNUSABLE != 0 {
        return None;
    }
    Some(Uplink {
        local: address_of(&body[ADDRESS_HEADER_BYTES..])?,
        interface: u32_at(header, 4)?,
    })
}

struct Route {
    interface: u32,
    table: u32,
    prefix_bits: u8,
}

/// The route to a remote that leaves this host: the one that the host takes, or the one from an uplink.
fn route(netlink: &Netlink, remote: IpAddr, from: Option<Uplink>) -> Option<Route> {
    let bits = if remote.is_ipv4() { 32 } else { 128 };
    let source_bits = from.map_or(0, |_| bits);
    let mut message = Message::new(libc::RTM_GETROUTE, 0);
    message
        .put(&[family(remote), bits, source_bits, 0, 0, 0, 0, 0])
        .put(&RTM_F_FIB_MATCH.to_ne_bytes());
    message.attribute(libc::RTA_DST, &octets(remote));
    if let Some(Uplink { local, interface }) = from {
        message.attribute(libc::RTA_SRC, &octets(local));
        message.attribute(libc::RTA_OIF, &interface.to_ne_bytes());
    }
    let mut found = None;
    let take = |kind: u16, body: &[u8]| found = found.take().or_else(|| parse_route(kind, body));
    netlink.get(message, take).ok()?;
    found
}

/// A route over several interfaces at once is none of these: the host spreads by itself.
fn parse_route(kind: u16, body: &[u8]) -> Option<Route> {
    let (header, rest) = body.split_at_checked(ROUTE_HEADER_BYTES)?;
    if kind != libc::RTM_NEWROUTE || header[7] != RTN_UNICAST {
        return None;
    }
    let value = |wanted: u16| {
        let mut found = attributes(rest).filter(|(kind, _)| *kind == wanted);
        found.next().and_then(|(_, value)| u32_at(value, 0))
    };
    Some(Route {
        interface: value(libc::RTA_OIF)?,
        table: value(libc::RTA_TABLE).unwrap_or(header[4].into()),
        prefix_bits: header[1],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_reaches_itself_in_one_way() {
        let uplinks = Uplinks::read(None).expect("a list");
        for uplink in &uplinks.all {
            assert!(uplink.interface > 0 && !uplink.local.is_loopback());
        }
        // As if there were many, which all are asked.
        let first = Uplink {
            local: [10, 255, 255, 1].into(),
            interface: 1,
        };
        let more = (1..4).map(|interface| Uplink { interface, ..first });
        let all = uplinks.all.iter().copied().chain(more).collect();
        assert_eq!(Uplinks { all }.others([127, 0, 0, 1].into()), []);
    }

    #[test]
    fn only_what_leads_out_of_the_host_is_a_route() {
        let told = |kind: u8, interface: Option<u32>| {
            let mut body = vec![libc::AF_INET as u8, 24, 0, 0, 254, 0, 0, kind, 0, 0, 0, 0];
            body.extend([8, 0, libc::RTA_DST as u8, 0, 10, 0, 0, 0]);
            if let Some(interface) = interface {
                body.extend([8, 0, libc::RTA_OIF as u8, 0]);
                body.extend(interface.to_ne_bytes());
            }
            parse_route(libc::RTM_NEWROUTE, &body)
        };
        let route = told(RTN_UNICAST, Some(7)).expect("a route");
        assert_eq!(
            (route.interface, route.prefix_bits, route.table),
            (7, 24, 254)
        );
        assert!(told(libc::RTN_LOCAL, Some(1)).is_none());
        assert!(told(RTN_UNICAST, None).is_none());
        assert!(parse_route(libc::RTM_NEWROUTE, &[0; 5]).is_none());
    }

    #[test]
    fn addresses_of_the_link_or_out_of_use_are_no_uplinks() {
        let told = |flags: u8, scope: u8| {
            let mut body = vec![libc::AF_INET as u8, 24, flags, scope, 3, 0, 0, 0];
            body.extend([8, 0, libc::IFA_LOCAL as u8, 0, 10, 0, 0, 1]);
            uplink(libc::RTM_NEWADDR, &body)
        };
        let found = told(0, libc::RT_SCOPE_UNIVERSE).expect("an uplink");
        assert_eq!(found.local, IpAddr::from([10, 0, 0, 1]));
        assert_eq!(told(0, libc::RT_SCOPE_LINK), None);
        assert_eq!(told(UNUSABLE, libc::RT_SCOPE_UNIVERSE), None);
    }
}
