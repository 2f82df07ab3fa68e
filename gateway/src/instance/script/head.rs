//! The header lines at the start of a program's output (RFC 3875, 6).

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header, response::Parts};

use super::super::answer::RESPONSE_HEAD;
use crate::egress;

/// The maximum of a line that is logged.
const SHOWN_BYTES: usize = 100;

/// The CGI field that sets the status.
const STATUS: HeaderName = HeaderName::from_static("status");

/// Fields that may appear once (RFC 3875, 6.3).
static SINGLE: [HeaderName; 4] = [
    STATUS,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::LOCATION,
];

/// Why an output is not a response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::instance) enum BadOutput {
    /// It is empty.
    #[error(
        "it printed nothing: the output of a program of `kind = \"cgi\"` begins with header lines such as `Content-Type: text/plain`, and an empty line after them"
    )]
    Nothing,
    /// A line is not a header line.
    #[error(
        "it printed {0}, which is no header line: print lines such as `Content-Type: text/plain`, and an empty line after them, before the body"
    )]
    NoField(String),
    /// It starts with a status line of HTTP.
    #[error("it printed {0}: print `Status: 200` in place of that line")]
    StatusLine(String),
    /// The header lines do not end.
    #[error("its output ended before the empty line that its header lines end with")]
    NoEnd,
    /// They are too large.
    #[error(
        "its header lines have more than {} bytes, or no empty line after them",
        RESPONSE_HEAD
    )]
    TooLong,
    /// A value has characters that are not allowed.
    #[error("the value of `{0}` has characters that no header may have")]
    Value(HeaderName),
    /// A field appears twice that may appear once.
    #[error("it printed `{0}` twice")]
    Twice(HeaderName),
    /// A field that only the gateway may set.
    #[error("it printed `Transfer-Encoding`: how a body is sent is the gateway's business")]
    Coded,
    /// An invalid status.
    #[error("`Status` is {0}, and begins with no number of three digits")]
    Status(String),
    /// An invalid length.
    #[error("`Content-Length` is {0}, and is no number")]
    Length(String),
    /// None of the required fields is present.
    #[error("it printed none of `Content-Type`, `Status` and `Location`")]
    NoOwnField,
    /// A local redirect.
    #[error(
        "it asks for the local redirect {0}, which is not done here: print `Status: 302` besides, and its client follows it"
    )]
    LocalRedirect(String),
    /// A body without a type.
    #[error("it printed a body and no `Content-Type`")]
    NoType,
    /// A body that is longer than its length.
    #[error("its body is longer than its `Content-Length`")]
    TooMuch,
    /// A body that is shorter.
    #[error("its body is {0} bytes shorter than its `Content-Length`")]
    TooLittle(u64),
}

/// Parses header lines as they come.
#[derive(Debug, Default)]
pub(super) struct HeadReader {
    /// The incomplete line.
    line: Vec<u8>,
    /// The bytes before it.
    bytes: usize,
    headers: HeaderMap,
}

/// A complete head.
#[derive(Debug)]
pub(super) struct ScriptHead {
    pub(super) parts: Parts,
    /// The length of the body, if given.
    pub(super) length: Option<u64>,
}

