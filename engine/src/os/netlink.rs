//! Netlink (netlink(7), rtnetlink(7)): requests to the kernel, its answers, and what it tells by itself. Messages are a few hundred
//! bytes, dumps a few kilobytes, and everything that is read has its lengths checked.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::net::{RecvFlags, SendFlags, recv, send};

/// nlmsghdr: length, type, flags, sequence, port.
const HEADER_BYTES: usize = 16;
/// rtattr: length, type.
const ATTRIBUTE_HEADER_BYTES: usize = 4;
/// The kernel puts as much into one part of a dump as there is room for, up to this; other answers are far below.
const ANSWER_BYTES: usize = 8 << 10;
/// Parts of a dump that are read, some dozens of entries each.
const MAX_PARTS: usize = 256;

pub struct Netlink {
    fd: OwnedFd,
}

impl Netlink {
    /// For requests.
    pub fn open() -> io::Result<Netlink> {
        Netlink::socket(0)
    }

    /// For what the kernel tells to these groups; reading never waits.
    pub fn subscribe(groups: u32) -> io::Result<Netlink> {
        let netlink = Netlink::socket(libc::SOCK_NONBLOCK)?;
        // SAFETY: sockaddr_nl is plain data for which all zeroes is a valid value.
        let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
        address.nl_groups = groups;
        // SAFETY: the address is a live sockaddr_nl of the length given, and the kernel only reads it.
        let bound = unsafe {
            libc::bind(
                netlink.fd.as_raw_fd(),
                std::ptr::from_ref(&address).cast(),
                size_of::<libc::sockaddr_nl>() as libc::socklen_t,
            )
        };
        if bound < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(netlink)
    }

    fn socket(flags: libc::c_int) -> io::Result<Netlink> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | flags;
        // SAFETY: socket takes no pointers.
        let fd = unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel just gave us this descriptor and nobody else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Netlink { fd })
    }

    /// Has something done.
    pub fn request(&self, message: Message) -> io::Result<()> {
        self.get(message, |_, _| {})
    }

    /// Asks for one thing, and gives `take` the type and the body of the answer.
    pub fn get(&self, message: Message, take: impl FnMut(u16, &[u8])) -> io::Result<()> {
        self.ask(message, libc::NLM_F_ACK, take)
    }

    /// Asks for all things of a kind, and gives `take` the type and the body of each.
    pub fn dump(&self, message: Message, take: impl FnMut(u16, &[u8])) -> io::Result<()> {
        self.ask(message, libc::NLM_F_DUMP, take)
    }

    /// Until the kernel says that this was all, or why there is nothing.
    fn ask(
        &self,
        message: Message,
        flags: libc::c_int,
        mut take: impl FnMut(u16, &[u8]),
    ) -> io::Result<()> {
        send(&self.fd, &message.finish(flags), SendFlags::empty())?;
        let mut answer = [0u8; ANSWER_BYTES];
        for _ in 0..MAX_PARTS {
            let (bytes, _) = recv(&self.fd, &mut answer[..], RecvFlags::empty())?;
            for (kind, body) in messages(&answer[..bytes.min(ANSWER_BYTES)]) {
                match end(kind, body) {
                    Some(result) => return result,
                    None => take(kind, body),
                }
            }
        }
        Err(io::Error::other("the kernel did not end its answer"))
    }

    /// What the kernel told since the last call, at most `reads` messages. Returns false when it had to leave something out.
    pub fn read(&self, reads: usize, mut take: impl FnMut(u16, &[u8])) -> bool {
        let mut told = [0u8; ANSWER_BYTES];
        for _ in 0..reads {
            match recv(&self.fd, &mut told[..], RecvFlags::empty()) {
                Ok((bytes, _)) => {
                    for (kind, body) in messages(&told[..bytes.min(ANSWER_BYTES)]) {
                        take(kind, body);
                    }
                }
                Err(rustix::io::Errno::NOBUFS) => return false,
                Err(_) => break,
            }
        }
        true
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The result with which an answer ends; `None` when this is another message.
fn end(kind: u16, body: &[u8]) -> Option<io::Result<()>> {
    match i32::from(kind) {
        libc::NLMSG_DONE => Some(Ok(())),
        libc::NLMSG_ERROR => {
            let error = body.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes));
            Some(match error {
                Some(0) => Ok(()),
                Some(error) => Err(io::Error::from_raw_os_error(error.saturating_neg())),
                None => Err(io::Error::other("an answer that is cut off")),
            })
        }
        _ => None,
    }
}

