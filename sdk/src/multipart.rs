//! Forms with files (RFC 7578), read in pieces.
//!
//! Read by hand: the crates for it bring a `Stream`, a lock and tables for two dozen character sets, several times what
//! a package without them has.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{Body, BodyError, Error, written};

/// The most bytes of one part's head, as the gateway has a limit on a request's.
const HEAD_BYTES_MAX: usize = 8 << 10;

/// The most parts of one form.
const PARTS_MAX: usize = 1_000;

/// A form that is read part by part, from [`Request::multipart`](crate::Request::multipart).
///
/// Nothing but one piece is in memory at a time, and all parts together may be as long as the request's limit says; a
/// longer one is 413, and one that is cut short or not such a form 400.
///
/// ```
/// use wasmgate_sdk::{Error, Request, Router, testing};
///
/// async fn upload(mut request: Request) -> Result<String, Error> {
///     let mut form = request.multipart()?; // 415 unless it is such a form
///     let mut told = String::new();
///     while let Some(mut part) = form.next_part().await? {
///         let (name, file) = (part.name().to_owned(), part.file_name().map(str::to_owned));
///         let mut bytes = 0;
///         while let Some(chunk) = part.chunk().await? {
///             bytes += chunk.len();
///         }
///         told += &format!("{name} {file:?} {bytes}\n");
///     }
///     Ok(told)
/// }
///
/// let app = Router::new().post("/", upload);
/// let body = "--x\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\none\r\n\
///             --x\r\ncontent-disposition: form-data; name=\"f\"; filename=\"t.txt\"\r\n\r\n\r\n--x--\r\n";
/// let post = |kind| Request::post("/").with_header("content-type", kind).with_body(body);
/// let reply = testing::call(&app, post("multipart/form-data; boundary=x"));
/// assert_eq!(reply.text(), "a None 3\nf Some(\"t.txt\") 0\n");
/// assert_eq!(testing::call(&app, post("text/plain")).status(), 415);
/// ```
#[derive(Debug)]
pub struct Multipart {
    body: Body,
    /// What has been read and not been given out.
    buffer: Vec<u8>,
    /// With the line end before it.
    delimiter: Vec<u8>,
    state: State,
    /// How many more bytes may come.
    left: usize,
    limit: usize,
    parts: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before a delimiter.
    Between,
    /// In a part's content.
    Within,
    Done,
}

/// A part of a form, read as it arrives; what is not read of it is passed over.
#[derive(Debug)]
pub struct Part<'a> {
    form: &'a mut Multipart,
    headers: HeaderMap,
    name: String,
    file_name: Option<String>,
}

impl Multipart {
    pub(crate) fn new(body: Body, boundary: &str, limit: usize) -> Self {
        Multipart {
            body,
            // The first delimiter may stand at the very beginning.
            buffer: b"\r\n".to_vec(),
            delimiter: format!("\r\n--{boundary}").into_bytes(),
            state: State::Between,
            left: limit,
            limit,
            parts: 0,
        }
    }

