//! A route's path: static text, `{param}` and `{*rest}`, one a segment.

use std::fmt;

use wasmgate_common::{Code, Diagnostic, path::clean_encoding};

/// The longest pattern, in bytes. Servers and proxies hold a request line to 8 KiB (RFC 9112, 3
/// recommends at least 8,000 bytes), so a longer pattern could never be asked for.
const MAX_PATTERN: usize = 8 * 1024;

/// The most segments of a pattern. A look-up descends one call a segment, so this bounds its stack;
/// real interfaces stay far below it.
const MAX_SEGMENTS: usize = 64;

/// A checked path pattern.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PathPattern {
    text: String,
    segments: Vec<Segment>,
}

/// The part of a pattern between two slashes.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Segment {
    /// Text, in the form of a [`CleanPath`](super::CleanPath); empty only after a trailing slash.
    Static(String),
    /// `{name}`: one segment that is not empty.
    Param(String),
    /// `{*name}`: all the segments that are left, or none.
    Rest(String),
}

/// What to write in place of a path without a slash: a path, and what else there is in a URL as its own key.
fn with_slash(text: &str) -> String {
    match text.split_once("://") {
        Some((_, rest)) => {
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let path = if path.is_empty() { "/" } else { path };
            format!("write path = {path:?} and host = {host:?}")
        }
        None => format!("write {:?}", format!("/{text}")),
    }
}

impl PathPattern {
    /// Reads a pattern such as `/orders/{id}/{*rest}`.
    ///
    /// # Errors
    /// When it could never match, or not as it seems to say.
    pub fn parse(text: &str) -> Result<Self, Diagnostic> {
        let Some(inner) = text.strip_prefix('/') else {
            return Err(Diagnostic::new(
                Code::InvalidValue,
                format!("the path {text:?} does not start with a slash"),
                with_slash(text),
            ));
        };
        if text.len() > MAX_PATTERN {
            return Err(Diagnostic::new(
                Code::OutOfRange,
                format!("the path is {} bytes long", text.len()),
                format!("at most {MAX_PATTERN} are allowed"),
            ));
        }
        if let Some(bad) = text
            .chars()
            .find(|c| matches!(c, '?' | '#') || c.is_control())
        {
            return Err(Diagnostic::new(
                Code::InvalidValue,
                format!("the path {text:?} has {bad:?} in it"),
                "write the path alone: no query, fragment or control character; percent-encode what \
                 belongs to the path",
            ));
        }
        let count = inner.split('/').count();
        if count > MAX_SEGMENTS {
            return Err(Diagnostic::new(
                Code::OutOfRange,
                format!("the path has {count} segments"),
                format!("at most {MAX_SEGMENTS} are allowed"),
            ));
        }
        let mut segments: Vec<Segment> = Vec::with_capacity(count);
        for (i, part) in inner.split('/').enumerate() {
            let last = i + 1 == count;
            let segment = segment(text, part, last)?;
            if let Some(name) = segment.name()
                && segments.iter().any(|other| other.name() == Some(name))
            {
                return Err(Diagnostic::new(
                    Code::Duplicate,
                    format!("the path {text:?} has two parameters named {name:?}"),
                    "give each its own name",
                ));
            }
            segments.push(segment);
        }
        Ok(Self {
            text: text.to_owned(),
            segments,
        })
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The segments, left to right; `/` is one empty static segment.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Reads a prefix to strip: whole static segments from the pattern's start, such as `/c` of
    /// `/c/{*rest}`. The result is in the form of a [`CleanPath`](super::CleanPath).
    ///
    /// # Errors
    /// When some request that the pattern matches would not have the prefix.
    pub fn strips(&self, prefix: &str) -> Result<String, Diagnostic> {
        let literal = self.literal_prefix();
        let help = if literal.is_empty() {
            format!("remove strip_prefix: {self} has no static segment in front")
        } else {
            format!("write {literal:?}, which is what {self} has in front, or whole segments of it")
        };
        let trimmed = prefix.strip_suffix('/').unwrap_or(prefix);
        if trimmed.is_empty() || trimmed.len() != prefix.len() {
            return Err(Diagnostic::new(
                Code::InvalidValue,
                format!("the prefix {prefix:?} ends with a slash or is empty"),
                help,
            ));
        }
        let clean = clean_encoding(prefix);
        match literal.strip_prefix(clean.as_str()) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => Ok(clean),
            _ => Err(Diagnostic::new(
                Code::InvalidValue,
                format!("the path {self} does not have the prefix {prefix:?}"),
                help,
            )),
        }
    }

