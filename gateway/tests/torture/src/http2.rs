//! HTTP/2 frames by the byte (RFC 9113, 4.1), and what came back.

/// The client's preface, with empty settings.
pub(crate) fn preface() -> Vec<u8> {
    preface_with(&[])
}

/// The client's preface, with settings by their numbers (RFC 9113, 6.5.2).
pub(crate) fn preface_with(settings: &[(u16, u32)]) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(self::settings(settings));
    bytes
}

/// A SETTINGS frame.
pub(crate) fn settings(settings: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (name, value) in settings {
        payload.extend(name.to_be_bytes());
        payload.extend(value.to_be_bytes());
    }
    frame(kind::SETTINGS, 0, 0, &payload)
}

/// Types of frames.
pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const PRIORITY: u8 = 2;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PUSH_PROMISE: u8 = 5;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const WINDOW_UPDATE: u8 = 8;
    pub(crate) const CONTINUATION: u8 = 9;
}

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// A frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u32;
    let mut bytes = length.to_be_bytes().get(1..).unwrap_or_default().to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The header block of a GET or POST, without Huffman coding and without the dynamic table (RFC 7541).
pub(crate) fn block(method: &str, path: &str) -> Vec<u8> {
    let method = if method == "POST" { 0x83 } else { 0x82 };
    // `:scheme: http`, then `:authority` and `:path` as literals of known names.
    let mut block = vec![method, 0x86, 0x01, 1, b'x', 0x04];
    block.push(path.len().min(126) as u8);
    block.extend(path.bytes().take(126));
    block
}

/// A literal field of a new name, at most 126 bytes each.
pub(crate) fn field(name: &str, value: &str) -> Vec<u8> {
    let mut field = vec![0x00];
    for text in [name, value] {
        field.push(text.len().min(126) as u8);
        field.extend(text.bytes().take(126));
    }
    field
}

/// A whole GET on a stream.
pub(crate) fn get(stream: u32, path: &str) -> Vec<u8> {
    let block = block("GET", path);
    frame(kind::HEADERS, END_STREAM | END_HEADERS, stream, &block)
}

/// The head of a POST whose body is to follow.
pub(crate) fn post(stream: u32, path: &str) -> Vec<u8> {
    frame(kind::HEADERS, END_HEADERS, stream, &block("POST", path))
}

/// RST_STREAM with CANCEL.
pub(crate) fn reset(stream: u32) -> Vec<u8> {
    frame(kind::RST_STREAM, 0, stream, &8_u32.to_be_bytes())
}

/// WINDOW_UPDATE.
pub(crate) fn window(stream: u32, bytes: u32) -> Vec<u8> {
    frame(kind::WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes())
}

/// The streams that a client may open, one after the other.
pub(crate) fn streams(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|number| 2 * number + 1)
}

/// Errors by their numbers (RFC 9113, 7).
const ERRORS: [&str; 14] = [
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
];

/// What a gateway sent, in a word or two; none if it does not begin as HTTP/2 does.
pub(crate) fn told(bytes: &[u8], ended: bool) -> Option<String> {
    let error = |payload: &[u8], at: usize| {
        let number = payload.get(at + 3).copied().unwrap_or(255);
        ERRORS.get(usize::from(number)).copied().unwrap_or("?")
    };
    let (mut rest, mut answers, mut resets, mut goaway) = (bytes, 0, Vec::new(), None);
    let mut first = true;
    while let [a, b, c, kind, _, _, _, _, _, after @ ..] = rest {
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        if std::mem::take(&mut first) && *kind != kind::SETTINGS {
            return None;
        }
        let payload = after.get(..length).unwrap_or(after);
        match *kind {
            kind::HEADERS => answers += 1,
            kind::RST_STREAM => resets.push(error(payload, 0)),
            kind::GOAWAY => goaway = Some(error(payload, 4)),
            _ => {}
        }
        rest = after.get(length..).unwrap_or_default();
    }
    if first {
        return None;
    }
    Some(match (goaway, resets.first(), answers) {
        (Some(error), _, _) => format!("GOAWAY {error}"),
        (None, Some(error), 0) => format!("RST_STREAM {error}"),
        (None, _, 1..) => "answered".to_owned(),
        _ if ended => "closed".to_owned(),
        _ => "settings".to_owned(),
    })
}
