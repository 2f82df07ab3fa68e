//! Layers compressed with Zstandard (RFC 8878): consecutive frames, and skippable frames between them, as builders
//! write for seekable layers.

use std::io::{self, BufRead as _, BufReader, Read};

use ruzstd::decoding::{
    BlockDecodingStrategy, FrameDecoder,
    errors::{FrameDecoderError, ReadFrameHeaderError},
};

/// The maximum window of a frame, which is kept in memory: four times that of the highest normal level (19), and RFC
/// 8878 recommends that decoders support it.
const MAX_WINDOW: u64 = 32 << 20;

/// The maximum number of frames of a layer: one per file of an image.
const MAX_FRAMES: u64 = 1 << 20;

/// The decompressed stream.
pub(super) struct Zstd<R> {
    packed: BufReader<R>,
    decoder: FrameDecoder,
    frames: u64,
    is_within: bool,
}

impl<R: Read> Zstd<R> {
    pub(super) fn new(packed: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_WINDOW);
        Self {
            packed: BufReader::new(packed),
            decoder,
            frames: 0,
            is_within: false,
        }
    }

    /// Starts the next frame, or skips one.
    fn next(&mut self) -> io::Result<()> {
        self.frames += 1;
        if self.frames > MAX_FRAMES {
            return Err(io::Error::other("there are too many frames"));
        }
        match self.decoder.reset(&mut self.packed) {
            Ok(()) => {
                self.is_within = true;
                Ok(())
            }
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                self.is_within = false;
                let skipped = io::copy(
                    &mut self.packed.by_ref().take(length.into()),
                    &mut io::sink(),
                )?;
                match skipped == u64::from(length) {
                    true => Ok(()),
                    false => Err(io::ErrorKind::UnexpectedEof.into()),
                }
            }
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if into.is_empty() || self.is_within && self.decoder.can_collect() > 0 {
                return self.decoder.read(into);
            }
            if self.is_within && !self.decoder.is_finished() {
                self.decoder
                    .decode_blocks(&mut self.packed, BlockDecodingStrategy::UptoBlocks(1))
                    .map_err(io::Error::other)?;
            } else if self.packed.fill_buf()?.is_empty() {
                return Ok(0);
            } else {
                self.next()?;
            }
        }
    }
}
