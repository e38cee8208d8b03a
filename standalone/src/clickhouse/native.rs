//! ClickHouse's compressed blocks: `decompress=1` in requests, `compress=1` in answers.
//!
//! A block is a 128-bit checksum, one byte of method, two lengths, and the data:
//! `checksum[16] method[1] compressed_size[4] uncompressed_size[4] data`. The compressed size counts the nine bytes of
//! method and lengths, and the checksum covers them.

use std::io::{self, BufRead, Read};

use cityhash_rs::cityhash_102_128;
use lz4_flex::block;

use super::exception::Exception;

const CHECKSUM_BYTES: usize = 16;
const HEADER_BYTES: usize = 9;
const UNCOMPRESSED: u8 = 0x02;
const LZ4: u8 = 0x82;
/// What a server takes at most for one block (`DBMS_MAX_COMPRESSED_SIZE`).
const BLOCK_MAX_BYTES: usize = 1 << 30;

/// Compresses one block.
pub(super) fn compress(data: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; CHECKSUM_BYTES + HEADER_BYTES];
    frame.extend_from_slice(&block::compress(data));
    let compressed_bytes = u32::try_from(frame.len() - CHECKSUM_BYTES).unwrap_or(u32::MAX);
    let data_bytes = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let header = [&[LZ4][..], &compressed_bytes.to_le_bytes(), &data_bytes.to_le_bytes()].concat();
    if let Some(place) = frame.get_mut(CHECKSUM_BYTES..CHECKSUM_BYTES + HEADER_BYTES) {
        place.copy_from_slice(&header);
    }
    let checksum = checksum(frame.get(CHECKSUM_BYTES..).unwrap_or_default());
    if let Some(place) = frame.get_mut(..CHECKSUM_BYTES) {
        place.copy_from_slice(&checksum);
    }
    frame
}

/// CityHash 1.0.2 as ClickHouse writes it: the lower half first, each half little-endian.
fn checksum(data: &[u8]) -> [u8; CHECKSUM_BYTES] {
    cityhash_102_128(data).rotate_left(64).to_le_bytes()
}

/// Reads blocks and gives out what is in them.
pub(super) struct Decoder<R> {
    input: R,
    block: Vec<u8>,
    position: usize,
}

impl<R: BufRead> Decoder<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, block: Vec::new(), position: 0 }
    }

    /// Reads the next block; false at the end of the input.
    fn next_block(&mut self) -> io::Result<bool> {
        if self.input.fill_buf()?.is_empty() {
            return Ok(false);
        }
        let mut head = [0; CHECKSUM_BYTES + HEADER_BYTES];
        self.input.read_exact(&mut head).map_err(cut_short)?;
        let (expected, header) = head.split_at(CHECKSUM_BYTES);
        let [method, a, b, c, d, e, f, g, h] = *header else { return Ok(false) };
        let compressed_bytes = u32::from_le_bytes([a, b, c, d]) as usize;
        let data_bytes = u32::from_le_bytes([e, f, g, h]) as usize;
        if compressed_bytes > BLOCK_MAX_BYTES || data_bytes > BLOCK_MAX_BYTES || compressed_bytes < HEADER_BYTES {
            return Err(refuse(Exception::too_large_compressed(
                "Too large size_compressed_without_checksum. Most likely corrupted data.",
            )));
        }
        // Grows with what arrives: a corrupt length must not reserve a gigabyte.
        let mut body = header.to_vec();
        let wanted = (compressed_bytes - HEADER_BYTES) as u64;
        if self.input.by_ref().take(wanted).read_to_end(&mut body)? < compressed_bytes - HEADER_BYTES {
            return Err(cut_short(io::ErrorKind::UnexpectedEof.into()));
        }
        if checksum(&body) != expected {
            return Err(refuse(Exception::checksum_mismatch("Checksum doesn't match: corrupted data.")));
        }
        let data = body.get(HEADER_BYTES..).unwrap_or_default();
        self.block = match method {
            LZ4 => block::decompress(data, data_bytes).map_err(|error| refuse(Exception::cannot_decompress(error)))?,
            UNCOMPRESSED => data.to_vec(),
            // ZSTD (0x90) needs a C library, and none of our clients sends it.
            _ => {
                return Err(refuse(Exception::unknown_compression(format_args!(
                    "Unknown codec family code: {method:#04x}: send LZ4 blocks"
                ))));
            }
        };
        if self.block.len() != data_bytes {
            return Err(refuse(Exception::cannot_decompress("the block has another length than its header says")));
        }
        self.position = 0;
        Ok(true)
    }
}

impl<R: BufRead> BufRead for Decoder<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.position >= self.block.len() && self.next_block()? {}
        Ok(self.block.get(self.position..).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        self.position += amount;
    }
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

fn cut_short(error: io::Error) -> io::Error {
    if error.kind() != io::ErrorKind::UnexpectedEof || error.get_ref().is_some() {
        return error;
    }
    refuse(Exception::cannot_read_all_data("Cannot read all data: the last compressed block is cut short"))
}

fn refuse(exception: Exception) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, exception)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(bytes: &[u8]) -> Result<Vec<u8>, u16> {
        let mut data = Vec::new();
        let read = Decoder::new(bytes).read_to_end(&mut data);
        read.map(|_| data).map_err(|error| Exception::from_io(error).code())
    }

    #[test]
    fn blocks_are_read_one_after_another() {
        let mut bytes = compress(b"hello");
        assert_eq!(bytes.get(16..25), Some(&[LZ4, 15, 0, 0, 0, 5, 0, 0, 0][..]));
        bytes.extend(compress(b""));
        bytes.extend(compress(b" world"));
        assert_eq!(decoded(&bytes), Ok(b"hello world".to_vec()));
    }

    #[test]
    fn damage_is_found() {
        let whole = compress(&[7; 1000]);
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x40;
            assert!(decoded(&damaged).is_err(), "byte {at}");
            assert!(at == 0 || decoded(&whole[..at]) == Err(33), "cut at {at}");
        }
        let mut zstd = whole;
        zstd[16] = 0x90;
        let sum = checksum(&zstd[16..]);
        zstd[..16].copy_from_slice(&sum);
        assert_eq!(decoded(&zstd), Err(89));
    }

    proptest! {
        #[test]
        fn what_is_compressed_comes_back(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 0..5)) {
            let bytes: Vec<u8> = pieces.iter().flat_map(|piece| compress(piece)).collect();
            prop_assert_eq!(decoded(&bytes), Ok(pieces.concat()));
        }
    }
}
