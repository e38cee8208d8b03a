//! The beginning of an event's line, written and read by hand.
//!
//! Every event has one, and all that is needed to number, pack and address an event stands in it: to write it by way of
//! a serialiser, or to read a whole event for three of its fields, costs more than everything else that is done there.

use uuid::Uuid;

use crate::events::{Head, Phase, json};
use crate::outcome::Kind;

/// Appends what [`Head`] serialises to, without the closing brace.
pub(super) fn write_head(head: &Head, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let mut hyphenated = [0; uuid::fmt::Hyphenated::LENGTH];
    out.extend_from_slice(b"{\"v\":");
    json::write(&head.v, out)?;
    out.extend_from_slice(b",\"kind\":\"");
    out.extend_from_slice(head.kind.as_str().as_bytes());
    out.extend_from_slice(match head.phase {
        Some(Phase::Opened) => b"\",\"phase\":\"opened\",\"epoch\":\"",
        Some(Phase::Settled) => b"\",\"phase\":\"settled\",\"epoch\":\"",
        None => b"\",\"epoch\":\"",
    });
    out.extend_from_slice(head.epoch.hyphenated().encode_lower(&mut hyphenated).as_bytes());
    out.extend_from_slice(b"\",\"partition\":");
    json::write(&head.partition, out)?;
    out.extend_from_slice(b",\"seq\":");
    json::write(&head.seq, out)?;
    out.extend_from_slice(b",\"at\":\"");
    out.extend_from_slice(&head.at.to_text());
    out.extend_from_slice(b"\",\"request_id\":\"");
    out.extend_from_slice(head.request_id.hyphenated().encode_lower(&mut hyphenated).as_bytes());
    out.extend_from_slice(b"\",\"gateway\":");
    json::write(&head.gateway, out)
}

/// What decides in which pack an event travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// Its kind.
    pub kind: Kind,
    /// Its partition.
    pub partition: u16,
    /// Its number.
    pub seq: u64,
}

impl Address {
    /// Reads it from an event's line.
    pub fn of(line: &[u8]) -> Result<Self, serde_json::Error> {
        if let Some(address) = glance(line) {
            return Ok(address);
        }
        // Valid JSON of another spelling.
        let head: Head = serde_json::from_slice(line)?;
        Ok(Self { kind: head.kind, partition: head.partition, seq: head.seq })
    }
}

/// Reads the beginning as [`write_head`] writes it.
fn glance(line: &[u8]) -> Option<Address> {
    let rest = line.strip_prefix(b"{\"v\":1,\"kind\":\"")?;
    let (kind, rest) = Kind::ALL.iter().find_map(|kind| {
        let rest = rest.strip_prefix(kind.as_str().as_bytes())?.strip_prefix(b"\",")?;
        Some((*kind, rest))
    })?;
    let opened = rest.strip_prefix(b"\"phase\":\"opened\",");
    let rest = opened.or_else(|| rest.strip_prefix(b"\"phase\":\"settled\",")).unwrap_or(rest);
    let rest = rest.strip_prefix(b"\"epoch\":\"")?.get(uuid::fmt::Hyphenated::LENGTH..)?;
    let (partition, rest) = number(rest.strip_prefix(b"\",\"partition\":")?)?;
    let (seq, rest) = number(rest.strip_prefix(b",\"seq\":")?)?;
    rest.starts_with(b",\"at\":\"").then_some(Address { kind, partition: u16::try_from(partition).ok()?, seq })
}

