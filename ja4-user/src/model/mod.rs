//! The sensor's domain types. Every other layer imports this one; it imports only units and documents.

mod alert;
pub(crate) mod bounded_lru_map;
mod community_id;
mod connection_record;
mod counter_set;
mod counters;
mod display_filter;
mod event;
#[cfg(test)]
pub(crate) mod example;
pub mod field;
pub(crate) mod glob;
mod interface_names;
pub mod method_set;
mod opt_time;
pub mod os;
pub mod path;
mod per_side;
mod query;
pub mod signature_id;

pub(crate) use self::alert::STORAGE_FAILURE;
pub use self::alert::{Alert, Severity};
pub use self::community_id::CommunityId;
pub use self::connection_record::*;
pub(crate) use self::counter_set::counter_set;
pub use self::counter_set::{
    AddCounters, CounterDeclaration, CounterDeclarations, CounterKind, CounterSet, CounterSetRow, CounterSetRowFns,
    LabelledMetric,
};
pub use self::counters::{CounterGroup, CounterValue, StatsRecord};
pub use self::display_filter::{DisplayFilter, DisplayFilterError};
pub use self::event::*;
pub use self::interface_names::{InterfaceNames, NO_INTERFACE};
pub use self::opt_time::OptTime;
pub use self::path::Tunnel;
pub use self::per_side::PerSide;
pub(crate) use self::query::SortKey;
pub use self::query::{
    ConnectionSelection, ConnectionSort, EngineQuery, HostSort, QueryAnswer, RowSelection, ValueSort,
};
pub use ja4_common::vlan::VlanTags;
