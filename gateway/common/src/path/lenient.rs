//! Paths as the most lenient reader takes them.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Reads a path as the most lenient app reads it: decoded, and without empty, `.` and `..` segments or slashes around
/// it.
pub fn lenient(path: &str) -> Cow<'_, str> {
    let bare = path.trim_matches('/');
    let has_dots = bare.starts_with('.') || bare.contains("/.");
    if !has_dots && !bare.contains('%') && !bare.contains("//") {
        return Cow::Borrowed(bare);
    }
    let decoded = percent_decode_str(bare).decode_utf8_lossy();
    let mut kept: Vec<&str> = Vec::new();
    for segment in decoded.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    Cow::Owned(kept.join("/"))
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
        ] {
            assert_eq!(lenient(path), read, "{path}");
        }
    }
}
