//! Threshold rules: their definition, their TOML, and the engine that evaluates them.
//!
//! ```toml
//! [[rule]]
//! name = "ssh_connection_burst"
//! description = "one source opens SSH connections to many hosts"
//! severity = "medium"                     # low | medium (default) | high | critical
//! on = "connection"                       # connection | fingerprint
//! where = [{ field = "dest_port", op = "eq", value = 22 }]
//! group_by = ["src_ip"]                   # default: one group
//! measure = { count_distinct = "dest_ip" } # or "count" (default)
//! threshold = { op = "gt", value = 20 }   # gt | gte
//! window = "5m"                           # up to 7d
//! mode = "sliding"                        # (default) | tumbling
//! cooldown = "10m"                        # default: as long as the window
//! ```
//!
//! **Events.** A rule `on = "fingerprint"` is evaluated on every fingerprint. A rule `on = "connection"` counts a connection
//! once, as soon as all fields that it names are known ([`Field::known`](crate::model::field::Field::known)): at the first
//! packet for ports and addresses, with the ClientHello for `sni`, at the end for `state`, bytes or `handshake`. A connection
//! that never has such a fingerprint is counted at its end.
//!
//! **Conditions.** All conditions of `where` must hold. `exists` checks whether a field has a value (`value = false`: has
//! none). A field without a value equals nothing and is in no list: `ne` and `not_in` hold for it, all other operators do
//! not. Texts are compared exactly; a regular expression may begin with `(?i)`.
//!
//! **Groups.** An event without a value for a field of `group_by` or `count_distinct` is not counted.

mod condition;
mod definition;
mod engine;
mod groups;
mod parse;
mod rule_set;
mod stats;
mod window;

pub use self::condition::{Operand, Operator, RuleCondition};
pub use self::definition::{RuleDefinition, RuleEvent, RuleMeasure, RuleThreshold, WindowMode};
pub(crate) use self::engine::stats_of;
pub use self::engine::{RuleEngine, RuleMatch, RuleMatcher, RuleWindows};
pub use self::groups::GroupLimits;
pub use self::rule_set::RuleSet;
pub use self::stats::{RuleEngineStats, RuleStats};
