//! A relay as the wire format describes it, for sessions that it was told of: it passes what one side of a session sends to the
//! other, and reads no more than the header.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use fabric_engine::relay::{Outer, RelayRoute, RelaySession, unwrap};

const MAX_PACKET_BYTES: usize = 65_535;
/// How often its thread looks whether it shall end.
const LOOK: Duration = Duration::from_millis(20);

#[derive(Default)]
struct Shared {
    sides: Mutex<HashMap<RelaySession, [SocketAddr; 2]>>,
    passed: AtomicUsize,
    ended: AtomicBool,
}

pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Relay {
    pub fn start() -> Relay {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let address = socket.local_addr().expect("its address");
        let shared = Arc::new(Shared::default());
        let of_thread = shared.clone();
        thread::spawn(move || pass_on(&socket, &of_thread));
        Relay { address, shared }
    }

    /// From now on passes packets between the two, and says by which way they reach each other.
    pub fn bind(&self, session: RelaySession, sides: [SocketAddr; 2]) -> RelayRoute {
        let mut all = self.shared.sides.lock().expect("its sessions");
        all.insert(session, sides);
        RelayRoute {
            session,
            relay: self.address,
        }
    }

    /// Packets that it passed on.
    pub fn passed(&self) -> usize {
        self.shared.passed.load(Ordering::SeqCst)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
    }
}

fn pass_on(socket: &UdpSocket, shared: &Shared) {
    let mut packet = vec![0; MAX_PACKET_BYTES];
    socket.set_read_timeout(Some(LOOK)).expect("a timeout");
    while !shared.ended.load(Ordering::SeqCst) {
        let Ok((bytes, from)) = socket.recv_from(&mut packet) else {
            continue;
        };
        let Outer::Relayed(session) = unwrap(&packet[..bytes]) else {
            continue;
        };
        let sides = shared.sides.lock().expect("its sessions");
        let to = match sides.get(&session) {
            Some([one, other]) if *one == from => *other,
            Some([one, other]) if *other == from => *one,
            _ => continue,
        };
        let _ = socket.send_to(&packet[..bytes], to);
        shared.passed.fetch_add(1, Ordering::SeqCst);
    }
}
