//! A relay and a session that it knows, as an intent names them: `relay:00f1e2d3c4b5a697@192.0.2.1:7443`.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use super::session::RelaySession;

const SCHEME: &str = "relay:";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayRoute {
    pub session: RelaySession,
    /// Where the relay listens.
    pub relay: SocketAddr,
}

#[derive(Debug, PartialEq, Eq)]
pub enum RouteError {
    /// It is a text of another kind.
    NotRelayed,
    /// It begins as one and is none.
    Malformed,
}

impl fmt::Display for RelayRoute {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{SCHEME}{}@{}", self.session, self.relay)
    }
}

impl FromStr for RelayRoute {
    type Err = RouteError;

    fn from_str(text: &str) -> Result<RelayRoute, RouteError> {
        let rest = text.strip_prefix(SCHEME).ok_or(RouteError::NotRelayed)?;
        let parsed = rest.split_once('@').and_then(|(session, relay)| {
            let (session, relay) = (session.parse().ok()?, relay.parse().ok()?);
            Some(RelayRoute { session, relay })
        });
        parsed.ok_or(RouteError::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_as_it_is_written() {
        for relay in ["192.0.2.1:7443", "[2001:db8::1]:7443"] {
            let text = format!("relay:00f1e2d3c4b5a697@{relay}");
            let route: RelayRoute = text.parse().expect("a route");
            assert_eq!(route.session, RelaySession(0x00f1_e2d3_c4b5_a697));
            assert_eq!(route.to_string(), text);
        }
    }

    #[test]
    fn tells_a_wrong_route_from_none() {
        let read = |text: &str| text.parse::<RelayRoute>().expect_err("no route");
        assert_eq!(read("192.0.2.1:7443"), RouteError::NotRelayed);
        for text in [
            "relay:",
            "relay:1@192.0.2.1:7443",
            "relay:00f1e2d3c4b5a697@here:1",
        ] {
            assert_eq!(read(text), RouteError::Malformed, "{text}");
        }
    }
}
