use bytes::BytesMut;

use super::portions;
use crate::socket::codec::{read_request, take_message};

/// Commands of the local socket.
pub fn socket(data: &[u8]) {
    let Some((_, portions)) = portions(data) else {
        return;
    };
    let mut input = BytesMut::new();
    for portion in portions {
        input.extend_from_slice(portion);
        while let Ok(Some(message)) = take_message(&mut input) {
            let _ = read_request(&message);
        }
    }
    // What no length announced is a message, too.
    let _ = read_request(data);
}
