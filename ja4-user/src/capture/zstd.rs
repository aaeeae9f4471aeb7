//! zstd streams: any number of frames, skippable ones among them (RFC 8878 section 3).

use std::io::{self, BufRead, Read};

use ruzstd::decoding::{
    BlockDecodingStrategy, FrameDecoder,
    errors::{FrameDecoderError, ReadFrameHeaderError},
};

/// An empty raw last block, and four bytes in place of a checksum. It ends a truncated frame, so that the decoder releases
/// its buffered window.
const FINAL_BLOCK: [u8; 7] = [0x01, 0, 0, 0, 0, 0, 0];

/// Reads the content of all frames of a zstd stream.
///
/// A damaged stream yields everything that was decoded before the damage, then the error.
pub(super) struct ZstdFrames<R> {
    source: R,
    decoder: FrameDecoder,
    in_frame: bool,
    failure: Option<io::Error>,
}

impl<R: BufRead> ZstdFrames<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, decoder: FrameDecoder::new(), in_frame: false, failure: None }
    }

    /// Starts the next frame that is not skippable. Returns false at the end of the stream.
    fn next_frame(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.source) {
                Ok(()) => {
                    self.in_frame = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    self.skip(u64::from(length))?;
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        Ok(false)
    }

    fn skip(&mut self, length: u64) -> io::Result<()> {
        let skipped = io::copy(&mut self.source.by_ref().take(length), &mut io::sink())?;
        if skipped < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    /// Decodes one more block, or finishes the frame. Returns false at the end of the stream.
    fn advance(&mut self) -> io::Result<bool> {
        if !self.in_frame {
            return self.next_frame();
        }
        if self.decoder.is_finished() {
            self.in_frame = false;
            return self.check().map(|()| true);
        }
        self.decoder.decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1)).map_err(io::Error::other)?;
        Ok(true)
    }

    /// Verifies the checksum of a complete frame, if it has one.
    fn check(&self) -> io::Result<()> {
        let stated = self.decoder.get_checksum_from_data();
        if stated.is_some() && stated != self.decoder.get_calculated_checksum() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "checksum mismatch"));
        }
        Ok(())
    }

    /// Makes the buffered rest of a damaged frame readable.
    fn release(&mut self) {
        if self.in_frame {
            // Fails only if there is nothing to release.
            let _ = self.decoder.decode_blocks(&FINAL_BLOCK[..], BlockDecodingStrategy::UptoBlocks(1));
            self.in_frame = false;
        }
    }
}

impl<R: BufRead> Read for ZstdFrames<R> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        if target.is_empty() {
            return Ok(0);
        }
        loop {
            let count = self.decoder.read(target)?;
            if count > 0 {
                return Ok(count);
            }
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
            match self.advance() {
                Ok(true) => {}
                Ok(false) => return Ok(0),
                Err(failure) => {
                    self.release();
                    self.failure = Some(failure);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::builder::{zstd, zstd_raw};

    fn read(stream: &[u8]) -> (Vec<u8>, Option<String>) {
        let mut content = Vec::new();
        let result = ZstdFrames::new(stream).read_to_end(&mut content);
        (content, result.err().map(|error| error.to_string()))
    }

    #[test]
    fn frames_follow_each_other_and_skippable_ones_are_skipped() {
        let skippable = b"\x5a\x2a\x4d\x18\x03\0\0\0abc";
        let stream = [&skippable[..], &zstd(b"one "), skippable, &zstd(b""), &zstd(b"two")].concat();
        assert_eq!(read(&stream), (b"one two".to_vec(), None));
    }

    #[test]
    fn a_truncated_frame_yields_its_complete_blocks() {
        let frame = zstd_raw(&[b"first block ", b"second block"], 0);
        for cut in 1..frame.len() {
            let (content, error) = read(frame.get(..cut).unwrap());
            assert!(error.is_some(), "cut at {cut}");
            assert!(b"first block second block".starts_with(&content));
            if cut >= 6 + 3 + 12 {
                assert!(content.starts_with(b"first block "), "cut at {cut}");
            }
        }
    }

    #[test]
    fn a_wrong_checksum_is_reported_after_the_content() {
        let (content, error) = read(&zstd_raw(&[b"content"], 1));
        assert_eq!(content, b"content");
        assert_eq!(error.as_deref(), Some("checksum mismatch"));
    }

    #[test]
    fn an_excessive_window_is_rejected() {
        // Window descriptor 0xff: 3.75 TiB.
        let (content, error) = read(b"\x28\xb5\x2f\xfd\x00\xff\x01\x00\x00");
        assert!(content.is_empty() && error.is_some());
    }
}
