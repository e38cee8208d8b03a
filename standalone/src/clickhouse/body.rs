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
    pub(super) fn decode(self, mut body: Body) -> Box<dyn BufRead> {
        // Nothing is nothing in every encoding; the decoders would miss their headers.
        let is_empty = body.fill_buf().is_ok_and(<[u8]>::is_empty);
        let content: Box<dyn BufRead> = match self.content {
            _ if is_empty => Box::new(body),
            Content::Identity => Box::new(body),
            Content::Gzip => buffered(MultiGzDecoder::new(body)),
            Content::Deflate => buffered(ToTheEnd(ZlibDecoder::new(body))),
            Content::Lz4 => buffered(ToTheEnd(FrameDecoder::new(Inside(body)))),
        };
        if self.native_blocks { Box::new(native::Decoder::new(content)) } else { content }
    }
}

/// A decoder that ends where its format says so, driven to the end of the body: what stands behind is not lost.
struct ToTheEnd<D>(D);

/// A decoder that knows what it has not read.
trait Decoder: Read {
    /// Whether a body may hold several documents one behind another. Clients send one LZ4 frame per block.
    const REPEATS: bool;

    fn rest(&mut self) -> &mut Body;
}

impl Decoder for FrameDecoder<Inside> {
    const REPEATS: bool = true;

    fn rest(&mut self) -> &mut Body {
        &mut self.get_mut().0
    }
}

impl Decoder for ZlibDecoder<Body> {
    const REPEATS: bool = false;

    fn rest(&mut self) -> &mut Body {
        self.get_mut()
    }
}

/// A body whose end is an error: the LZ4 decoder reads only inside of frames, and takes an end there for a frame's own.
struct Inside(Body);

impl Read for Inside {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 if !buffer.is_empty() => Err(io::Error::new(io::ErrorKind::InvalidData, "the last frame is cut short")),
            read => Ok(read),
        }
    }
}

impl<D: Decoder> Read for ToTheEnd<D> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.0.read(buffer)?;
            if read > 0 || buffer.is_empty() || self.0.rest().fill_buf()?.is_empty() {
                return Ok(read);
            }
            if !D::REPEATS {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "there is something behind its end"));
            }
        }
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
    use std::io::Write;

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

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).and_then(|()| encoder.finish()).expect("compressed")
    }

    fn deflate(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).and_then(|()| encoder.finish()).expect("compressed")
    }

    fn lz4(data: &[u8]) -> Vec<u8> {
        let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
        encoder.write_all(data).expect("compressed");
        encoder.finish().expect("compressed")
    }

    /// The bytes in two pieces, and the end.
    fn pieces(bytes: &[u8]) -> Vec<Piece> {
        let (first, second) = bytes.split_at(bytes.len() / 2);
        vec![Piece::Data(Bytes::copy_from_slice(first)), Piece::Data(Bytes::copy_from_slice(second)), Piece::End]
    }

    #[test]
    fn content_encodings_are_undone_to_the_last_byte() {
        for (content, encode) in
            [(Content::Gzip, gzip as fn(&[u8]) -> Vec<u8>), (Content::Deflate, deflate), (Content::Lz4, lz4)]
        {
            let encoding = Encoding { content, native_blocks: false };
            assert_eq!(read(vec![Piece::End], encoding), Ok(Vec::new()), "{content:?} of nothing");
            let once = encode(b"hello ");
            assert_eq!(read(pieces(&once), encoding), Ok(b"hello ".to_vec()), "{content:?}");
            let twice = [once.clone(), encode(b"world")].concat();
            let expected = if content == Content::Deflate { Err(271) } else { Ok(b"hello world".to_vec()) };
            assert_eq!(read(pieces(&twice), encoding), expected, "{content:?} twice");
            for cut in 1..once.len() {
                assert!(read(pieces(&once[..cut]), encoding).is_err(), "{content:?} cut at {cut}");
            }
            assert!(read(pieces(&[once, b"garbage".to_vec()].concat()), encoding).is_err(), "{content:?} and garbage");
            assert!(read(pieces(b"nothing of the kind"), encoding).is_err(), "{content:?}");
        }
        let encoding = Encoding { content: Content::Lz4, native_blocks: true };
        assert_eq!(read(pieces(&lz4(&native::compress(b"both"))), encoding), Ok(b"both".to_vec()));
    }
}
