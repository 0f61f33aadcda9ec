//! A UDP socket to one peer that sends and receives many datagrams of one size in one call (GSO, GRO).

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::sockopt::{RcvBufForce, SndBufForce, UdpGroSegment};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg, setsockopt,
};

const SOCKET_BUFFER_BYTES: usize = 8 << 20;

pub struct Udp {
    socket: UdpSocket,
    control: Vec<u8>,
}

pub struct Received {
    pub bytes: usize,
    /// Of each datagram but perhaps the last.
    pub datagram_bytes: usize,
}

impl Udp {
    pub fn connect(local: SocketAddr, peer: SocketAddr) -> io::Result<Udp> {
        let socket = UdpSocket::bind(local)?;
        socket.connect(peer)?;
        socket.set_nonblocking(true)?;
        setsockopt(&socket, RcvBufForce, &SOCKET_BUFFER_BYTES)?;
        setsockopt(&socket, SndBufForce, &SOCKET_BUFFER_BYTES)?;
        setsockopt(&socket, UdpGroSegment, &true)?;
        Ok(Udp {
            socket,
            control: cmsg_space!(i32),
        })
    }

    pub fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// Sends `bytes` as datagrams of `datagram_bytes`, waiting for room when the buffer is full.
    pub fn send(&self, bytes: &[u8], datagram_bytes: u16) -> io::Result<()> {
        let segments = [ControlMessage::UdpGsoSegments(&datagram_bytes)];
        let control = if bytes.len() > usize::from(datagram_bytes) {
            &segments[..]
        } else {
            &[]
        };
        loop {
            let slices = [IoSlice::new(bytes)];
            match sendmsg::<()>(
                self.socket.as_raw_fd(),
                &slices,
                control,
                MsgFlags::empty(),
                None,
            ) {
                Ok(_) => return Ok(()),
                Err(Errno::EAGAIN) => self.wait_for_room()?,
                // The other end is not there yet, or no longer: the next packet will show.
                Err(Errno::ECONNREFUSED) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// `None` when nothing is there.
    pub fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        let mut slices = [IoSliceMut::new(buffer)];
        let message = recvmsg::<()>(
            self.socket.as_raw_fd(),
            &mut slices,
            Some(&mut self.control),
            MsgFlags::empty(),
        );
        let message = match message {
            Ok(message) => message,
            Err(Errno::EAGAIN | Errno::ECONNREFUSED) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let bytes = message.bytes;
        let mut datagram_bytes = bytes;
        for control in message.cmsgs()? {
            if let ControlMessageOwned::UdpGroSegments(size) = control {
                datagram_bytes = usize::try_from(size).unwrap_or(bytes);
            }
        }
        Ok(Some(Received {
            bytes,
            datagram_bytes: datagram_bytes.max(1),
        }))
    }

    fn wait_for_room(&self) -> io::Result<()> {
        use std::os::fd::AsFd;
        let mut room = [PollFd::new(self.socket.as_fd(), PollFlags::POLLOUT)];
        poll(&mut room, PollTimeout::NONE)?;
        Ok(())
    }
}