/// Reads a head as [`write_head`] writes it: itself, and what follows it. `None` is for a reader of JSON: another
/// spelling, or something that is wrong.
pub(super) fn read_head(line: &[u8]) -> Option<(Head, &[u8])> {
    let rest = line.strip_prefix(b"{\"v\":")?;
    let (v, rest) = number(rest)?;
    let rest = rest.strip_prefix(b",\"kind\":\"")?;
    let (kind, rest) = Kind::ALL.iter().find_map(|kind| {
        let rest = rest.strip_prefix(kind.as_str().as_bytes())?.strip_prefix(b"\",")?;
        Some((*kind, rest))
    })?;
    let phases = [(Phase::Opened, &b"\"phase\":\"opened\","[..]), (Phase::Settled, b"\"phase\":\"settled\",")];
    let phase = phases.into_iter().find_map(|(phase, text)| Some((Some(phase), rest.strip_prefix(text)?)));
    let (phase, rest) = phase.unwrap_or((None, rest));
    let (epoch, rest) = id(rest.strip_prefix(b"\"epoch\":\"")?)?;
    let (partition, rest) = number(rest.strip_prefix(b",\"partition\":")?)?;
    let (seq, rest) = number(rest.strip_prefix(b",\"seq\":")?)?;
    let (at, rest) = rest.strip_prefix(b",\"at\":\"")?.split_at_checked(27)?;
    let (request_id, rest) = id(rest.strip_prefix(b"\",\"request_id\":\"")?)?;
    let rest = rest.strip_prefix(b",\"gateway\":\"")?;
    let length = rest.iter().position(|byte| *byte < b' ' || *byte == b'\\' || *byte == b'"')?;
    let (gateway, rest) = rest.split_at_checked(length)?;
    let head = Head {
        v: u8::try_from(v).ok()?,
        kind,
        phase,
        epoch,
        partition: u16::try_from(partition).ok()?,
        seq,
        at: str::from_utf8(at).ok()?.parse().ok()?,
        request_id,
        gateway: str::from_utf8(gateway).ok()?.to_owned(),
    };
    Some((head, rest.strip_prefix(b"\"")?))
}

/// An id's value and what follows its closing quote.
fn id(text: &[u8]) -> Option<(Uuid, &[u8])> {
    let (id, rest) = text.split_at_checked(uuid::fmt::Hyphenated::LENGTH)?;
    Some((Uuid::try_parse_ascii(id).ok()?, rest.strip_prefix(b"\"")?))
}

/// A number's value and what follows it.
fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(length);
    let value =
        digits.iter().try_fold(0_u64, |value, digit| value.checked_mul(10)?.checked_add(u64::from(digit - b'0')))?;
    let is_json = length == 1 || (length > 1 && !digits.starts_with(b"0"));
    is_json.then_some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    #[test]
    fn is_what_the_serialiser_writes_and_reads_back() {
        for (at, kind) in Kind::ALL.iter().copied().enumerate() {
            for phase in [None, Some(Phase::Opened), Some(Phase::Settled)] {
                for seq in [0, 1, 9_999, u64::MAX] {
                    let head = Head {
                        v: 1,
                        kind,
                        phase,
                        epoch: Uuid::from_u128(u128::from(seq) << 60),
                        partition: at as u16 * 21,
                        seq,
                        at: Timestamp::from_micros(1_790_000_000_123_456),
                        request_id: Uuid::from_u128(u128::MAX - u128::from(seq)),
                        gateway: "gw \"1\"\n".to_owned(),
                    };
                    let plain = Head { gateway: "gé-1".to_owned(), ..head.clone() };
                    let mut line = Vec::new();
                    write_head(&plain, &mut line).unwrap();
                    line.extend_from_slice(b",\"a\":1}");
                    assert_eq!(read_head(&line), Some((plain, &b",\"a\":1}"[..])));
                    let mut line = Vec::new();
                    write_head(&head, &mut line).unwrap();
                    line.push(b'}');
                    assert_eq!(read_head(&line), None, "its gateway's name is for a reader of JSON");
                    assert_eq!(String::from_utf8(line.clone()).unwrap(), serde_json::to_string(&head).unwrap());
                    let address = Address { kind, partition: head.partition, seq };
                    assert_eq!((glance(&line), Address::of(&line).unwrap()), (Some(address), address));
                    // Another spelling of the same.
                    let spaced = String::from_utf8(line).unwrap().replace("\":", "\": ");
                    assert_eq!((glance(spaced.as_bytes()), Address::of(spaced.as_bytes()).unwrap()), (None, address));
                }
            }
        }
        assert!(number(b"01,").is_none() && number(b"0,").is_some() && number(b",").is_none());
        assert!(Address::of(b"{\"v\":1,\"kind\":\"stream\"").is_err() && Address::of(b"").is_err());
    }
}
