//! The encoders of all outputs of lines.

use std::sync::Arc;

use super::finished::Finished;
use crate::encode::{EncodeContext, Format, Formatter};

/// The encoder of standard output, if it is used, and those of the event files.
#[derive(Debug)]
pub(crate) struct LineFormatters {
    stdout: Option<Formatter>,
    files: Vec<Formatter>,
}

impl LineFormatters {
    /// Returns the encoders: of standard output in this format, and of the event files.
    pub(crate) fn new(stdout: Option<Format>, context: &Arc<EncodeContext>, files: Vec<Formatter>) -> Self {
        Self { stdout: stdout.map(|format| Formatter::new(format, Arc::clone(context))), files }
    }

    /// Appends the header of standard output, if it has one.
    pub(crate) fn header(&self, out: &mut Vec<u8>) {
        self.stdout.iter().for_each(|formatter| formatter.header(out));
    }

    /// Writes an event to every output.
    #[inline]
    pub(crate) fn each(&mut self, out: &mut Finished, mut write: impl FnMut(&mut Formatter, &mut Vec<u8>)) {
        if let Some(formatter) = &mut self.stdout {
            write(formatter, &mut out.text);
        }
        if self.files.is_empty() {
            return;
        }
        out.files.resize_with(self.files.len(), Vec::new);
        for (formatter, text) in self.files.iter_mut().zip(&mut out.files) {
            write(formatter, text);
        }
    }
}
