//! Accounts for the frames of one HTTP/2 connection that serve no request.
//!
//! A frame of 9 bytes costs its sender nothing, and us at least a look. Requests earn credit for the frames that belong
//! to them; a client that sends only others runs out of credit and gets ENHANCE_YOUR_CALM (RFC 9113, 10.5). h2 has its
//! own limits on header blocks, and on streams that are reset early or because of an error.

use std::time::Instant;

/// The size of a frame header (RFC 9113, 4.1).
const HEAD: usize = 9;

/// The size of the client's preface (RFC 9113, 3.4).
const PREFACE: usize = 24;

/// The maximum and initial credit: frames that any client may send in a burst, such as settings, priorities and window
/// updates for hundreds of streams.
const MOST: i64 = 10_000;

/// Credit earned by time, in frames per second: pings and window updates of an otherwise idle connection.
const PER_SECOND: i64 = 200;

/// Credit earned by a new stream: the frames that belong to a request.
const STREAM: i64 = 20;

/// The cost of resetting a stream: more than the stream has earned, since an instance may have started.
const RESET: i64 = 50;

/// The cost of a SETTINGS frame: it is acknowledged, and may change the window of every stream.
const SETTINGS: i64 = 10;

/// The size from which a DATA frame is free; smaller ones cost one until a guest has read them.
const WORTH: usize = 64;

/// Credit for bytes that we send: one frame for this many, for window updates and pings.
const SENT: i64 = 256;

/// Types of frames, and flags (RFC 9113, 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS_FRAME: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const PADDED: u8 = 8;

/// The code of the error (RFC 9113, 7).
const ENHANCE_YOUR_CALM: u32 = 11;

/// The accounting of a connection's frames.
#[derive(Debug)]
pub(super) struct Frames {
    incoming: Cursor,
    outgoing: Cursor,
    preface: usize,
    credit: i64,
    /// Bytes sent that have not earned credit yet.
    sent: i64,
    refilled: Instant,
    last_stream: u32,
}

impl Frames {
    /// For a new connection.
    pub(super) fn new() -> Self {
        Self {
            incoming: Cursor::default(),
            outgoing: Cursor::default(),
            preface: PREFACE,
            credit: MOST,
            sent: 0,
            refilled: Instant::now(),
            last_stream: 0,
        }
    }

    /// Accounts for received bytes. Returns the number of frames that began in them.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> u32 {
        let preface = self.preface.min(bytes.len());
        self.preface = self.preface.saturating_sub(preface);
        bytes = bytes.get(preface..).unwrap_or_default();
        let mut frames = 0_u32;
        while let Some(head) = self.incoming.next(&mut bytes) {
            frames = frames.saturating_add(1);
            let worth = self.worth(&head);
            self.credit = self.credit.saturating_add(worth).min(MOST);
        }
        frames
    }

    fn worth(&mut self, head: &Head) -> i64 {
        match head.kind {
            HEADERS if head.stream > self.last_stream => {
                self.last_stream = head.stream;
                STREAM
            }
            DATA if head.data >= WORTH || head.data == 0 && head.flags & END_STREAM != 0 => 0,
            RST_STREAM => -RESET,
            SETTINGS_FRAME => -SETTINGS,
            _ => -1,
        }
    }

    /// Accounts for sent bytes.
    pub(super) fn wrote(&mut self, mut bytes: &[u8]) {
        self.sent = self
            .sent
            .saturating_add(i64::try_from(bytes.len()).unwrap_or(i64::MAX));
        self.earn(self.sent / SENT);
        self.sent %= SENT;
        while self.outgoing.next(&mut bytes).is_some() {}
    }

    /// Refunds credit for data that was read after all.
    pub(super) fn earn(&mut self, frames: i64) {
        self.credit = self.credit.saturating_add(frames).min(MOST);
    }

    /// Returns whether there is no credit left.
    pub(super) fn is_flood(&mut self) -> bool {
        if self.credit > 0 {
            return false;
        }
        let passed = i64::try_from(self.refilled.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.refilled = Instant::now();
        self.earn(passed.saturating_mul(PER_SECOND) / 1000);
        self.credit <= 0
    }

    /// The last frame to such a client (GOAWAY), unless another frame is partly sent.
    pub(super) fn goodbye(&self) -> Option<Vec<u8>> {
        if !self.outgoing.is_between() {
            return None;
        }
        let mut frame = vec![0, 0, 8, GOAWAY, 0, 0, 0, 0, 0];
        frame.extend(self.last_stream.to_be_bytes());
        frame.extend(ENHANCE_YOUR_CALM.to_be_bytes());
        Some(frame)
    }
}