/// The type and the body of each message.
pub fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (header, _) = bytes.split_at_checked(HEADER_BYTES)?;
        let length = u32_at(header, 0)? as usize;
        let body = bytes.get(HEADER_BYTES..length)?;
        let kind = u16_at(header, 4)?;
        bytes = bytes.get(aligned(length)..).unwrap_or_default();
        Some((kind, body))
    })
}

/// The type and the value of each attribute.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)?;
        let value = bytes.get(ATTRIBUTE_HEADER_BYTES..length)?;
        bytes = bytes.get(aligned(length)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The address in an attribute.
pub fn ip(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from))
        .ok()
}

pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

pub fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() {
        libc::AF_INET as u8
    } else {
        libc::AF_INET6 as u8
    }
}

pub fn octets(address: IpAddr) -> Box<[u8]> {
    match address {
        IpAddr::V4(address) => Box::new(address.octets()),
        IpAddr::V6(address) => Box::new(address.octets()),
    }
}

/// A message under construction. Everything in it is aligned to four bytes.
pub struct Message {
    bytes: Vec<u8>,
    flags: libc::c_int,
}

impl Message {
    pub fn new(kind: u16, flags: libc::c_int) -> Message {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        Message { bytes, flags }
    }

    pub fn put(&mut self, bytes: &[u8]) -> &mut Message {
        self.bytes.extend_from_slice(bytes);
        self
    }

    pub fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.put(&((value.len() + ATTRIBUTE_HEADER_BYTES) as u16).to_ne_bytes())
            .put(&kind.to_ne_bytes())
            .put(value);
        self.bytes.resize(aligned(self.bytes.len()), 0);
    }

    fn finish(mut self, flags: libc::c_int) -> Vec<u8> {
        let flags = (self.flags | flags | libc::NLM_F_REQUEST) as u16;
        let length = self.bytes.len() as u32;
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        self.bytes
    }

    /// As the kernel would tell it.
    #[cfg(test)]
    pub fn told(self) -> Vec<u8> {
        self.finish(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_message_says_its_length_and_aligns_attributes() {
        let mut message = Message::new(libc::RTM_NEWADDR, 0);
        message.attribute(1, &[1, 2, 3, 4, 5]);
        message.attribute(2, &[]);
        let bytes = message.told();
        assert_eq!(bytes.len(), HEADER_BYTES + 12 + 4);
        let read: Vec<_> = messages(&bytes).collect();
        assert_eq!(read, [(libc::RTM_NEWADDR, &bytes[HEADER_BYTES..])]);
        let values: Vec<_> = attributes(read[0].1).collect();
        assert_eq!(values, [(1, &[1, 2, 3, 4, 5][..]), (2, &[])]);
    }

    #[test]
    fn an_answer_ends_with_an_acknowledgement_an_error_or_the_end_of_a_dump() {
        let error = |number: i32| end(libc::NLMSG_ERROR as u16, &number.to_ne_bytes());
        assert!(matches!(error(0), Some(Ok(()))));
        let refused = error(-libc::EPERM).expect("an end").expect_err("an error");
        assert_eq!(refused.raw_os_error(), Some(libc::EPERM));
        assert!(matches!(end(libc::NLMSG_DONE as u16, &[]), Some(Ok(()))));
        assert!(end(libc::RTM_NEWROUTE, &[0; 4]).is_none());
        assert!(matches!(
            end(libc::NLMSG_ERROR as u16, &[0; 3]),
            Some(Err(_))
        ));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for (_, body) in messages(&bytes) {
                prop_assert!(attributes(body).count() <= body.len());
            }
            prop_assert!(attributes(&bytes).count() <= bytes.len());
        }
    }
}
