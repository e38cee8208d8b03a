//! An answer's compression: what `compress=1` or `Accept-Encoding` asks for.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use lz4_flex::frame::{BlockSize, FrameEncoder, FrameInfo};

use super::native;

/// What the client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Identity,
    /// `compress=1`: ClickHouse's own blocks, without a Content-Encoding.
    NativeBlocks,
    Gzip,
    Deflate,
    Lz4,
}

impl Wanted {
    /// Chooses from an `Accept-Encoding` header; what is not known here is answered as it is.
    pub(super) fn from_accept_encoding(header: &str) -> Self {
        let offered = |name: &str| {
            header.split(',').any(|offer| {
                let (coding, weight) = offer.split_once(';').unwrap_or((offer, ""));
                coding.trim().eq_ignore_ascii_case(name) && !matches!(weight.trim(), "q=0" | "q=0.0")
            })
        };
        let known = [("lz4", Self::Lz4), ("gzip", Self::Gzip), ("deflate", Self::Deflate)];
        known.into_iter().find(|(name, _)| offered(name)).map_or(Self::Identity, |(_, wanted)| wanted)
    }

    /// The `Content-Encoding` of the answer.
    pub(super) fn content_encoding(self) -> Option<&'static str> {
        match self {
            Self::Identity | Self::NativeBlocks => None,
            Self::Gzip => Some("gzip"),
            Self::Deflate => Some("deflate"),
            Self::Lz4 => Some("lz4"),
        }
    }
}

/// Compresses an answer piece by piece.
pub(super) enum Encoder {
    Identity,
    NativeBlocks,
    Gzip(GzEncoder<Vec<u8>>),
    Deflate(ZlibEncoder<Vec<u8>>),
    Lz4(Box<FrameEncoder<Vec<u8>>>),
}

impl Encoder {
    pub(super) fn new(wanted: Wanted) -> Self {
        match wanted {
            Wanted::Identity => Self::Identity,
            Wanted::NativeBlocks => Self::NativeBlocks,
            Wanted::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), Compression::fast())),
            Wanted::Deflate => Self::Deflate(ZlibEncoder::new(Vec::new(), Compression::fast())),
            Wanted::Lz4 => {
                // As a server does; and there are clients that take a read without a whole block for the end.
                let info = FrameInfo::new().block_size(BlockSize::Max64KB);
                Self::Lz4(Box::new(FrameEncoder::with_frame_info(info, Vec::new())))
            }
        }
    }

    /// Compresses a piece to its last byte, so that the client can read all of it at once.
    pub(super) fn push(&mut self, data: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Identity => Ok(data.to_vec()),
            Self::NativeBlocks if data.is_empty() => Ok(Vec::new()),
            Self::NativeBlocks => Ok(native::compress(data)),
            Self::Gzip(encoder) => {
                encoder.write_all(data)?;
                encoder.flush()?;
                Ok(std::mem::take(encoder.get_mut()))
            }
            Self::Deflate(encoder) => {
                encoder.write_all(data)?;
                encoder.flush()?;
                Ok(std::mem::take(encoder.get_mut()))
            }
            Self::Lz4(encoder) => {
                encoder.write_all(data)?;
                encoder.flush()?;
                Ok(std::mem::take(encoder.get_mut()))
            }
        }
    }

    /// The bytes that complete the answer.
    pub(super) fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Identity | Self::NativeBlocks => Ok(Vec::new()),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Deflate(encoder) => encoder.finish(),
            Self::Lz4(encoder) => encoder.finish().map_err(io::Error::other),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn encoded(wanted: Wanted) -> Vec<u8> {
        let mut encoder = Encoder::new(wanted);
        let mut bytes = encoder.push(b"hello ").expect("encodes");
        bytes.extend(encoder.push(b"world").expect("encodes"));
        bytes.extend(encoder.finish().expect("encodes"));
        bytes
    }

    #[test]
    fn every_encoding_can_be_undone() {
        let text = |mut read: Box<dyn Read>| {
            let mut text = String::new();
            read.read_to_string(&mut text).expect("decodes");
            text
        };
        assert_eq!(encoded(Wanted::Identity), b"hello world");
        assert_eq!(text(Box::new(native::Decoder::new(io::Cursor::new(encoded(Wanted::NativeBlocks))))), "hello world");
        assert_eq!(text(Box::new(flate2::read::GzDecoder::new(io::Cursor::new(encoded(Wanted::Gzip))))), "hello world");
        assert_eq!(
            text(Box::new(flate2::read::ZlibDecoder::new(io::Cursor::new(encoded(Wanted::Deflate))))),
            "hello world"
        );
        assert_eq!(
            text(Box::new(lz4_flex::frame::FrameDecoder::new(io::Cursor::new(encoded(Wanted::Lz4))))),
            "hello world"
        );
    }

    #[test]
    fn accept_encoding_is_honoured() {
        assert_eq!(Wanted::from_accept_encoding("lz4"), Wanted::Lz4);
        assert_eq!(Wanted::from_accept_encoding("gzip, deflate, br"), Wanted::Gzip);
        assert_eq!(Wanted::from_accept_encoding("zstd, gzip;q=0, Deflate"), Wanted::Deflate);
        assert_eq!(Wanted::from_accept_encoding("br"), Wanted::Identity);
        assert_eq!(Wanted::from_accept_encoding(""), Wanted::Identity);
    }
}
