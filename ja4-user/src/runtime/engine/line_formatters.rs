//! The encoders of all outputs of lines.

use std::sync::Arc;

use bytes::Bytes;

use super::finished::Finished;
use crate::encode::{EncodeContext, Format, Formatter, LineUnit};
use crate::model::DisplayFilter;
use crate::output::attach::{AttachServer, AttachedReader, EventStream};

/// The encoder of standard output, if it is used, those of the event files, and those of attached readers.
#[derive(Debug)]
pub(crate) struct LineFormatters {
    stdout: Option<Formatter>,
    files: Vec<Formatter>,
    attached: Option<AttachedFormatters>,
}

/// The encoders of attached readers that have asked for events.
#[derive(Debug)]
struct AttachedFormatters {
    server: Arc<AttachServer>,
    context: Arc<EncodeContext>,
    /// Number of changes that the list includes.
    changes: u64,
    readers: Vec<AttachedFormatter>,
}

#[derive(Debug)]
struct AttachedFormatter {
    reader: Arc<AttachedReader>,
    formatter: Formatter,
    filter: Option<DisplayFilter>,
    text: Vec<u8>,
}

impl LineFormatters {
    /// Returns the encoders: of standard output in this format, of the event files, and of the readers of a server.
    pub(crate) fn new(
        stdout: Option<Format>,
        context: &Arc<EncodeContext>,
        files: Vec<Formatter>,
        attach: Option<&Arc<AttachServer>>,
    ) -> Self {
        let attached = attach.map(|server| AttachedFormatters {
            server: Arc::clone(server),
            context: Arc::clone(context),
            changes: 0,
            readers: Vec::new(),
        });
        Self { stdout: stdout.map(|format| Formatter::new(format, Arc::clone(context))), files, attached }
    }

    /// Appends the header of standard output, if it has one.
    pub(crate) fn header(&self, out: &mut Vec<u8>) {
        self.stdout.iter().for_each(|formatter| formatter.header(out));
    }

    /// Writes an event to every output; `is_selected` is asked with the filter of each attached reader.
    #[inline]
    pub(crate) fn each(
        &mut self,
        out: &mut Finished,
        is_selected: impl Fn(&DisplayFilter) -> bool,
        mut write: impl FnMut(&mut Formatter, &mut Vec<u8>),
    ) {
        if let Some(formatter) = &mut self.stdout {
            write(formatter, &mut out.text);
        }
        if let Some(attached) = &mut self.attached {
            attached.follow();
            for AttachedFormatter { formatter, filter, text, .. } in &mut attached.readers {
                if filter.as_ref().is_none_or(&is_selected) {
                    write(formatter, text);
                }
            }
        }
        if self.files.is_empty() {
            return;
        }
        out.files.resize_with(self.files.len(), Vec::new);
        for (formatter, text) in self.files.iter_mut().zip(&mut out.files) {
            write(formatter, text);
        }
    }

    /// Sends attached readers their lines, without waiting.
    pub(crate) fn send_to_readers(&mut self) {
        self.attached.iter_mut().for_each(AttachedFormatters::send);
    }
}

impl AttachedFormatters {
    fn send(&mut self) {
        for AttachedFormatter { reader, text, .. } in self.readers.iter_mut().filter(|reader| !reader.text.is_empty()) {
            self.server.send(reader, &Bytes::from(std::mem::take(text)));
        }
    }

    /// Takes notice of readers that ask for events, or no longer do.
    #[inline]
    fn follow(&mut self) {
        let changes = self.server.changes();
        if changes != self.changes {
            self.changes = changes;
            self.replace();
        }
    }

    #[cold]
    fn replace(&mut self) {
        self.send();
        let formatter = |(reader, stream): (Arc<AttachedReader>, Arc<EventStream>)| {
            let context = EncodeContext { filter: stream.types, by: LineUnit::Event, ..(*self.context).clone() };
            let formatter = Formatter::new(stream.format, Arc::new(context));
            AttachedFormatter { reader, formatter, filter: stream.filter.clone(), text: Vec::new() }
        };
        self.readers = self.server.streams().into_iter().map(formatter).collect();
    }
}
