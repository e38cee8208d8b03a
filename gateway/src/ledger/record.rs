//! The frame of a record: length, CRC32C, payload.
//!
//! The first byte of a payload tells what it is: `{` an event's line, `P` the boundary of a pack, `C` a checkpoint.

/// Bytes before the payload: length and checksum, both little endian.
pub(super) const HEADER_BYTES: usize = 8;
/// Longest payload that is believed; a larger length is a torn or foreign file.
pub(super) const PAYLOAD_MAX: usize = 16 << 20;

/// Marks a pack boundary.
pub(super) const PACK: u8 = b'P';
/// Marks a checkpoint.
pub(super) const CHECKPOINT: u8 = b'C';

/// Appends a record whose payload is written by `fill`.
pub(super) fn write<E>(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    fill(out)?;
    let (length, checksum) = {
        let payload = out.get(start + HEADER_BYTES..).unwrap_or_default();
        (payload.len() as u32, crc32c::crc32c(payload))
    };
    if let Some(header) = out.get_mut(start..start + HEADER_BYTES) {
        header[..4].copy_from_slice(&length.to_le_bytes());
        header[4..].copy_from_slice(&checksum.to_le_bytes());
    }
    Ok(())
}

/// What stands at the start of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read<'a> {
    /// A whole record, and the bytes it takes with its header.
    Record(&'a [u8], usize),
    /// The bytes end inside a record.
    Short,
    /// Not a record: torn by a crash, or damaged.
    Broken,
}

/// Reads the record at the start of `bytes`.
pub(super) fn read(bytes: &[u8]) -> Read<'_> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return Read::Short };
    let Some((checksum, rest)) = rest.split_first_chunk::<4>() else { return Read::Short };
    let length = u32::from_le_bytes(*length) as usize;
    if length == 0 || length > PAYLOAD_MAX {
        return Read::Broken;
    }
    match rest.get(..length) {
        None => Read::Short,
        Some(payload) if crc32c::crc32c(payload) == u32::from_le_bytes(*checksum) => {
            Read::Record(payload, HEADER_BYTES + length)
        }
        Some(_) => Read::Broken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write::<()>(&mut out, |out| {
            out.extend_from_slice(payload);
            Ok(())
        })
        .unwrap();
        out
    }

    #[test]
    fn a_record_reads_back_and_any_damage_is_seen() {
        let whole = record(b"{\"v\":1}");
        assert_eq!(read(&whole), Read::Record(b"{\"v\":1}", whole.len()));
        for cut in 0..whole.len() {
            assert_eq!(read(&whole[..cut]), Read::Short, "{cut}");
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x40;
            assert!(!matches!(read(&damaged), Read::Record(..)), "{at}");
        }
        assert_eq!(read(&[0; 64]), Read::Broken, "zeros of a preallocated file are no records");
    }
}
