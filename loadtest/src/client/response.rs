//! Reads one HTTP/1.1 response, and no more of it than a load needs: status,
//! length of the body, whether the connection stays open (RFC 9112).

use bytes::{Buf, BytesMut};

/// Responses with more header fields than this are refused.
const MAX_HEADERS: usize = 64;
/// A head longer than this is refused rather than buffered.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// The bytes are not an HTTP/1.1 response.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// A response while it is read.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) keep_alive: bool,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    Fixed { left: u64 },
    ChunkSize,
    Chunk { left: u64 },
    ChunkEnd,
    Trailers,
    UntilClose,
    Done,
}

impl Response {
    pub(super) fn new() -> Self {
        Self {
            status: 0,
            keep_alive: true,
            state: State::Head,
        }
    }

    /// Takes what it can from `buffer`; true when the response is complete.
    pub(super) fn advance(
        &mut self,
        buffer: &mut BytesMut,
        on_body: &mut impl FnMut(&[u8]),
    ) -> Result<bool, Malformed> {
        loop {
            let before = (self.state, buffer.len());
            self.step(buffer, on_body)?;
            if self.state == State::Done {
                return Ok(true);
            }
            if before == (self.state, buffer.len()) {
                return Ok(false);
            }
        }
    }

    /// The server closed the connection: right only for a body without a length.
    pub(super) fn closed(&self) -> bool {
        self.state == State::UntilClose
    }

    fn step(&mut self, buffer: &mut BytesMut, on_body: &mut impl FnMut(&[u8])) -> Result<(), Malformed> {
        self.state = match self.state {
            State::Head => self.head(buffer)?,
            State::Fixed { left } => match take(buffer, left, on_body) {
                0 => State::Done,
                left => State::Fixed { left },
            },
            State::Chunk { left } => match take(buffer, left, on_body) {
                0 => State::ChunkEnd,
                left => State::Chunk { left },
            },
            State::ChunkSize => chunk_size(buffer)?,
            State::ChunkEnd => match buffer.get(..2) {
                Some(b"\r\n") => {
                    buffer.advance(2);
                    State::ChunkSize
                }
                Some(_) => return Err(Malformed),
                None => State::ChunkEnd,
            },
            State::Trailers => trailers(buffer)?,
            State::UntilClose => {
                on_body(buffer);
                buffer.clear();
                State::UntilClose
            }
            State::Done => State::Done,
        };
        Ok(())
    }

    fn head(&mut self, buffer: &mut BytesMut) -> Result<State, Malformed> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut head = httparse::Response::new(&mut headers);
        let length = match head.parse(buffer) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if buffer.len() < MAX_HEAD_BYTES => {
                return Ok(State::Head);
            }
            _ => return Err(Malformed),
        };
        self.status = head.code.ok_or(Malformed)?;
        self.keep_alive = head.version == Some(1);
        let mut content_length = None;
        let mut chunked = false;
        for header in head.headers.iter() {
            if header.name.eq_ignore_ascii_case("content-length") {
                let text = std::str::from_utf8(header.value).map_err(|_| Malformed)?;
                content_length = Some(text.trim().parse::<u64>().map_err(|_| Malformed)?);
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                chunked = header.value.eq_ignore_ascii_case(b"chunked");
            } else if header.name.eq_ignore_ascii_case("connection") {
                self.keep_alive = !header.value.eq_ignore_ascii_case(b"close");
            }
        }
        buffer.advance(length);
        Ok(match (self.status, chunked, content_length) {
            // An interim response: the real one follows.
            (100..=199, ..) => State::Head,
            (204 | 304, ..) => State::Done,
            (_, true, _) => State::ChunkSize,
            (_, false, Some(0)) => State::Done,
            (_, false, Some(left)) => State::Fixed { left },
            (_, false, None) => {
                self.keep_alive = false;
                State::UntilClose
            }
        })
    }
}

/// Hands out at most `left` bytes and returns how many are still to come.
fn take(buffer: &mut BytesMut, left: u64, on_body: &mut impl FnMut(&[u8])) -> u64 {
    let length = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
    if let Some(piece) = buffer.get(..length) {
        on_body(piece);
    }
    buffer.advance(length);
    left - length as u64
}

fn chunk_size(buffer: &mut BytesMut) -> Result<State, Malformed> {
    match httparse::parse_chunk_size(buffer) {
        Ok(httparse::Status::Complete((length, size))) => {
            buffer.advance(length);
            Ok(match size {
                0 => State::Trailers,
                left => State::Chunk { left },
            })
        }
        Ok(httparse::Status::Partial) => Ok(State::ChunkSize),
        Err(_) => Err(Malformed),
    }
}

fn trailers(buffer: &mut BytesMut) -> Result<State, Malformed> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
    match httparse::parse_headers(buffer, &mut fields) {
        Ok(httparse::Status::Complete((length, _))) => {
            buffer.advance(length);
            Ok(State::Done)
        }
        Ok(httparse::Status::Partial) if buffer.len() < MAX_HEAD_BYTES => Ok(State::Trailers),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `wire` in pieces of `size`; status, body and what is left over.
    fn read(wire: &[u8], size: usize) -> Option<(u16, Vec<u8>, Vec<u8>)> {
        let (mut buffer, mut body) = (BytesMut::new(), Vec::new());
        let mut response = Response::new();
        let mut done = false;
        for piece in wire.chunks(size) {
            buffer.extend_from_slice(piece);
            if !done {
                let take = &mut |piece: &[u8]| body.extend_from_slice(piece);
                done = response.advance(&mut buffer, take).ok()?;
            }
        }
        (done || response.closed()).then(|| (response.status, body, buffer.to_vec()))
    }

    #[test]
    fn every_framing_is_read_whatever_the_pieces() {
        for wire in [
            &b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"[..],
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nt: 1\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
            b"HTTP/1.0 200 OK\r\n\r\nhello",
        ] {
            for size in [1, 2, 3, 7, wire.len()] {
                let read = read(wire, size);
                assert_eq!(read, Some((200, b"hello".to_vec(), Vec::new())));
            }
        }
    }

    #[test]
    fn the_next_response_stays_in_the_buffer() {
        let wire = b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200";
        let (status, body, left) = read(wire, wire.len()).unwrap();
        assert_eq!((status, body.len()), (204, 0));
        assert_eq!(left, b"HTTP/1.1 200");
    }

    #[test]
    fn nonsense_is_refused() {
        for wire in [
            &b"SSH-2.0-x\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabc",
        ] {
            assert_eq!(read(wire, wire.len()), None);
        }
    }

    #[test]
    fn connection_close_ends_keep_alive() {
        let mut response = Response::new();
        let mut buffer = BytesMut::from(&b"HTTP/1.1 200 OK\r\nConnection: close\r\ncontent-length: 0\r\n\r\n"[..]);
        assert_eq!(response.advance(&mut buffer, &mut |_| ()), Ok(true));
        assert!(!response.keep_alive);
    }
}