    /// The next part; `None` after the last.
    pub async fn next_part(&mut self) -> Result<Option<Part<'_>>, Error> {
        if self.state == State::Done {
            return Ok(None);
        }
        // The rest of the last part, or what stands before the first.
        self.state = State::Within;
        while self.content().await?.is_some() {}
        self.consume(self.delimiter.len());
        while self.buffer.len() < 2 {
            self.more().await?;
        }
        if self.buffer.starts_with(b"--") {
            self.state = State::Done;
            return Ok(None);
        }
        self.parts += 1;
        if self.parts > PARTS_MAX {
            return Err(Error::new(
                413,
                format!("the form has more than {PARTS_MAX} parts"),
            ));
        }
        let headers = self.head().await?;
        let disposition = written::text(&headers, "content-disposition").unwrap_or_default();
        let name =
            parameter(disposition, "name").ok_or_else(|| Error::bad_request("a part of the form has no name"))?;
        let file_name = parameter(disposition, "filename");
        self.state = State::Within;
        Ok(Some(Part {
            form: self,
            headers,
            name,
            file_name,
        }))
    }

    /// The fields before a part's content.
    async fn head(&mut self) -> Result<HeaderMap, Error> {
        let end = loop {
            // Blanks may follow a delimiter.
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end;
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                return Err(Error::bad_request(format!(
                    "a part's head is longer than {HEAD_BYTES_MAX} bytes"
                )));
            }
            self.more().await?;
        };
        let mut headers = HeaderMap::new();
        let head = self.buffer.get(..end).unwrap_or_default();
        // The first line is the rest of the delimiter's.
        for line in head.split(|byte| *byte == b'\n').skip(1) {
            let colon = line.iter().position(|byte| *byte == b':');
            let (name, value) = line.split_at(colon.unwrap_or(line.len()));
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            match (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
                (Ok(name), Ok(value)) => headers.append(name, value),
                _ => {
                    return Err(Error::bad_request(
                        "a part of the form has a head that is none",
                    ));
                }
            };
        }
        self.consume(end + 2);
        // The second line end belongs to the content: with it, an empty one ends at once.
        if self.buffer.starts_with(&self.delimiter) {
            return Ok(headers);
        }
        self.consume(2);
        Ok(headers)
    }

    /// The next piece of the content, until its delimiter is next.
    async fn content(&mut self) -> Result<Option<Vec<u8>>, Error> {
        loop {
            if let Some(end) = find(&self.buffer, &self.delimiter) {
                return Ok((end > 0).then(|| self.take(end)));
            }
            // The delimiter may have begun.
            let sure = (self.buffer.len() + 1).saturating_sub(self.delimiter.len());
            if sure > 0 {
                return Ok(Some(self.take(sure)));
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Result<(), Error> {
        let unread = |error: BodyError| Error::bad_request("the form could not be read to its end").with_source(error);
        let Some(chunk) = self.body.chunk().await.map_err(unread)? else {
            self.state = State::Done;
            return Err(Error::bad_request(
                "the form ends before its last delimiter",
            ));
        };
        let Some(left) = self.left.checked_sub(chunk.len()) else {
            self.state = State::Done;
            return Err(Error::new(
                413,
                format!("the form is longer than {} bytes", self.limit),
            ));
        };
        self.left = left;
        self.buffer.extend_from_slice(&chunk);
        Ok(())
    }

    fn take(&mut self, bytes: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(bytes);
        std::mem::replace(&mut self.buffer, rest)
    }

    fn consume(&mut self, bytes: usize) {
        self.buffer.drain(..bytes.min(self.buffer.len()));
    }
}

impl Part<'_> {
    /// The field's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file's name as the client says it, if it is a file: text from outside, not a path to write to.
    pub fn file_name(&self) -> Option<&str> {
        self.file_name.as_deref()
    }

    /// The part's headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The part's content type, if it says one.
    pub fn content_type(&self) -> Option<&str> {
        written::text(&self.headers, "content-type")
    }

    /// The next piece of the content, never empty; `None` at its end.
    pub async fn chunk(&mut self) -> Result<Option<Vec<u8>>, Error> {
        self.form.content().await
    }

    /// The whole content, unless it is longer than `limit` bytes: 413.
    pub async fn bytes(&mut self, limit: usize) -> Result<Vec<u8>, Error> {
        let mut whole = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if whole.len() + chunk.len() > limit {
                let detail = format!("`{}` is longer than {limit} bytes", self.name);
                return Err(Error::new(413, detail).with("field", &self.name));
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(whole)
    }

    /// The whole content as text; 422 when it is not UTF-8.
    pub async fn text(&mut self, limit: usize) -> Result<String, Error> {
        let bytes = self.bytes(limit).await?;
        String::from_utf8(bytes).map_err(|_| {
            let detail = format!("`{}` is not UTF-8 text", self.name);
            Error::new(422, detail).with("field", &self.name)
        })
    }
}

/// A parameter of a field such as `form-data; name="a"`, without its quotes.
pub(crate) fn parameter(value: &str, name: &str) -> Option<String> {
    let mut rest = value.split_once(';')?.1;
    loop {
        let (key, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let (found, next) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted),
            None => {
                let (word, next) = after.split_once(';').unwrap_or((after, ""));
                (word.trim().to_owned(), next)
            }
        };
        if key
            .trim_matches([' ', '\t', ';'])
            .eq_ignore_ascii_case(name)
        {
            return Some(found);
        }
        rest = next;
    }
}

/// The text up to the closing quote, and what comes after it.
fn unquote(text: &str) -> (String, &str) {
    let (mut found, mut is_escaped) = (String::new(), false);
    for (place, letter) in text.char_indices() {
        match letter {
            '"' if !is_escaped => return (found, text.get(place + 1..).unwrap_or_default()),
            // Browsers escape a quote alone; a backslash is one of a path of old.
            '\\' if !is_escaped
                && text
                    .get(place + 1..)
                    .is_some_and(|rest| rest.starts_with('"')) =>
            {
                is_escaped = true
            }
            letter => {
                found.push(letter);
                is_escaped = false;
            }
        }
    }
    (found, "")
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len())
        .position(|window| window == wanted)
}
