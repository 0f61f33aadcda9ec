//! forwarder TUN LOCAL PEER none|aes-128-gcm: packets of the TUN to the peer and back, on one thread.

use std::error::Error;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use bench_forwarder::device::{self, Kind};
use bench_forwarder::frames::{Cutter, DATAGRAM_BYTES, Joiner};
use bench_forwarder::seal::Seal;
use bench_forwarder::udp::Udp;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Frames a turn from each side: enough to spare system calls, few enough that neither side starves.
const BATCH_FRAMES: usize = 8;
/// A send takes at most 65,507 bytes.
const BURST_BYTES: usize = 44 * DATAGRAM_BYTES;
const RECEIVE_BYTES: usize = 65_536;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [tun, local, peer, cipher] = words.as_slice() else {
        return Err("forwarder TUN LOCAL PEER none|aes-128-gcm".into());
    };
    let (local, peer): (SocketAddr, SocketAddr) = (local.parse()?, peer.parse()?);
    let mut seal = match cipher.as_str() {
        "none" => Seal::Plain,
        "aes-128-gcm" => Seal::aes(local < peer),
        other => return Err(format!("no such cipher: {other}").into()),
    };
    let tun = device::open(tun, Kind::Tun)?;
    let mut udp = Udp::connect(local, peer)?;
    let mut cutter = Cutter::new(&seal);
    let mut joiner = Joiner::default();
    let mut buffer = vec![0; RECEIVE_BYTES];
    loop {
        let mut idle = true;
        for _ in 0..BATCH_FRAMES {
            let Some(received) = udp.receive(&mut buffer)? else {
                break;
            };
            idle = false;
            let datagrams = &mut buffer[..received.bytes];
            joiner.take(&tun, &seal, datagrams, received.datagram_bytes)?;
        }
        for _ in 0..BATCH_FRAMES {
            let Some(datagrams) = cutter.next(&tun, &mut seal)? else {
                break;
            };
            idle = false;
            for burst in datagrams.chunks(BURST_BYTES) {
                udp.send(burst, DATAGRAM_BYTES as u16)?;
            }
        }
        if idle {
            let mut ready = [
                PollFd::new(tun.as_fd(), PollFlags::POLLIN),
                PollFd::new(udp.socket().as_fd(), PollFlags::POLLIN),
            ];
            poll(&mut ready, PollTimeout::NONE)?;
        }
    }
}
