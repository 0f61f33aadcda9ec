//! Why a path is no longer used. The numbers go over the wire as the error code of PATH_ABANDON, so that both sides know.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathReason {
    /// It answered before and does no more.
    Timeout,
    /// Nobody answered when it was opened.
    PeerUnavailable,
    /// The peer's host says that nobody listens there.
    ConnectionRefused,
    /// The other side closed it and said no reason.
    ConnectionReset,
    /// This host or one on the way knows no route, or our address is gone.
    NoRouteToHost,
    /// There are as many paths as the connection allows, or as are of use.
    CapacityLimited,
}

const ALL: [PathReason; 6] = [
    PathReason::Timeout,
    PathReason::PeerUnavailable,
    PathReason::ConnectionRefused,
    PathReason::ConnectionReset,
    PathReason::NoRouteToHost,
    PathReason::CapacityLimited,
];

/// Apart from the numbers of the QUIC standards.
const FIRST_NUMBER: u32 = 0x5af0;

impl PathReason {
    pub fn name(self) -> &'static str {
        match self {
            PathReason::Timeout => "timeout",
            PathReason::PeerUnavailable => "peer_unavailable",
            PathReason::ConnectionRefused => "connection_refused",
            PathReason::ConnectionReset => "connection_reset",
            PathReason::NoRouteToHost => "no_route_to_host",
            PathReason::CapacityLimited => "capacity_limited",
        }
    }

    pub fn number(self) -> u32 {
        FIRST_NUMBER + self as u32
    }

    /// What the other side said.
    pub fn of_number(number: u64) -> PathReason {
        ALL.into_iter()
            .find(|reason| u64::from(reason.number()) == number)
            .unwrap_or(PathReason::ConnectionReset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_by_its_number() {
        for reason in ALL {
            assert_eq!(PathReason::of_number(reason.number().into()), reason);
        }
        assert_eq!(PathReason::of_number(0), PathReason::ConnectionReset);
    }
}
