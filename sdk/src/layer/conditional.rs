//! Answers for clients that have something already, or want a part (RFC 9110, sections 13 and 14).

use std::ops::Range;

use http::{HeaderValue, Method, StatusCode};

use crate::{Request, Response, precondition::none_match};

/// The fields that are kept in a 304: all that say something of what the client has (RFC 9110, section 15.4.5). Those
/// of the body are not.
const OF_THE_BODY: [&str; 3] = ["content-type", "content-length", "content-encoding"];

/// What a request asks for.
pub(crate) struct Asked {
    is_get: bool,
    is_head: bool,
    none_match: Option<String>,
    range: Option<String>,
    if_range: Option<String>,
}

impl Asked {
    pub(crate) fn of(request: &Request) -> Self {
        let header = |name| request.header(name).map(str::to_owned);
        Asked {
            is_get: *request.method() == Method::GET,
            is_head: *request.method() == Method::HEAD,
            none_match: header("if-none-match"),
            range: header("range"),
            if_range: header("if-range"),
        }
    }

    /// The answer, or what is to be sent in its place.
    pub(crate) fn apply(self, mut response: Response) -> Response {
        if !(self.is_get || self.is_head) || response.status() != StatusCode::OK {
            return response;
        }
        let Some(body) = response.whole_body() else {
            return response;
        };
        let length = body.len();
        let etag = match response.header("etag") {
            Some(etag) => etag.to_owned(),
            None => format!("\"{:016x}\"", hash(body)),
        };
        if let Ok(value) = HeaderValue::try_from(etag.as_str()) {
            response.headers_mut().insert("etag", value);
        }
        if self
            .none_match
            .is_some_and(|condition| none_match(&condition, &etag))
        {
            OF_THE_BODY.iter().for_each(|name| {
                response.headers_mut().remove(*name);
            });
            return response.with_status(304).with_body("");
        }
        response.set("accept-ranges", "bytes");
        let is_current = self.if_range.is_none_or(|wanted| wanted == etag);
        match self.range.filter(|_| self.is_get && is_current) {
            Some(range) => part(response, &range, length),
            None => response,
        }
    }
}

/// The part of an answer that a `range` asks for. Several parts at once, and what is no range, get the whole.
fn part(response: Response, range: &str, length: usize) -> Response {
    match parse(range, length) {
        None => response,
        Some(None) => response
            .with_status(416)
            .with_header("content-range", format!("bytes */{length}"))
            .with_body(""),
        Some(Some(range)) => {
            let content_range = format!("bytes {}-{}/{length}", range.start, range.end - 1);
            let part = response
                .whole_body()
                .and_then(|body| body.get(range))
                .unwrap_or_default()
                .to_vec();
            response
                .with_status(206)
                .with_header("content-range", content_range)
                .with_body(part)
        }
    }
}

/// `None` when it is no single range, `Some(None)` when there is nothing of it.
fn parse(range: &str, length: usize) -> Option<Option<Range<usize>>> {
    let (first, last) = range.trim().strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| text.trim().parse::<usize>().ok();
    if first.trim().is_empty() {
        let count = number(last)?.min(length);
        return Some((count > 0).then_some(length - count..length));
    }
    let first = number(first)?;
    let end = match last.trim() {
        "" => length,
        last => number(last)?.checked_add(1)?.min(length),
    };
    if !last.trim().is_empty() && number(last)? < first {
        return None;
    }
    Some((first < length).then_some(first..end))
}

/// FNV-1a, 64 bits.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
