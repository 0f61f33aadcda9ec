//! The traffic classes, most urgent first.

pub use crate::socket::messages::TrafficClass;

impl TrafficClass {
    pub const COUNT: usize = 6;
    pub const ALL: [TrafficClass; TrafficClass::COUNT] = [
        TrafficClass::Control,
        TrafficClass::Dns,
        TrafficClass::Interactive,
        TrafficClass::Reliable,
        TrafficClass::Bulk,
        TrafficClass::Droppable,
    ];

    pub fn label(self) -> &'static str {
        match self {
            TrafficClass::Control => "control",
            TrafficClass::Dns => "dns",
            TrafficClass::Interactive => "interactive",
            TrafficClass::Reliable => "reliable",
            TrafficClass::Bulk => "bulk",
            TrafficClass::Droppable => "droppable",
        }
    }

    /// The number that names it on the wire.
    pub fn number(self) -> u8 {
        self as u8
    }

    pub fn from_number(number: u8) -> Option<TrafficClass> {
        TrafficClass::ALL.get(usize::from(number)).copied()
    }

    /// Sent as soon as the path lets anything pass, ahead of the others.
    pub fn is_urgent(self) -> bool {
        self <= TrafficClass::Interactive
    }

    /// Gives way when somebody suffers.
    pub fn is_patient(self) -> bool {
        self >= TrafficClass::Bulk
    }

    /// Streams that its flows are spread over, so that a lost packet holds up only some of them.
    pub fn shards(self) -> usize {
        match self {
            TrafficClass::Reliable => 2,
            TrafficClass::Bulk => 4,
            _ => 1,
        }
    }
}
