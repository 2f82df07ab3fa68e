//! Paths as the most lenient parser reads them.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Reads a path as the most lenient app reads it: decoded, in small letters, without parameters of its segments, and
/// without empty, `.` and `..` segments or slashes around it.
pub fn lenient(path: &str) -> Cow<'_, str> {
    let bare = path.trim_matches('/');
    let has_dots = bare.starts_with('.') || bare.contains("/.");
    let is_read_as_it_is = |byte: u8| byte.is_ascii() && !byte.is_ascii_uppercase() && !matches!(byte, b'%' | b';');
    if !has_dots && !bare.contains("//") && bare.bytes().all(is_read_as_it_is) {
        return Cow::Borrowed(bare);
    }
    let decoded = percent_decode_str(bare).decode_utf8_lossy();
    let mut kept: Vec<&str> = Vec::new();
    for segment in decoded.split('/') {
        // Some routers take what follows a semicolon for parameters of the segment (RFC 3986, 3.3).
        match segment.split(';').next().unwrap_or_default() {
            "" | "." => {}
            ".." => drop(kept.pop()),
            name => kept.push(name),
        }
    }
    // And some do not tell large letters from small ones.
    Cow::Owned(kept.join("/").to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_as_the_most_lenient_app_reads_it() {
        for (path, read) in [
            ("/", ""),
            ("/a/b", "a/b"),
            ("//a//b/", "a/b"),
            ("/%61%2Fb", "a/b"),
            ("/a%2F..%2Fb", "b"),
            ("/./a/../../b", "b"),
            ("/a.b/.c", "a.b/.c"),
            ("/EV/x", "ev/x"),
            ("/%45V/%58", "ev/x"),
            ("/\u{212a}/\u{c4}", "k/\u{e4}"),
            ("/dapr;x/subscribe;v=1/", "dapr/subscribe"),
            ("/a;/..;x/;/b%3Bx", "b"),
        ] {
            assert_eq!(lenient(path), read, "{path}");
        }
    }
}
