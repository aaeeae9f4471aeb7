//! The first-seen rows that a command selects.

use ipnet::IpNet;

use super::columns;
use super::sql::{Sql, like};
use crate::model::Method;

/// What is looked at, or forgotten. `None` leaves a thing open.
#[derive(Clone, Debug, Default)]
pub struct FirstSeenFilter {
    /// A value, of this text or with `*` for anything.
    pub value: Option<String>,
    /// Values of this method.
    pub method: Option<Method>,
    /// What hosts of this network have shown; what is known network-wide stays out of it.
    pub host: Option<IpNet>,
}

impl FirstSeenFilter {
    /// The condition on first-seen `s` and its value `v`.
    pub(super) fn condition(&self) -> Sql {
        let mut sql = Sql::default();
        sql.add("TRUE", []);
        if let Some(method) = self.method {
            sql.add(" AND v.method = ?", [columns::method_number(method).into()]);
        }
        if let Some(wanted) = &self.value {
            sql.add(" AND ", []);
            like("v.value", wanted, &mut sql);
        }
        if let Some(network) = self.host {
            let (first, last) = columns::bounds(network);
            let (first, last) = (first.as_slice().to_vec(), last.as_slice().to_vec());
            sql.add(&format!(" AND length(s.host) = {} AND s.host BETWEEN ? AND ?", first.len()), []);
            sql.values.extend([first.into(), last.into()]);
        }
        sql
    }
}
