//! A request's body as the engine's thread reads it: pieces from the socket, undone of their compression.

use std::io::{self, BufRead, BufReader, Read};

use bytes::{Buf, Bytes};
use flate2::bufread::{MultiGzDecoder, ZlibDecoder};
use lz4_flex::frame::FrameDecoder;
use tokio::sync::mpsc;

use super::exception::Exception;
use super::native;

/// Pieces between the socket and the engine's thread; with more, a client that is faster than the engine has to wait.
const PIECES_IN_FLIGHT: usize = 8;
const DECODED_BUFFER_BYTES: usize = 256 * 1024;

/// What the socket has brought.
#[derive(Debug)]
pub(super) enum Piece {
    Data(Bytes),
    /// The body is complete. A channel that closes without it means that the client has gone.
    End,
}

/// Makes both ends of a body.
pub(super) fn channel() -> (mpsc::Sender<Piece>, Body) {
    let (sender, pieces) = mpsc::channel(PIECES_IN_FLIGHT);
    (sender, Body { pieces, current: Bytes::new(), ended: false })
}

/// The end at which the engine's thread reads. Only for threads that may block.
pub(super) struct Body {
    pieces: mpsc::Receiver<Piece>,
    current: Bytes,
    ended: bool,
}

impl BufRead for Body {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.is_empty() && !self.ended {
            match self.pieces.blocking_recv() {
                Some(Piece::Data(data)) => self.current = data,
                Some(Piece::End) => self.ended = true,
                None => {
                    let gone = Exception::network_error("The client has gone before the end of its request");
                    return Err(io::Error::new(io::ErrorKind::ConnectionAborted, gone));
                }
            }
        }
        Ok(&self.current)
    }

    fn consume(&mut self, amount: usize) {
        self.current.advance(amount.min(self.current.len()));
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

/// How a request's body is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Encoding {
    /// `Content-Encoding`.
    pub(super) content: Content,
    /// `decompress=1`: ClickHouse's own blocks, inside of the content encoding.
    pub(super) native_blocks: bool,
}

/// The content encodings that are understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Content {
    /// As it is.
    #[default]
    Identity,
    /// `gzip`.
    Gzip,
    /// `deflate`, with zlib's frame.
    Deflate,
    /// `lz4`, with LZ4's frame.
    Lz4,
}

impl Encoding {
    /// The plain bytes of a body.
    pub(super) fn decode(self, body: Body) -> Box<dyn BufRead> {
        let content: Box<dyn BufRead> = match self.content {
            Content::Identity => Box::new(body),
            Content::Gzip => buffered(MultiGzDecoder::new(body)),
            Content::Deflate => buffered(ZlibDecoder::new(body)),
            Content::Lz4 => buffered(FrameDecoder::new(body)),
        };
        if self.native_blocks { Box::new(native::Decoder::new(content)) } else { content }
    }
}

fn buffered(read: impl Read + 'static) -> Box<dyn BufRead> {
    Box::new(BufReader::with_capacity(DECODED_BUFFER_BYTES, read))
}

impl Exception {
    /// The exception behind a failed read: our own ones travel inside of the error, the rest come from decoders.
    pub(super) fn from_io(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(exception) => exception,
            Err(error) => Self::cannot_decompress(format_args!("Cannot decompress the body: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: Vec<Piece>, encoding: Encoding) -> Result<Vec<u8>, u16> {
        let (sender, body) = channel();
        for piece in pieces {
            sender.try_send(piece).expect("few pieces");
        }
        drop(sender);
        let mut data = Vec::new();
        let read = encoding.decode(body).read_to_end(&mut data);
        read.map(|_| data).map_err(|error| Exception::from_io(error).code())
    }

    #[test]
    fn a_body_without_its_end_is_an_error_and_not_a_short_body() {
        let data = || Piece::Data(Bytes::from_static(b"abc"));
        assert_eq!(read(vec![data(), data(), Piece::End], Encoding::default()), Ok(b"abcabc".to_vec()));
        assert_eq!(read(vec![data()], Encoding::default()), Err(210));
        assert_eq!(read(vec![], Encoding::default()), Err(210));
    }

    #[test]
    fn content_encodings_are_undone() {
        use std::io::Write;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"hello").expect("writes");
        let gzip = gzip.finish().expect("finishes");
        let (first, second) = gzip.split_at(7);
        let pieces = || {
            vec![Piece::Data(Bytes::copy_from_slice(first)), Piece::Data(Bytes::copy_from_slice(second)), Piece::End]
        };
        let encoding = Encoding { content: Content::Gzip, native_blocks: false };
        assert_eq!(read(pieces(), encoding), Ok(b"hello".to_vec()));
        assert_eq!(read(vec![Piece::Data(Bytes::copy_from_slice(first))], encoding), Err(210));
        assert_eq!(read(vec![Piece::Data(Bytes::from_static(b"no gzip at all")), Piece::End], encoding), Err(271));

        let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
        lz4.write_all(&native::compress(b"both")).expect("writes");
        let lz4 = Bytes::from(lz4.finish().expect("finishes"));
        let encoding = Encoding { content: Content::Lz4, native_blocks: true };
        assert_eq!(read(vec![Piece::Data(lz4), Piece::End], encoding), Ok(b"both".to_vec()));
    }
}
