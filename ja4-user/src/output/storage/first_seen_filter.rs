//! The first-seen rows that a command selects.

use ipnet::IpNet;

use super::columns;
use super::sql::{Sql, like};
use crate::model::Method;

/// A filter on first-seen rows. `None` matches any.
#[derive(Clone, Debug, Default)]
pub struct FirstSeenFilter {
    /// The value; `*` matches any text.
    pub value: Option<String>,
    /// The method of the value.
    pub method: Option<Method>,
    /// The network of the host. Network-wide rows do not match.
    pub host: Option<IpNet>,
}

impl FirstSeenFilter {
    /// Returns the SQL condition on `first_seen s` and `fingerprint_value v`.
    pub(super) fn condition(&self) -> Sql {
        let mut sql = Sql::default();
        sql.add("TRUE", []);
        if let Some(method) = self.method {
            sql.add(" AND v.method = ?", [i64::from(method.id()).into()]);
        }
        if let Some(pattern) = &self.value {
            sql.add(" AND ", []);
            like("v.value", pattern, &mut sql);
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