    /// The static segments in front, such as `/c/v1` of `/c/v1/{*rest}`.
    pub(super) fn literal_prefix(&self) -> String {
        let mut prefix = String::new();
        for segment in &self.segments {
            match segment {
                Segment::Static(text) if !text.is_empty() => {
                    prefix.push('/');
                    prefix.push_str(text);
                }
                _ => break,
            }
        }
        prefix
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl Segment {
    fn name(&self) -> Option<&str> {
        match self {
            Self::Static(_) => None,
            Self::Param(name) | Self::Rest(name) => Some(name),
        }
    }
}

/// What the wildcards of others are here: `:id` of Express, `*` and `*rest` of many, `...` of Spin, `<id>` of Flask,
/// `[id]` of Next.js. None of them is likely to be meant as it stands.
fn meant(part: &str) -> Option<String> {
    let name = |text: &str| -> String {
        let text = text.rsplit(':').next().unwrap_or(text);
        let plain = text
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
        plain.collect::<String>().trim_matches('_').to_owned()
    };
    let one = |text: &str| {
        format!(
            "{{{}}}",
            if name(text).is_empty() {
                "id".to_owned()
            } else {
                name(text)
            }
        )
    };
    let rest = |text: &str| {
        format!(
            "{{*{}}}",
            if name(text).is_empty() {
                "rest".to_owned()
            } else {
                name(text)
            }
        )
    };
    let within = |open, close| part.strip_prefix(open)?.strip_suffix(close);
    if let Some(parameter) = part.strip_prefix(':') {
        let all = parameter.strip_suffix(['*', '+']);
        return Some(all.map_or_else(|| one(parameter), rest));
    }
    if part == "..." || part.starts_with('*') {
        return Some(rest(part.trim_start_matches(['*', '.'])));
    }
    if let Some(parameter) = within("[...", ']').or_else(|| within("<path:", '>')) {
        return Some(rest(parameter));
    }
    within("[", ']').or_else(|| within("<", '>')).map(one)
}

fn segment(text: &str, part: &str, last: bool) -> Result<Segment, Diagnostic> {
    if meant(part).is_some() {
        let parts = text.split('/');
        let parts: Vec<String> = parts
            .map(|part| meant(part).unwrap_or_else(|| part.to_owned()))
            .collect();
        return Err(Diagnostic::new(
            Code::InvalidValue,
            format!("the path {text:?} has {part:?}, which is no wildcard here"),
            format!(
                "did you mean {:?}? {{name}} stands for one segment, {{*name}} for all that are left",
                parts.join("/")
            ),
        ));
    }
    if part.is_empty() && !last {
        return Err(Diagnostic::new(
            Code::InvalidValue,
            format!("the path {text:?} has an empty segment (\"//\")"),
            "write one slash between two segments",
        ));
    }
    if !part.contains(['{', '}']) {
        let clean = clean_encoding(part);
        if clean == "." || clean == ".." {
            return Err(Diagnostic::new(
                Code::InvalidValue,
                format!("the path {text:?} has the segment {part:?}"),
                "write the path that it leads to: dot segments are resolved before routing",
            ));
        }
        return Ok(Segment::Static(clean));
    }
    let Some(name) = part.strip_prefix('{').and_then(|p| p.strip_suffix('}')) else {
        return Err(Diagnostic::new(
            Code::InvalidValue,
            format!("the path {text:?} has {part:?}, where braces do not span the whole segment"),
            "write a parameter as a segment of its own, such as /{id}/, and a brace of the path itself \
             as %7B or %7D",
        ));
    };
    let (name, rest) = match name.strip_prefix('*') {
        Some(name) => (name, true),
        None => (name, false),
    };
    if name.is_empty()
        || !name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
    {
        return Err(Diagnostic::new(
            Code::InvalidValue,
            format!("the path {text:?} has the parameter {part:?}"),
            "name it with letters, digits, \"_\" and \"-\", such as {id} or {*rest}",
        ));
    }
    match (rest, last) {
        (false, _) => Ok(Segment::Param(name.to_owned())),
        (true, true) => Ok(Segment::Rest(name.to_owned())),
        (true, false) => Err(Diagnostic::new(
            Code::InvalidValue,
            format!("the path {text:?} goes on after {part:?}, which takes all that is left"),
            format!("write {{{name}}} for one segment, or end the path with {part}"),
        )),
    }
}
