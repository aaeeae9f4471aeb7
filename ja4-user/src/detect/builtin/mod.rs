//! Rules that need more than a threshold over a window: each has state of its own.
//!
//! | rule | evaluated on | group |
//! |---|---|---|
//! | `known_bad` | every fingerprint | client, value |
//! | `first_seen` | every fingerprint; one alert for the new values of a connection within a second | client, server |
//! | `new_tunnel` | JA4T | pair, or source network |
//! | `user_agent_mismatch` | JA4, JA4H | client |
//! | `many_ja4` | JA4 | client |
//! | `rare_value_spread` | JA4 | value |
//! | `new_chain` | the JA4X values of a connection, at its end | server name |
//! | `beacon` | the first JA4, every JA4H; the JA4T of a connection without them, at its end | client, server, port, value |

mod beacon;
mod many_ja4;
mod new_chain;
mod new_tunnel;
mod pending_alerts;
mod rare_value_spread;
mod reference;
mod rule;
mod rule_settings;
mod settings;
#[cfg(test)]
pub(in crate::detect) mod testing;
mod timed_set;
mod user_agent_mismatch;

mod builtin_rules;

pub(crate) use self::builtin_rules::{BuiltinEvent, BuiltinOutcome};
pub use self::builtin_rules::{BuiltinRules, BuiltinStats};
pub(crate) use self::pending_alerts::PendingAlerts;
pub use self::reference::{BuiltinRuleReference, reference};
pub use self::rule::BuiltinRule;
pub use self::settings::{
    BeaconSettings, BuiltinSettings, CommonRuleSettings, FirstSeenRuleSettings, KnownBadSettings, ManyJa4Settings,
    NewChainSettings, NewTunnelSettings, RareValueSpreadSettings, UserAgentMismatchSettings,
};
