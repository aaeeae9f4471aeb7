//! The fields of each kind of event, in the order of the field table.

use std::sync::LazyLock;

use crate::model::field::place::{ALERT, CONNECTION, ENGINE, FINGERPRINT};
use crate::model::field::{Field, Section};

/// A run of fields of one section.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) section: Section,
    pub(super) fields: Vec<Field>,
}

/// The fields of one kind of event.
#[derive(Debug)]
pub(super) struct Layout {
    /// In front of the fields of the flow.
    pub(super) head: Vec<Field>,
    /// The same in all events of a flow, up to the number of the packet.
    pub(super) flow_ids: Vec<Field>,
    /// The same in all events of a flow, behind the number of the packet.
    pub(super) flow: Vec<Field>,
    /// Behind them, as far as a shard knows them.
    pub(super) body: Vec<Run>,
    /// What the engine adds.
    pub(super) engine: Vec<Run>,
}

/// The columns of CSV: every field of any event.
#[derive(Debug)]
pub(super) struct Columns {
    /// Those that a shard writes.
    pub(super) shard: Vec<Run>,
    /// Those that the engine writes.
    pub(super) engine: Vec<Run>,
    /// Those of alerts alone.
    pub(super) alert: Vec<Run>,
}

fn fields(holds: impl Fn(Field) -> bool) -> impl Iterator<Item = Field> {
    Field::ALL.iter().copied().filter(move |field| holds(*field))
}

fn runs(fields: impl Iterator<Item = Field>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for field in fields {
        let section = field.row().section();
        match runs.last_mut() {
            Some(run) if run.section == section => run.fields.push(field),
            _ => runs.push(Run { section, fields: vec![field] }),
        }
    }
    runs
}

impl Layout {
    fn of(event: u8) -> Self {
        let is_of_shard = move |field: Field| field.is_in(event) && !field.is_in(ENGINE);
        Self {
            head: fields(|field| is_of_shard(field) && field < Field::FlowId).collect(),
            flow_ids: fields(|field| (Field::FlowId..Field::PcapCnt).contains(&field)).collect(),
            flow: fields(|field| is_of_shard(field) && field > Field::PcapCnt && field <= Field::Proto).collect(),
            body: runs(fields(|field| is_of_shard(field) && field > Field::Proto)),
            engine: runs(fields(|field| field.is_in(event) && field.is_in(ENGINE))),
        }
    }
}

/// Layouts of fingerprints, connections and alerts.
static LAYOUTS: LazyLock<[(u8, Layout); 3]> =
    LazyLock::new(|| [FINGERPRINT, CONNECTION, ALERT].map(|event| (event, Layout::of(event))));

/// The fields of an event of this [place](crate::model::field::place).
pub(super) fn layout(event: u8) -> &'static Layout {
    let [fingerprint, others @ ..] = &*LAYOUTS;
    &others.iter().find(|(of, _)| *of == event).unwrap_or(fingerprint).1
}

/// The columns of CSV.
pub(super) static COLUMNS: LazyLock<Columns> = LazyLock::new(|| {
    const LINES: u8 = FINGERPRINT | CONNECTION;
    Columns {
        shard: runs(fields(|field| field.is_in(LINES) && !field.is_in(ENGINE))),
        engine: runs(fields(|field| field.is_in(LINES) && field.is_in(ENGINE))),
        alert: runs(fields(|field| field.is_in(ALERT) && !field.is_in(LINES))),
    }
});

impl Columns {
    /// Every column in order.
    pub(super) fn all(&self) -> impl Iterator<Item = Field> {
        [&self.shard, &self.engine, &self.alert].into_iter().flatten().flat_map(|run| run.fields.iter().copied())
    }
}