/// A parsed frame header.
#[derive(Debug)]
struct Head {
    kind: u8,
    flags: u8,
    stream: u32,
    /// The payload's size without padding.
    data: usize,
}

/// A position in a sequence of frames.
#[derive(Debug, Default)]
struct Cursor {
    /// The frame header, and for padded data the padding length.
    head: [u8; HEAD + 1],
    have: usize,
    /// The remaining bytes of the payload.
    payload: usize,
}

impl Cursor {
    /// Advances to the end of the next header, if these bytes contain it.
    fn next(&mut self, bytes: &mut &[u8]) -> Option<Head> {
        let skipped = self.payload.min(bytes.len());
        self.payload = self.payload.saturating_sub(skipped);
        *bytes = bytes.get(skipped..).unwrap_or_default();
        loop {
            let (first, rest) = bytes.split_first()?;
            if let Some(place) = self.head.get_mut(self.have) {
                *place = *first;
            }
            self.have = self.have.saturating_add(1);
            *bytes = rest;
            if let Some(head) = self.whole() {
                return Some(head);
            }
        }
    }

    fn whole(&mut self) -> Option<Head> {
        let [a, b, c, kind, flags, d, e, f, g, padding] = self.head;
        let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or(usize::MAX);
        let is_padded = kind == DATA && flags & PADDED != 0 && length > 0;
        let taken = usize::from(is_padded);
        if self.have < HEAD.saturating_add(taken) {
            return None;
        }
        self.have = 0;
        self.payload = length.saturating_sub(taken);
        let padding = if is_padded { usize::from(padding) } else { 0 };
        Some(Head {
            kind,
            flags,
            stream: u32::from_be_bytes([d & 0x7f, e, f, g]),
            data: self.payload.saturating_sub(padding),
        })
    }

    fn is_between(&self) -> bool {
        self.have == 0 && self.payload == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![
            0,
            0,
            u8::try_from(payload.len()).unwrap(),
            kind,
            flags,
            0,
            0,
            0,
            stream,
        ];
        frame.extend(payload);
        frame
    }

    fn after_preface() -> Frames {
        let mut frames = Frames::new();
        frames.read(&[0; PREFACE]);
        frames
    }

    #[test]
    fn frames_are_counted_however_their_bytes_are_cut() {
        let bytes = [
            frame(6, 0, 0, &[0; 8]),
            frame(0, PADDED, 1, &[3, 1, 0, 0, 0]),
        ]
        .concat();
        for size in 1..bytes.len() {
            let mut frames = after_preface();
            let count: u32 = bytes.chunks(size).map(|part| frames.read(part)).sum();
            assert_eq!(count, 2, "{size}");
            assert!(frames.incoming.is_between());
        }
    }

    #[test]
    fn pings_and_padding_without_a_request_are_a_flood_and_requests_are_none() {
        let padding = frame(0, PADDED, 1, &[3, 0, 0, 0]);
        for useless in [frame(6, 0, 0, &[0; 8]), padding, frame(77, 0, 0, &[])] {
            let mut frames = after_preface();
            for _ in 0..9_000 {
                frames.read(&useless);
            }
            assert!(!frames.is_flood());
            for _ in 0..20_000 {
                frames.read(&useless);
            }
            assert!(frames.is_flood());
            let goodbye = frames.goodbye().unwrap();
            assert_eq!(goodbye.last(), Some(&11));
        }
        let mut frames = after_preface();
        for stream in 1..=100 {
            frames.read(&[frame(1, 5, stream, &[0; 9]), frame(8, 0, stream, &[0; 4])].concat());
        }
        assert_eq!(frames.credit, MOST - 1);
    }

    #[test]
    fn a_client_that_reads_much_may_enlarge_its_windows() {
        let mut frames = after_preface();
        for _ in 0..100_000 {
            frames.wrote(&frame(0, 0, 1, &[0; 255]));
            frames.read(&frame(8, 0, 1, &[0; 4]));
        }
        assert!(!frames.is_flood());
    }

    #[test]
    fn nothing_is_said_in_the_middle_of_a_frame() {
        let mut frames = after_preface();
        frames.wrote(&[0, 0, 9]);
        assert_eq!(frames.goodbye(), None);
    }
}
