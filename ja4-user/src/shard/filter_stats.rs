//! The filter's counters in the `stats` event. `ja4-common` declares them.

use ja4_common::counter::FilterCounters;

use crate::model::{CounterDeclarations, CounterGroup, CounterKind, CounterSet};

/// Counters of the filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FilterStats {
    /// All frames.
    pub total: FilterCounters,
    /// Ingress and egress of a live run.
    pub hooks: Option<[FilterCounters; 2]>,
}

impl FilterStats {
    /// Counters of a live run.
    #[must_use]
    pub(crate) fn of_hooks(hooks: [FilterCounters; 2]) -> Self {
        let mut total = FilterCounters::default();
        hooks.iter().for_each(|hook| total.add(hook));
        Self { total, hooks: Some(hooks) }
    }
}

impl CounterSet for FilterStats {
    /// A metric has the counters of a hook. Sums over its labels are left out.
    fn declare(to: &mut CounterDeclarations) {
        const HOOKS: &str = "{direction:ingress|egress}";
        const SUM: &str = "sum over the labels of another metric";
        for row in FilterCounters::TABLE {
            let name = row.name;
            let key = row.label.map_or_else(|| name.to_owned(), |label| format!("{name}_by/{{{}}}", label.name));
            to.group(HOOKS, |to| to.add(CounterKind::Counter, &key, format!("kernel_{name}"), row.help));
            to.left_out(&key, SUM);
            if row.label.is_some() {
                to.group(HOOKS, |to| to.left_out(name, SUM));
                to.left_out(name, SUM);
            }
        }
    }

    fn write(&self, to: &mut CounterGroup) {
        write(&self.total, to);
        for (direction, counters) in ["ingress", "egress"].into_iter().zip(self.hooks.iter().flatten()) {
            let mut hook = CounterGroup::default();
            write(counters, &mut hook);
            to.group(direction, hook);
        }
    }
}

/// Adds totals, then each counter by its label.
fn write(counters: &FilterCounters, to: &mut CounterGroup) {
    for row in FilterCounters::TABLE {
        to.count(row.name, (row.values)(counters).iter().sum());
    }
    for row in FilterCounters::TABLE {
        if let Some(label) = row.label {
            to.labelled(format!("{}_by", row.name), label.values.iter().copied(), (row.values)(counters));
        }
    }
}
