//! The files and what browsers are told of them.

/// A file of the page.
pub(crate) struct File {
    /// The path that it is served on.
    pub(crate) path: &'static str,
    pub(crate) bytes: &'static [u8],
    /// Of the bytes, made when the package is compiled.
    hash: u64,
}

macro_rules! files {
    ($($path:literal)*) => {
        &[$({
            const BYTES: &[u8] = include_bytes!(concat!("../static/", $path));
            const HASH: u64 = hash(BYTES);
            File { path: concat!("/", $path), bytes: BYTES, hash: HASH }
        }),*]
    };
}

/// Every file.
pub(crate) const FILES: &[File] = files![
    "index.html" "shop.css" "shop.js" "img/icon.svg"
    "img/CAPPUCCINO.svg" "img/COFFEE_BLACK.svg" "img/COFFEE_WITH_ROOM.svg" "img/ESPRESSO.svg"
    "img/ESPRESSO_DOUBLE.svg" "img/LATTE.svg" "img/CAKEPOP.svg" "img/CROISSANT.svg"
    "img/MUFFIN.svg" "img/CROISSANT_CHOCOLATE.svg"
];

impl File {
    pub(crate) fn content_type(&self) -> &'static str {
        match self.path.rsplit('.').next() {
            Some("html") => "text/html; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("svg") => "image/svg+xml",
            _ => "application/octet-stream",
        }
    }

    /// A strong one: it changes with the bytes.
    pub(crate) fn etag(&self) -> String {
        format!("\"{:016x}\"", self.hash)
    }

    /// Pictures may be shown for a day without asking; page, style and script belong together and
    /// are asked for each time, which costs a 304.
    pub(crate) fn cache_control(&self) -> &'static str {
        match self.path.starts_with("/img/") {
            true => "public, max-age=86400",
            false => "no-cache",
        }
    }
}

/// FNV-1a, 64 bits.
const fn hash(mut bytes: &[u8]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    while let [first, rest @ ..] = bytes {
        hash = (hash ^ *first as u64).wrapping_mul(0x0000_0100_0000_01b3);
        bytes = rest;
    }
    hash
}
