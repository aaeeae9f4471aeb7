//! Threshold rules: what they are, how they are read, and the engine that evaluates them.
//!
//! ```toml
//! [[rule]]
//! name = "ssh_connection_burst"
//! description = "one source opens SSH to many hosts"
//! severity = "medium"                     # low | medium (if left out) | high | critical
//! on = "connection"                       # connection | fingerprint
//! where = [{ field = "dst_port", op = "eq", value = 22 }]
//! group_by = ["src_ip"]                   # left out: one group of everything
//! measure = { count_distinct = "dst_ip" } # or "count" (if left out)
//! threshold = { op = "gt", value = 20 }   # gt | gte
//! window = "5m"                           # up to 7d
//! mode = "sliding"                        # (if left out) | tumbling
//! cooldown = "10m"                        # as long as the window, if left out
//! ```
//!
//! **What is counted.** A rule `on = "fingerprint"` looks at every fingerprint. A rule
//! `on = "connection"` counts a connection once, as soon as all fields that it names are known
//! ([`Field::known`](crate::model::field::Field::known)): at the connection's first packet where ports and
//! addresses do, with the ClientHello where it names `sni`, at the end where it names `state`, bytes or
//! `handshake`. A connection that never has such a fingerprint counts at its end.
//!
//! **Conditions.** All of `where` must hold. `exists` asks whether a field has a value at all
//! (`value = false`: that it has none). A field without a value is neither equal to anything nor in any
//! list: `ne` and `not_in` hold for it, all else does not. Texts are compared as they are; a regular
//! expression may begin with `(?i)`.
//!
//! **Groups.** What lacks a value that the rule groups by, or counts the different ones of, is not counted.

mod condition;
mod definition;
mod engine;
mod groups;
mod parse;
mod set;
mod window;

pub use condition::{Condition, Literal, Op};
pub use definition::{Definition, Measure, Mode, On, Threshold};
pub use engine::{RuleStats, Rules, Stats};
pub use groups::Bounds;
pub use set::{MAX_RULES, RuleSet};
