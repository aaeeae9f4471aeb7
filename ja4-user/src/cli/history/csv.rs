//! Rows as CSV, escaped as the output is.

use crate::encode::clock::Clock;
use crate::encode::escape;
use crate::model::{Alert, Time};
use crate::output::storage::FirstSeenRow;
use crate::output::storage::reader::ValueDifference;

pub(super) const DIFFERENCES: &str = "change,type,value,first,second,label\n";

pub(super) const FIRST_SEEN: &str = "type,value,host,first,last,count,approved\n";

/// Separator between the items of one field.
const SEPARATOR: &str = ";";

/// Writes a line field by field.
struct CsvLine<'a>(&'a mut Vec<u8>);

impl CsvLine<'_> {
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

    /// Ends the line in place of its last comma.
    fn end(&mut self) {
        self.0.pop();
        self.0.push(b'\n');
    }
}

/// Returns the values by which the rule of an alert groups: `src_ip=10.0.0.1`.
pub(super) fn group(alert: &Alert) -> String {
    alert.group.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(SEPARATOR)
}

pub(super) fn difference(difference: &ValueDifference, out: &mut Vec<u8>) {
    let [first, second] = difference.counts;
    let mut line = CsvLine(out);
    line.text(Some(difference.change.name())).text(Some(difference.method.name())).text(Some(&difference.value));
    line.number(Some(first)).number(Some(second)).text(difference.app.as_deref()).end();
}

pub(super) fn first_seen(FirstSeenRow { fact, approved }: &FirstSeenRow, out: &mut Vec<u8>) {
    let mut line = CsvLine(out);
    line.text(Some(fact.method.name())).text(Some(&fact.value)).text(fact.host.map(|host| host.to_string()).as_deref());
    line.time(fact.first).time(fact.last).number(Some(fact.count)).flag(*approved).end();
}
