//! Requests of two meanings: each is refused, or has the one meaning that the RFCs give it, and the request hidden in
//! it is never served by itself.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{Programs, Setup, http1};

/// A request to the package that greets; answered, it was smuggled.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nhost: x\r\n\r\n";

/// What that package answers.
const GREETING: &str = "Hello from a package";

/// After this long an open connection is closed from here.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is to become of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// One answer, one of these statuses, and the connection is closed.
    Refused(&'static [&'static str]),
    /// One answer, which began before what is wrong came or takes the RFC's meaning, and the connection is closed.
    Ended,
    /// It has one meaning: so many answers, the first of which is 200.
    Answers(usize),
}

/// A request of two meanings.
#[derive(Clone, Debug)]
pub struct Smuggled {
    /// A word for it.
    pub name: &'static str,
    /// The request and the one that is hidden in it or follows it.
    pub bytes: Vec<u8>,
    /// What is to become of it.
    pub expected: Expected,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The statuses of all answers.
    pub statuses: Vec<String>,
    /// The hidden request was served.
    pub smuggled: bool,
    /// The gateway closed the connection.
    pub closed: bool,
}

impl Smuggled {
    /// What is wrong with what came back; none if nothing is.
    #[must_use]
    pub fn wrong(&self, exchange: &Exchange) -> Option<String> {
        let first = exchange.statuses.first().map_or("none", String::as_str);
        let one = exchange.statuses.len() == 1 && exchange.closed && !exchange.smuggled;
        let right = match self.expected {
            Expected::Refused(statuses) => one && statuses.contains(&first),
            Expected::Ended => one && matches!(first, "200" | "400"),
            Expected::Answers(answers) => first == "200" && exchange.statuses.len() == answers,
        };
        (!right).then(|| format!("{}: {exchange:?}, not {:?}", self.name, self.expected))
    }
}

/// A gateway with the packages that the cases ask for.
#[must_use]
pub fn setup(programs: &Programs) -> Setup {
    let mut setup = Setup::new(programs);
    setup.guest("echo", "echo", "");
    setup.guest("hidden", "hello", "");
    setup
}

/// Sends a case on a connection of its own.
///
/// # Errors
/// When there is no connection.
pub async fn exchange(to: SocketAddr, case: &Smuggled) -> std::io::Result<Exchange> {
    let mut stream = TcpStream::connect(to).await?;
    // One that closes early shows in what is read.
    let _ = stream.write_all(&case.bytes).await;
    let mut answer = Vec::new();
    let refused = !matches!(case.expected, Expected::Answers(_));
    let read = async {
        while !matches!(stream.read_buf(&mut answer).await, Ok(0) | Err(_)) {
            let all = String::from_utf8_lossy(&answer)
                .matches("HTTP/1.1 ")
                .count();
            // What is answered has a last answer with a greeting, after which the connection stays.
            if let Expected::Answers(answers) = case.expected
                && all >= answers
                && answer.ends_with(b"\n")
            {
                return;
            }
        }
    };
    let closed = timeout(PATIENCE, read).await.is_ok() && refused;
    let text = String::from_utf8_lossy(&answer);
    let statuses = text.match_indices("HTTP/1.1 ");
    let statuses = statuses.filter_map(|(at, _)| http1::status(text.get(at..)?));
    Ok(Exchange {
        statuses: statuses.map(str::to_owned).collect(),
        smuggled: text.contains(GREETING),
        closed,
    })
}