impl HeadReader {
    /// Parses more output, and returns the head with what follows it, once it is complete.
    ///
    /// # Errors
    /// When it is invalid.
    pub(super) fn read<'a>(&mut self, mut output: &'a [u8]) -> Result<Option<(ScriptHead, &'a [u8])>, BadOutput> {
        while let Some(at) = output.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = output.split_at(at.saturating_add(1));
            self.extend(line)?;
            output = rest;
            let line = std::mem::take(&mut self.line);
            self.bytes = self.bytes.saturating_add(line.len());
            let line = line.strip_suffix(b"\n").unwrap_or(&line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                return Ok(Some((self.whole()?, output)));
            }
            self.field(line)?;
        }
        self.extend(output)?;
        Ok(None)
    }

    /// The error for an output that ends here.
    pub(super) fn unended(&self) -> BadOutput {
        if self.bytes == 0 && self.line.is_empty() {
            BadOutput::Nothing
        } else if self.bytes == 0 && !self.line.contains(&b':') {
            BadOutput::NoField(shown(&self.line))
        } else {
            BadOutput::NoEnd
        }
    }

    fn extend(&mut self, part: &[u8]) -> Result<(), BadOutput> {
        let all = [self.bytes, self.line.len(), part.len()];
        if all.into_iter().fold(0, usize::saturating_add) > RESPONSE_HEAD {
            return Err(BadOutput::TooLong);
        }
        self.line.extend_from_slice(part);
        Ok(())
    }

    fn field(&mut self, line: &[u8]) -> Result<(), BadOutput> {
        if self.headers.is_empty() && line.starts_with(b"HTTP/") {
            return Err(BadOutput::StatusLine(shown(line)));
        }
        let no_field = || BadOutput::NoField(shown(line));
        let colon = line.iter().position(|byte| *byte == b':');
        let (name, value) = line.split_at(colon.ok_or_else(no_field)?);
        let name = HeaderName::from_bytes(name).map_err(|_| no_field())?;
        let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii();
        let value = HeaderValue::from_bytes(value).map_err(|_| BadOutput::Value(name.clone()))?;
        if name == header::TRANSFER_ENCODING {
            return Err(BadOutput::Coded);
        }
        if SINGLE.contains(&name) && self.headers.contains_key(&name) {
            return Err(BadOutput::Twice(name));
        }
        // Connection-specific fields are ignored.
        if !egress::is_forbidden(&name) {
            self.headers.append(name, value);
        }
        Ok(())
    }

    fn whole(&mut self) -> Result<ScriptHead, BadOutput> {
        let mut headers = std::mem::take(&mut self.headers);
        let said = headers.remove(STATUS);
        let location = headers.get(header::LOCATION);
        if said.is_none() && location.is_none() && !headers.contains_key(header::CONTENT_TYPE) {
            return Err(BadOutput::NoOwnField);
        }
        let status = match (said, location) {
            (Some(said), _) => status(&said)?,
            (None, Some(location)) if location.as_bytes().starts_with(b"/") => {
                return Err(BadOutput::LocalRedirect(shown(location.as_bytes())));
            }
            (None, Some(_)) => StatusCode::FOUND,
            (None, None) => StatusCode::OK,
        };
        let length = headers
            .get(header::CONTENT_LENGTH)
            .map(length)
            .transpose()?;
        let (mut parts, ()) = Response::new(()).into_parts();
        (parts.status, parts.headers) = (status, headers);
        Ok(ScriptHead { parts, length })
    }
}

/// The number in `404 Not Found`.
fn status(said: &HeaderValue) -> Result<StatusCode, BadOutput> {
    let number = said.as_bytes().split(u8::is_ascii_whitespace).next();
    let status = number.and_then(|number| StatusCode::from_bytes(number).ok());
    status.ok_or_else(|| BadOutput::Status(shown(said.as_bytes())))
}

fn length(said: &HeaderValue) -> Result<u64, BadOutput> {
    let digits = said.to_str().unwrap_or_default();
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let length = digits.parse().ok().filter(|_| is_number);
    length.ok_or_else(|| BadOutput::Length(shown(said.as_bytes())))
}

