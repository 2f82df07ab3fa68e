//! How inputs are written.

use http::{Request, Version};

/// The line between two parts of an input.
const BETWEEN: &str = "\n---\n";

/// The part before the first `---` line, and what follows.
pub(crate) fn parts(text: &str) -> (&str, &str) {
    text.split_once(BETWEEN).unwrap_or((text, ""))
}

/// Every part of an input.
pub(crate) fn all_parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(BETWEEN)
}

/// Reads `METHOD TARGET`, perhaps a version of HTTP, headers line by line, an empty line and a body; none if HTTP's own
/// library does not take it either.
pub(crate) fn request(text: &str) -> Option<Request<String>> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let mut words = lines.next()?.split(' ');
    let mut request = Request::builder()
        .method(words.next()?)
        .uri(words.next()?)
        .version(match words.next() {
            Some("HTTP/1.0") => Version::HTTP_10,
            Some("HTTP/2") => Version::HTTP_2,
            _ => Version::HTTP_11,
        });
    for line in lines {
        let (name, value) = line.split_once(':')?;
        request = request.header(name, value.trim());
    }
    request.body(body.to_owned()).ok()
}