/// Lengths and encodings, one beside the other (RFC 9112, 6.3): for each a body that ends at once for one reading.
#[rustfmt::skip]
const FRAMINGS: [(&str, &str); 37] = [
    ("chunked-twice", "transfer-encoding: chunked\r\ntransfer-encoding: chunked"),
    ("chunked-chunked", "transfer-encoding: chunked, chunked"),
    ("gzip-chunked", "transfer-encoding: gzip, chunked"),
    ("chunked-gzip", "transfer-encoding: chunked, gzip"),
    ("chunked-identity", "transfer-encoding: chunked, identity"),
    ("identity", "transfer-encoding: identity"),
    ("identity-and-length", "transfer-encoding: identity\r\ncontent-length: 5"),
    ("cow", "transfer-encoding: cow"),
    ("cow-and-length", "transfer-encoding: cow\r\ncontent-length: 5"),
    ("xchunked", "transfer-encoding: xchunked"),
    ("chunkedx", "transfer-encoding: chunkedx"),
    ("quoted", "transfer-encoding: \"chunked\""),
    ("single-quoted", "transfer-encoding: 'chunked'"),
    ("parameter", "transfer-encoding: chunked;q=1"),
    ("comma-before", "transfer-encoding: ,chunked"),
    ("comma-after", "transfer-encoding: chunked,"),
    ("vertical-tab", "transfer-encoding: \x0bchunked"),
    ("form-feed", "transfer-encoding: \x0cchunked"),
    ("empty-encoding", "transfer-encoding:"),
    ("space-before-colon", "transfer-encoding : chunked"),
    ("tab-before-colon", "transfer-encoding\t: chunked"),
    ("space-before-name", " transfer-encoding: chunked"),
    ("folded", "transfer-encoding:\r\n chunked"),
    ("folded-length", "content-length:\r\n 5"),
    ("carriage-return", "x: y\rtransfer-encoding: chunked"),
    ("zero", "x: y\0\r\ntransfer-encoding: chunked"),
    ("zero-in-name", "transfer-encoding\0: chunked"),
    ("two-lengths", "content-length: 5\r\ncontent-length: 0"),
    ("list-of-lengths", "content-length: 5, 0"),
    ("plus", "content-length: +5"),
    ("minus", "content-length: -5"),
    ("hexadecimal", "content-length: 0x5"),
    ("fraction", "content-length: 5.0"),
    ("words", "content-length: 5 5"),
    ("too-long-length", "content-length: 99999999999999999999"),
    ("empty-length", "content-length:"),
    ("full-width", "content-length: \u{ff15}"),
];

/// Both a length and an encoding: refused, or the encoding wins and the connection ends (RFC 9112, 6.1 and 6.3).
const BOTH: [(&str, &str); 3] = [
    (
        "length-and-chunked",
        "content-length: 5\r\ntransfer-encoding: chunked",
    ),
    (
        "chunked-and-length",
        "transfer-encoding: chunked\r\ncontent-length: 5",
    ),
    (
        "length-0-and-chunked",
        "content-length: 0\r\ntransfer-encoding: chunked",
    ),
];

/// Chunks of which the first is none (RFC 9112, 7.1).
#[rustfmt::skip]
const CHUNKS: [(&str, &str); 12] = [
    ("minus-chunk", "-1\r\n\r\n"),
    ("plus-chunk", "+5\r\nabcde\r\n0\r\n\r\n"),
    ("prefixed-chunk", "0x5\r\nabcde\r\n0\r\n\r\n"),
    ("spaced-chunk", " 5\r\nabcde\r\n0\r\n\r\n"),
    ("empty-chunk-size", "\r\nabcde\r\n0\r\n\r\n"),
    ("word-chunk", "five\r\nabcde\r\n0\r\n\r\n"),
    ("overflowing-chunk", "10000000000000005\r\nabcde\r\n0\r\n\r\n"),
    ("bare-line-feed-chunk", "5\nabcde\r\n0\r\n\r\n"),
    ("bare-return-chunk", "5\rabcde\r\n0\r\n\r\n"),
    ("underscore-chunk", "1_0\r\nabcdefghabcdefgh\r\n0\r\n\r\n"),
    ("extension-line-feed", "5;a\nb\r\nabcde\r\n0\r\n\r\n"),
    ("extension-return", "5;a\rb\r\nabcde\r\n0\r\n\r\n"),
];

