//! A line of a pack -> an event, or the reason why it is none. No I/O.

use schemas::events::Event;
use serde::Deserialize;
use uuid::Uuid;

/// Why a line cannot become a row, with whatever of its identity can still be read.
#[derive(Debug)]
pub struct Poison {
    /// What the dead letter says.
    pub reason: String,
    /// As much of the head as is readable.
    pub identity: Identity,
}

/// The part of a head that names an event. Unlike a head it may be incomplete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Identity {
    /// The gateway ledger.
    #[serde(default)]
    pub epoch: Option<Uuid>,
    /// The partition.
    #[serde(default)]
    pub partition: Option<u16>,
    /// The number.
    #[serde(default)]
    pub seq: Option<u64>,
    /// The request.
    #[serde(default)]
    pub request_id: Option<Uuid>,
}

/// Reads a line that arrived in a partition's stream.
pub fn decode(line: &[u8], partition: u16) -> Result<Event, Poison> {
    let poison = |reason| Poison { reason, identity: serde_json::from_slice(line).unwrap_or_default() };
    let event = Event::decode(line).map_err(|error| poison(error.to_string()))?;
    if event.head.partition != partition {
        let found = event.head.partition;
        return Err(poison(format!("the event belongs to partition {found} but arrived in partition {partition}")));
    }
    if event.head.seq == 0 {
        return Err(poison("the event has number 0: numbers start at 1".to_owned()));
    }
    Ok(event)
}
