//! Validation of names as Kubernetes does it.

/// The longest name of an application: a StatefulSet's label of its revisions is the name and eleven characters, and a
/// label has 63 at most (Kubernetes, "Labels and Selectors").
const MAX_APPLICATION: usize = 52;

/// The longest DNS label (RFC 1123).
const MAX_LABEL: usize = 63;

/// The longest name of most objects, a DNS subdomain (Kubernetes, "Object Names and IDs").
const MAX_OBJECT: usize = 253;

/// Words that YAML 1.1, which Kubernetes' tools read, takes for true or false.
const NOT_TEXT: [&str; 6] = ["y", "n", "yes", "no", "on", "off"];

/// Returns whether readers of YAML 1.1 take a word for text, without quotation marks: not what is like a truth, a
/// number (`1_000`, `1:30`), a date, or a sign of YAML's own.
pub(super) fn is_text(word: &str) -> bool {
    let is_number = word.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.'));
    let is_truth = NOT_TEXT.contains(&word.to_ascii_lowercase().as_str());
    word.contains('\n') || !is_number && !is_truth && !matches!(word, "=" | "<<")
}

/// The least memory of a pod, in Mi: the gateway keeps 64 of it for itself.
const LEAST_MEMORY: u64 = 128;

/// A size as Kubernetes writes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Size {
    /// As it was written.
    pub(super) text: String,
    /// In Mi.
    pub(super) mebibytes: u64,
}

/// A DNS label (RFC 1123).
pub(super) fn label(text: &str) -> Result<String, String> {
    part(text)?;
    if NOT_TEXT.contains(&text) {
        return Err("tools that read YAML 1.1 take it for true or false".to_owned());
    }
    Ok(text.to_owned())
}

/// A DNS label that may stand beside others.
fn part(text: &str) -> Result<(), String> {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let wrong = if text.is_empty() {
        "it is empty, or a part of it"
    } else if text.len() > MAX_LABEL {
        "it has more than 63 characters without a dot"
    } else if !text.bytes().all(is_inner) {
        "it has characters other than a-z, 0-9 and \"-\""
    } else if text.starts_with('-') || text.ends_with('-') {
        "it starts or ends with \"-\""
    } else {
        return Ok(());
    };
    Err(wrong.to_owned())
}

/// The name of an application, with room for what is added to it; a Service's begins with a letter (RFC 1035).
pub(super) fn application(text: &str) -> Result<String, String> {
    let name = label(text)?;
    if name.len() > MAX_APPLICATION {
        return Err(format!("it has more than {MAX_APPLICATION} characters"));
    }
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        return Err("a Service's name begins with a letter".to_owned());
    }
    Ok(name)
}

/// The name of an object: labels with dots between them (RFC 1123).
pub(super) fn object(text: &str) -> Result<String, String> {
    if text.len() > MAX_OBJECT {
        return Err(format!("it has more than {MAX_OBJECT} characters"));
    }
    if !text.contains('.') {
        return label(text);
    }
    text.split('.').try_for_each(part)?;
    Ok(text.to_owned())
}

/// A host name, or all those below one: `*.example.com`.
pub(super) fn host(text: &str) -> Result<String, String> {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let wrong = |why| format!("{why}; write a host name in lower case without a port, such as shop.example.com");
    object(name).map_err(wrong)?;
    let is_address = name
        .split('.')
        .all(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    if is_address {
        return Err(wrong("it is an address".to_owned()));
    }
    Ok(text.to_owned())
}

/// A Gateway of this namespace, or of another one: `NAMESPACE/NAME`.
pub(super) fn gateway(text: &str) -> Result<String, String> {
    match text.split_once('/') {
        Some((namespace, name)) => label(namespace).and_then(|_| object(name))?,
        None => object(text)?,
    };
    Ok(text.to_owned())
}

/// An image: a name in lower case, with a tag or a digest if it has one.
pub(super) fn image(text: &str) -> Result<String, String> {
    let wrong = || "write an image as registry.example.com/team/name:tag, or @sha256: and its digest".to_owned();
    let is_part = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_alphanumeric())
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-:".contains(&byte))
    };
    let (rest, digest) = text
        .split_once('@')
        .map_or((text, None), |(rest, digest)| (rest, Some(digest)));
    let (path, last) = rest
        .rsplit_once('/')
        .map_or((None, rest), |(path, last)| (Some(path), last));
    let (name, tag) = last
        .split_once(':')
        .map_or((last, None), |(name, tag)| (name, Some(tag)));
    let is_digest = digest.is_none_or(|digest| {
        let digits = digest.strip_prefix("sha256:").unwrap_or_default();
        digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    let is_tag = tag.is_none_or(|tag| !tag.is_empty() && !tag.contains(':') && tag.len() <= 128);
    let is_name = is_part(name) && !name.bytes().any(|byte| byte.is_ascii_uppercase());
    let is_path = path.is_none_or(|path| path.split('/').all(is_part));
    if rest.split('/').all(is_part) && is_digest && is_tag && is_name && is_path && !NOT_TEXT.contains(&text) {
        Ok(text.to_owned())
    } else {
        Err(wrong())
    }
}

/// The name of a variable of the environment, as shells have them too.
pub(super) fn variable(name: &str) -> Result<(), String> {
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_name {
        Ok(())
    } else {
        Err("a pod's variable has letters, digits and \"_\" in its name, and begins with no digit".to_owned())
    }
}

/// A label and its value.
pub(super) fn monitor_label(text: &str) -> Result<(String, String), String> {
    let is_word = |word: &str| {
        let is_end = |end: Option<char>| end.is_some_and(|end| end.is_ascii_alphanumeric());
        is_end(word.chars().next())
            && is_end(word.chars().last())
            && word.len() <= MAX_LABEL
            && word
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    let wrong = || "write NAME=VALUE, such as release=prometheus".to_owned();
    let (name, value) = text.split_once('=').ok_or_else(wrong)?;
    let (prefix, last) = name.split_once('/').unwrap_or(("", name));
    let is_prefix = !name.contains('/') || object(prefix).is_ok();
    if is_prefix && is_word(last) && (value.is_empty() || is_word(value)) {
        Ok((name.to_owned(), value.to_owned()))
    } else {
        Err(wrong())
    }
}

/// A size of memory or of a volume.
pub(super) fn size(text: &str) -> Result<Size, String> {
    let factors = [("Mi", 1_u64), ("Gi", 1 << 10), ("Ti", 1 << 20)];
    let read = factors.iter().find_map(|(unit, factor)| {
        let digits = text.strip_suffix(unit)?;
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number: u64 = digits.parse().ok().filter(|_| is_number)?;
        number.checked_mul(*factor)
    });
    match read {
        Some(mebibytes) if mebibytes >= LEAST_MEMORY => Ok(Size {
            text: text.to_owned(),
            mebibytes,
        }),
        Some(_) => Err(format!("it is less than {LEAST_MEMORY}Mi")),
        None => Err("write a whole number with Mi, Gi or Ti, such as 1Gi".to_owned()),
    }
}
