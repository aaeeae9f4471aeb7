//! Rows as JSON lines, with the field names of the output.

use crate::encode::clock::Clock;
use crate::encode::escape;
use crate::model::Time;
use crate::output::storage::{FirstSeenRow, reader::ValueDifference};

/// Writes a JSON object. Absent values have no field.
pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> Object<'a> {
    /// Writes a whole object.
    pub(super) fn write(out: &'a mut Vec<u8>, fill: impl FnOnce(&mut Object<'_>)) {
        out.push(b'{');
        fill(&mut Object { out, first: true });
        out.push(b'}');
    }

    fn name(&mut self, name: &str) -> &mut Vec<u8> {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        quoted(name, self.out);
        self.out.push(b':');
        self.out
    }

    pub(super) fn text(&mut self, name: &str, text: Option<&str>) -> &mut Self {
        if let Some(text) = text {
            quoted(text, self.name(name));
        }
        self
    }

    pub(super) fn number(&mut self, name: &str, number: Option<impl itoa::Integer>) -> &mut Self {
        if let Some(number) = number {
            let mut buffer = itoa::Buffer::new();
            self.name(name).extend_from_slice(buffer.format(number).as_bytes());
        }
        self
    }

    /// Writes a flag, if it is true.
    fn flag(&mut self, name: &str, holds: bool) -> &mut Self {
        if holds {
            self.name(name).extend_from_slice(b"true");
        }
        self
    }

    pub(super) fn time(&mut self, name: &str, time: Time) -> &mut Self {
        let out = self.name(name);
        out.push(b'"');
        Clock::new().timestamp(time, out);
        out.push(b'"');
        self
    }
}

fn quoted(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    escape::json(text, out);
    out.push(b'"');
}

/// Writes a changed value.
pub(super) fn difference(difference: &ValueDifference, out: &mut Vec<u8>) {
    let [first, second] = difference.counts;
    Object::write(out, |line| {
        line.text("change", Some(difference.change.name())).text("type", Some(difference.method.name()));
        line.text("value", Some(&difference.value)).number("first", Some(first)).number("second", Some(second));
        line.text("label", difference.app.as_deref());
    });
    out.push(b'\n');
}

/// Writes a first-seen value.
pub(super) fn first_seen(FirstSeenRow { fact, approved }: &FirstSeenRow, out: &mut Vec<u8>) {
    Object::write(out, |line| {
        line.text("type", Some(fact.method.name())).text("value", Some(&fact.value));
        line.text("host", fact.host.map(|host| host.to_string()).as_deref());
        line.time("first", fact.first).time("last", fact.last).number("count", Some(fact.count));
        line.flag("approved", *approved);
    });
    out.push(b'\n');
}