/// Chunks that are none behind others, or an end that is none.
#[rustfmt::skip]
const LATER: [(&str, &str); 5] = [
    ("long-chunk", "5\r\nabcdefg\r\n0\r\n\r\n"),
    ("short-chunk", "5\r\nabc\r\n0\r\n\r\n"),
    ("bare-line-feed-after", "5\r\nabcde\n0\r\n\r\n"),
    ("quoted-line", "3;a=\"\r\n\"\r\nabc\r\n0\r\n\r\n"),
    ("trailer-without-colon", "5\r\nabcde\r\n0\r\nno trailer\r\n\r\n"),
];

/// Heads of two meanings (RFC 9112, 2 and 3).
#[rustfmt::skip]
const HEADS: [(&str, &str); 10] = [
    ("space-in-target", "POST /echo /hidden HTTP/1.1\r\nhost: x\r\n\r\n"),
    ("return-in-target", "POST /echo\rx HTTP/1.1\r\nhost: x\r\n\r\n"),
    ("version-1.2.3", "POST /echo HTTP/1.2.3\r\nhost: x\r\n\r\n"),
    ("version-of-two-digits", "POST /echo HTTP/1.10\r\nhost: x\r\n\r\n"),
    ("lower-case-version", "POST /echo http/1.1\r\nhost: x\r\n\r\n"),
    ("no-colon", "POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding chunked\r\n\r\n"),
    ("header-without-name", "POST /echo HTTP/1.1\r\nhost: x\r\n: chunked\r\n\r\n"),
    ("space-before-first-header", "POST /echo HTTP/1.1\r\n x: y\r\nhost: x\r\n\r\n"),
    ("chunked-http1.0", "POST /echo HTTP/1.0\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("return-after-header", "POST /echo HTTP/1.1\r\nhost: x\r\r\n\r\n"),
];

/// What has one meaning, and the answers to it and to what follows.
#[rustfmt::skip]
const PLAIN: [(&str, &str); 8] = [
    ("length-5", "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nabcde"),
    ("length-of-a-request", "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 34\r\n\r\nGET /hidden HTTP/1.1\r\nhost: x\r\n\r\n\n"),
    ("chunked", "POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"),
    ("upper-case-chunked", "POST /echo HTTP/1.1\r\nhost: x\r\nTRANSFER-ENCODING: CHUNKED\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"),
    ("spaces-around-chunked", "POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: \t chunked \t\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"),
    ("chunk-extension", "POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5;a=b\r\nabcde\r\n0\r\n\r\n"),
    ("trailer", "POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\nx: y\r\n\r\n"),
    ("lines-before", "\r\n\r\nPOST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"),
];

/// Every case. `/echo` is a package that sends a body back, `/hidden` one that greets.
#[must_use]
pub fn corpus() -> Vec<Smuggled> {
    let refused = Expected::Refused(&["400", "501", "505"]);
    let framed = |(name, lines): &(&'static str, &str), expected| {
        let head = format!("POST /echo HTTP/1.1\r\nhost: x\r\n{lines}\r\n\r\n");
        (*name, format!("{head}0\r\n\r\n{HIDDEN}"), expected)
    };
    let framings = FRAMINGS.iter().map(|case| framed(case, refused));
    let both = BOTH.iter().map(|case| framed(case, Expected::Ended));
    let chunked = |(name, chunks): &(&'static str, &str), expected| {
        let head = "POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
        (*name, format!("{head}{chunks}{HIDDEN}"), expected)
    };
    let chunks = CHUNKS.iter().map(|case| chunked(case, refused));
    let later = LATER.iter().map(|case| chunked(case, Expected::Ended));
    let heads = HEADS
        .iter()
        .map(|(name, head)| (*name, format!("{head}{HIDDEN}"), refused));
    let plain = PLAIN
        .iter()
        .map(|(name, request)| (*name, format!("{request}{HIDDEN}"), Expected::Answers(2)));
    let all = framings
        .chain(both)
        .chain(chunks)
        .chain(later)
        .chain(heads)
        .chain(plain);
    all.map(|(name, text, expected)| Smuggled {
        name,
        bytes: text.into_bytes(),
        expected,
    })
    .collect()
}