/// A line for the log, quoted and truncated.
fn shown(line: &[u8]) -> String {
    let (line, is_cut) = match line.get(..SHOWN_BYTES) {
        Some(begin) if line.len() > SHOWN_BYTES => (begin, true),
        _ => (line, false),
    };
    let dots = if is_cut { "…" } else { "" };
    format!("{:?}{dots}", String::from_utf8_lossy(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads an output in pieces of one byte, as the slowest program writes it.
    fn read(output: &str) -> Result<Option<ScriptHead>, BadOutput> {
        let mut reader = HeadReader::default();
        for byte in output.as_bytes() {
            if let Some((head, rest)) = reader.read(&[*byte])? {
                assert!(rest.is_empty());
                return Ok(Some(head));
            }
        }
        Ok(None)
    }

    fn head(output: &str) -> ScriptHead {
        read(output).unwrap().unwrap()
    }

    #[test]
    fn lines_end_in_either_way_and_the_rest_is_the_body() {
        for output in [
            "Content-Type: text/plain\nX-A: 1\n\nbody\n\n",
            "content-type:text/plain\r\nX-A:  1 \r\n\r\nbody\n\n",
        ] {
            let mut reader = HeadReader::default();
            let (head, rest) = reader.read(output.as_bytes()).unwrap().unwrap();
            assert_eq!(head.parts.headers["content-type"], "text/plain");
            assert_eq!(head.parts.headers["x-a"], "1");
            assert_eq!(rest, b"body\n\n");
        }
    }

    #[test]
    fn status_and_location_are_words_to_the_gateway() {
        for (output, status) in [
            ("Content-Type: a/b\n\n", 200),
            ("Status: 404 Not Found\nContent-Type: a/b\n\n", 404),
            ("Status: 204\n\n", 204),
            ("Location: https://example.com/\n\n", 302),
            ("Status: 301\nLocation: /elsewhere\n\n", 301),
        ] {
            let head = head(output);
            assert_eq!(head.parts.status, status, "{output}");
            assert!(!head.parts.headers.contains_key("status"));
        }
        assert_eq!(head("Status: 200\nContent-Length: 5\n\n").length, Some(5));
    }

    #[test]
    fn what_is_no_head_is_told_apart() {
        let long = format!("X-A: {}\n", "a".repeat(1000)).repeat(70);
        for (output, words) in [
            ("Hello, world\n", "\"Hello, world\", which is no header"),
            ("HTTP/1.1 200 OK\n", "`Status: 200`"),
            ("X-A: 1\n\n", "none of `Content-Type`"),
            ("\n", "none of `Content-Type`"),
            (" folded: 1\n", "no header line"),
            ("X-A : 1\n", "no header line"),
            (": 1\n", "no header line"),
            ("X-A: a\0b\n", "`x-a` has characters"),
            ("X-A: a\rSet-Cookie: b\n", "`x-a` has characters"),
            ("Status: 200\nStatus: 201\n", "`status` twice"),
            ("Content-Type: a/b\ncontent-type: c/d\n", "twice"),
            ("Status: fine\n\n", "\"fine\", and begins"),
            ("Status: 20\n\n", "begins with no number"),
            ("Content-Type: a/b\nContent-Length: -1\n\n", "is no number"),
            ("Content-Type: a/b\nContent-Length: +1\n\n", "is no number"),
            ("Location: /elsewhere\n\n", "local redirect \"/elsewhere\""),
            ("Transfer-Encoding: chunked\n", "Transfer-Encoding"),
            (&*long, "more than 65536 bytes"),
            (&*"a".repeat(70_000), "more than 65536 bytes"),
        ] {
            let told = read(output).unwrap_err().to_string();
            assert!(told.contains(words), "{output:.40}: {told}");
        }
    }

    #[test]
    fn an_output_without_an_end_of_its_head_is_told_by_what_it_has() {
        let told = |output: &str| {
            let mut reader = HeadReader::default();
            assert!(reader.read(output.as_bytes()).unwrap().is_none());
            reader.unended()
        };
        assert_eq!(told(""), BadOutput::Nothing);
        assert!(matches!(told("Hello"), BadOutput::NoField(_)));
        assert_eq!(told("Content-Type: a/b\n"), BadOutput::NoEnd);
        assert_eq!(told("Content-Type: a/b"), BadOutput::NoEnd);
    }

    #[test]
    fn what_is_said_of_the_connection_goes_no_further() {
        let head = head("Content-Type: a/b\nConnection: close\nX-Wasmgate-Error: none\n\n");
        assert_eq!(head.parts.headers.len(), 1);
    }
}
