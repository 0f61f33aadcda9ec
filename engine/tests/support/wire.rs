//! A way between two engines that can fail: a pair of UDP sockets that pass packets on while they are told to.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const MAX_PACKET_BYTES: usize = 65_535;
/// How often a thread looks whether it shall end.
const LOOK: Duration = Duration::from_millis(20);

/// What passes: towards the engine behind it, and back.
#[derive(Default)]
struct Open {
    there: AtomicBool,
    back: AtomicBool,
    ended: AtomicBool,
    /// Larger packets are lost without a word, either way.
    largest: AtomicUsize,
}

pub struct Wire {
    pub address: SocketAddr,
    open: Arc<Open>,
}

impl Wire {
    /// A new address that leads to `target`.
    pub fn to(target: SocketAddr) -> Wire {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let address = socket.local_addr().expect("its address");
        let open = Arc::new(Open {
            there: true.into(),
            back: true.into(),
            ended: false.into(),
            largest: MAX_PACKET_BYTES.into(),
        });
        let flags = open.clone();
        thread::spawn(move || forward(&socket, target, &flags));
        Wire { address, open }
    }

    /// From now on, UDP payloads of more bytes than that are lost.
    pub fn carries_up_to(&self, bytes: usize) {
        self.open.largest.store(bytes, Ordering::SeqCst);
    }

    pub fn set(&self, there: bool, back: bool) {
        self.open.there.store(there, Ordering::SeqCst);
        self.open.back.store(back, Ordering::SeqCst);
    }
}

impl Open {
    fn passes(&self, direction: &AtomicBool, bytes: usize) -> bool {
        direction.load(Ordering::SeqCst) && bytes <= self.largest.load(Ordering::SeqCst)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.open.ended.store(true, Ordering::SeqCst);
    }
}

/// Each sender gets a socket of its own towards the target, so that answers find their way.
fn forward(socket: &UdpSocket, target: SocketAddr, open: &Arc<Open>) {
    let mut outlets: HashMap<SocketAddr, UdpSocket> = HashMap::new();
    let mut packet = vec![0; MAX_PACKET_BYTES];
    socket.set_read_timeout(Some(LOOK)).expect("a timeout");
    while !open.ended.load(Ordering::SeqCst) {
        let Ok((bytes, from)) = socket.recv_from(&mut packet) else {
            continue;
        };
        let outlet = outlets
            .entry(from)
            .or_insert_with(|| outlet(socket, from, target, open));
        if open.passes(&open.there, bytes) {
            let _ = outlet.send(&packet[..bytes]);
        }
    }
}

fn outlet(
    socket: &UdpSocket,
    back_to: SocketAddr,
    target: SocketAddr,
    open: &Arc<Open>,
) -> UdpSocket {
    let outlet = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    outlet.connect(target).expect("its target");
    outlet.set_read_timeout(Some(LOOK)).expect("a timeout");
    let (inner, socket, open) = (
        outlet.try_clone().expect("a clone"),
        socket.try_clone().expect("a clone"),
        open.clone(),
    );
    thread::spawn(move || {
        let mut packet = vec![0; MAX_PACKET_BYTES];
        while !open.ended.load(Ordering::SeqCst) {
            let Ok(bytes) = inner.recv(&mut packet) else {
                continue;
            };
            if open.passes(&open.back, bytes) {
                let _ = socket.send_to(&packet[..bytes], back_to);
            }
        }
    });
    outlet
}
