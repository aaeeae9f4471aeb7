//! Rows as CSV, escaped as the output is.

use crate::encode::clock::Clock;
use crate::encode::escape;
use crate::model::{Alert, Time};
use crate::output::storage::FirstSeenRow;
use crate::output::storage::reader::ValueDifference;

pub(super) const DIFFERENCES: &str = "change,type,value,first,second,label\n";

pub(super) const FIRST_SEEN: &str = "type,value,host,first,last,count,approved\n";

/// Between items of one field.
const SEPARATOR: &str = ";";

/// A line, field by field.
struct Line<'a>(&'a mut Vec<u8>);

impl Line<'_> {
    fn text(&mut self, text: Option<&str>) -> &mut Self {
        if let Some(text) = text {
            escape::csv(text, self.0);
        }
        self.0.push(b',');
        self
    }

    fn number(&mut self, number: Option<impl itoa::Integer>) -> &mut Self {
        if let Some(number) = number {
            self.0.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        }
        self.0.push(b',');
        self
    }

    fn flag(&mut self, holds: bool) -> &mut Self {
        self.text(holds.then_some("true"))
    }

    fn time(&mut self, time: Time) -> &mut Self {
        Clock::new().timestamp(time, self.0);
        self.0.push(b',');
        self
    }

    /// The last comma is the line's end.
    fn end(&mut self) {
        self.0.pop();
        self.0.push(b'\n');
    }
}

/// What an alert groups by: `src_ip=10.0.0.1`.
pub(super) fn group(of: &Alert) -> String {
    of.group.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(SEPARATOR)
}

pub(super) fn difference(of: &ValueDifference, out: &mut Vec<u8>) {
    let [first, second] = of.counts;
    let mut line = Line(out);
    line.text(Some(of.change.name())).text(Some(of.method.name())).text(Some(&of.value));
    line.number(Some(first)).number(Some(second)).text(of.app.as_deref()).end();
}

pub(super) fn first_seen(of: &FirstSeenRow, out: &mut Vec<u8>) {
    let mut line = Line(out);
    line.text(Some(of.method.name())).text(Some(&of.value)).text(of.host.map(|host| host.to_string()).as_deref());
    line.time(of.first).time(of.last).number(Some(of.count)).flag(of.approved).end();
}
