//! All sockets of the engine as one: which sends what, and what waits while the kernel has no room.

use std::io;
use std::net::{IpAddr, SocketAddr};

use super::socket::{UdpSocket, Unreachable};
use crate::config::Offloads;

/// Where packets go and from where.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing {
    pub remote: SocketAddr,
    pub source: Option<IpAddr>,
    /// Out through this one, whatever the host would choose; only with a source.
    pub interface: Option<u32>,
    pub segment_bytes: Option<usize>,
    /// The last two bits of the traffic class (RFC 3168).
    pub ecn: u8,
}

pub struct UdpSockets {
    sockets: Vec<UdpSocket>,
    /// Packets that the kernel had no room for. While they wait nothing else is sent.
    stalled: Option<(Outgoing, Vec<u8>)>,
    pub send_errors: u64,
    /// Times that the kernel had no room for more.
    pub send_stalls: u64,
    /// A remote that a send found no way to.
    unreachable: Option<(SocketAddr, Unreachable)>,
}

impl UdpSockets {
    pub fn bind(addresses: &[SocketAddr], offloads: Offloads) -> io::Result<UdpSockets> {
        let bind = |address: &SocketAddr| {
            UdpSocket::bind(*address, offloads)
                .map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))
        };
        let sockets = addresses.iter().map(bind).collect::<io::Result<_>>()?;
        Ok(UdpSockets {
            sockets,
            stalled: None,
            send_errors: 0,
            send_stalls: 0,
            unreachable: None,
        })
    }

    pub fn iter(&self) -> impl Iterator<Item = &UdpSocket> {
        self.sockets.iter()
    }

    pub fn count(&self) -> usize {
        self.sockets.len()
    }

    pub fn get(&self, index: usize) -> Option<&UdpSocket> {
        self.sockets.get(index)
    }

    pub fn is_stalled(&self) -> bool {
        self.stalled.is_some()
    }

    /// The remotes that can't be reached, by what the kernel was told or found; anyone may have told it.
    pub fn take_unreachable(&mut self) -> Vec<(SocketAddr, Unreachable)> {
        let mut unreachable: Vec<_> = self.unreachable.take().into_iter().collect();
        for socket in &self.sockets {
            unreachable.extend(socket.read_errors());
        }
        unreachable
    }

    /// One at a time is kept: the next send to it says the same.
    fn note_unreachable(&mut self, remote: SocketAddr, error: &io::Error) {
        if matches!(
            error.raw_os_error(),
            Some(libc::EHOSTUNREACH | libc::ENETUNREACH)
        ) {
            self.unreachable = Some((remote, Unreachable::NoRoute));
        }
    }

    /// Whether some socket speaks the family of this address.
    pub fn reaches(&self, remote: SocketAddr) -> bool {
        self.sockets
            .iter()
            .any(|socket| socket.local().is_ipv4() == remote.is_ipv4())
    }

    /// Whether the sockets leave it to others from which address of this host that remote is reached.
    pub fn are_bound_to_all(&self, remote: SocketAddr) -> bool {
        let of_family = |socket: &&UdpSocket| socket.local().is_ipv4() == remote.is_ipv4();
        let mut locals = self.sockets.iter().filter(of_family);
        locals.any(|socket| socket.local().ip().is_unspecified())
    }

    /// The addresses of this host from which that remote may be reached: whichever the host chooses, unless each socket is
    /// bound to one.
    pub fn sources(&self, remote: SocketAddr) -> impl Iterator<Item = Option<IpAddr>> + use<> {
        let of_family = |socket: &&UdpSocket| socket.local().is_ipv4() == remote.is_ipv4();
        let bound: Vec<IpAddr> = self
            .sockets
            .iter()
            .filter(of_family)
            .map(|socket| socket.local().ip())
            .collect();
        let chooses = bound.len() < 2 || bound.iter().any(IpAddr::is_unspecified);
        let any = chooses.then_some(None);
        let each = bound.into_iter().filter(move |_| !chooses).map(Some);
        any.into_iter().chain(each)
    }

    /// Sends, or keeps what the kernel has no room for. Errors other than that are losses, which QUIC mends, and are counted.
    pub fn send(&mut self, outgoing: Outgoing, packets: &[u8]) {
        if !self.try_send(outgoing, packets) {
            self.send_stalls += 1;
            self.stalled = Some((outgoing, packets.to_vec()));
        }
    }

    /// Tries what waits once more.
    pub fn resume(&mut self) {
        if let Some((outgoing, packets)) = self.stalled.take() {
            self.send(outgoing, &packets);
        }
    }

    fn try_send(&mut self, outgoing: Outgoing, packets: &[u8]) -> bool {
        let Some(socket) = choose(&mut self.sockets, &outgoing) else {
            self.send_errors += 1;
            return true;
        };
        match socket.send(&outgoing, packets) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(error) => {
                self.send_errors += 1;
                self.note_unreachable(outgoing.remote, &error);
                true
            }
        }
    }
}

/// The socket bound to the source address, else one of the right family.
fn choose<'a>(sockets: &'a mut [UdpSocket], outgoing: &Outgoing) -> Option<&'a mut UdpSocket> {
    let of_family = |socket: &UdpSocket| socket.local().is_ipv4() == outgoing.remote.is_ipv4();
    let bound =
        |socket: &UdpSocket| of_family(socket) && Some(socket.local().ip()) == outgoing.source;
    let place = sockets
        .iter()
        .position(bound)
        .or_else(|| sockets.iter().position(of_family))?;
    sockets.get_mut(place)
}
