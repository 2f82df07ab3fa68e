//! TLS record boundaries in the received bytes (RFC 8446, 5.1): rustls does not tell whether it waits for the rest of a
//! record.

/// The size of a record header: type, version and length.
const HEADER: usize = 5;

/// Tracks record boundaries.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// The received bytes of a header, and the length as far as it was received.
    header: usize,
    length: usize,
    /// The remaining bytes of the content.
    left: usize,
}

impl Records {
    /// Accounts for received bytes.
    pub(super) fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let taken = self.left.min(bytes.len());
                self.left -= taken;
                bytes = bytes.get(taken..).unwrap_or_default();
                continue;
            }
            let Some((byte, rest)) = bytes.split_first() else {
                return;
            };
            bytes = rest;
            self.header += 1;
            // The last two bytes of the header.
            if self.header + 2 > HEADER {
                self.length = (self.length << 8) | usize::from(*byte);
            }
            if self.header == HEADER {
                *self = Self {
                    left: self.length,
                    ..Self::default()
                };
            }
        }
    }

    /// Returns whether a record has begun and not ended.
    pub(super) fn is_within(&self) -> bool {
        self.header > 0 || self.left > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_ends_with_its_last_byte_however_it_is_cut() {
        let mut wire = vec![22, 3, 3, 1, 2];
        wire.extend([7; 258]);
        wire.extend([23, 3, 3, 0, 0]);
        for size in [1, 2, 3, 4, 5, 6, 7, 100, 300] {
            let mut records = Records::default();
            let mut read = 0;
            for piece in wire.chunks(size) {
                records.read(piece);
                read += piece.len();
                let ends = [263, 268].contains(&read);
                assert_eq!(records.is_within(), !ends, "{read} bytes by {size}");
            }
        }
    }
}
