//! Rule `first_seen`: new values collected for one alert per connection.
//!
//! A handshake shows several values within a second. One alert lists all of them. It is due one second of packet time
//! after the first value, or at the end of the connection. Later values go into the connection's next alert.

use std::fmt::Write as _;
use std::net::IpAddr;

use arcstr::ArcStr;
use hashlink::LinkedHashMap;

use super::rule::BuiltinRule;
use super::settings::FirstSeenRuleSettings;
use crate::detect::time_ranges::MAX_SHARD_SKEW;
use crate::model::{Alert, ConnectionRecord, FlowIdentity, Method, Time};

/// How long values of a connection are collected for one alert, nanoseconds.
const COLLECTION_TIME: u64 = 1_000_000_000;

/// Values of one alert. If a connection shows more within a second, its alert is due at once.
const MAX_OF_ALERT: usize = 64;

/// Pending values of all connections, some 64 bytes each. Beyond that, the oldest alert is due at once.
const MAX_PENDING: usize = 32_768;

/// A value that was never seen before.
#[derive(Clone, Debug)]
pub(crate) struct NewValue {
    pub(crate) method: Method,
    pub(crate) value: ArcStr,
    /// The host that it is new to; `None`: it is new to the whole network.
    pub(crate) host: Option<IpAddr>,
}

/// The values of a connection's next alert.
#[derive(Debug)]
pub(super) struct PendingAlert {
    identity: FlowIdentity,
    interface: u32,
    /// When the first of the values was seen.
    pub(super) since: Time,
    /// In a replay, the number of the packet with the last value.
    pub(super) packet: Option<u64>,
    /// In the order of their sightings; never empty.
    pub(super) values: Vec<NewValue>,
    /// The raw form of the first value, if raw forms are output.
    pub(super) raw: Option<ArcStr>,
    /// Firings for the same values that a cooldown suppressed.
    pub(super) suppressed: u64,
}

/// Pending alerts by flow.
#[derive(Debug, Default)]
pub(crate) struct PendingAlerts {
    /// In the order of their first values.
    flows: LinkedHashMap<u64, PendingAlert, foldhash::quality::RandomState>,
    /// Pending values of all flows.
    values: usize,
}

impl PendingAlert {
    /// The time at which the alert is due.
    pub(super) const fn due(&self) -> Time {
        Time(self.since.0.saturating_add(COLLECTION_TIME))
    }

    /// Whether the alert is due at a time. A timestamp far in the future does not delay it.
    const fn is_due(&self, now: Time) -> bool {
        now.0 >= self.due().0
            || self.since.0 > now.0.saturating_add(MAX_SHARD_SKEW)
            || self.values.len() >= MAX_OF_ALERT
    }

    /// The values as text, each once: `never seen on this network: ja4 X, ja4s Y; never seen from 10.0.0.1: ja4t Z`.
    pub(super) fn reason(&self) -> String {
        let mut hosts: Vec<Option<IpAddr>> = Vec::new();
        for NewValue { host, .. } in &self.values {
            if !hosts.contains(host) {
                hosts.push(*host);
            }
        }
        hosts.sort_unstable_by_key(Option::is_some);
        let mut text = String::new();
        for host in hosts {
            let separator = if text.is_empty() { "" } else { "; " };
            // Writing to a string does not fail.
            let _written = match host {
                None => write!(text, "{separator}never seen on this network:"),
                Some(host) => write!(text, "{separator}never seen from {host}:"),
            };
            for (number, new) in self.values.iter().filter(|new| new.host == host).enumerate() {
                let separator = if number == 0 { "" } else { "," };
                let _written = write!(text, "{separator} {} {}", new.method.name(), new.value);
            }
        }
        text
    }
}

impl PendingAlerts {
    /// Adds a value to the next alert of a connection. `raw` is the raw form of the value, if raw forms are output.
    pub(crate) fn add(
        &mut self,
        record: &ConnectionRecord,
        (now, packet): (Time, Option<u64>),
        new: NewValue,
        suppressed: u64,
        raw: Option<&ArcStr>,
    ) {
        let ConnectionRecord { identity, interface, .. } = *record;
        let alert = self.flows.entry(identity.id).or_insert_with(|| PendingAlert {
            identity,
            interface,
            since: now,
            packet: None,
            values: Vec::new(),
            raw: raw.cloned(),
            suppressed: 0,
        });
        alert.packet = packet.or(alert.packet);
        alert.suppressed += suppressed;
        alert.values.push(new);
        self.values += 1;
    }

    /// Follows a connection: a later handshake may show that its first packet came from the server.
    pub(crate) fn follow(&mut self, record: &ConnectionRecord) {
        if !self.flows.is_empty()
            && let Some(alert) = self.flows.get_mut(&record.identity.id)
        {
            alert.identity = record.identity;
        }
    }

    /// Whether a flow has a pending alert.
    pub(crate) fn has(&self, flow: u64) -> bool {
        self.flows.contains_key(&flow)
    }

    /// Returns a flow with an alert that is due: the one pending for longest, or else `flow`.
    pub(crate) fn due(&self, flow: Option<u64>, now: Time) -> Option<u64> {
        let overdue = self.flows.front().filter(|(_, alert)| self.values > MAX_PENDING || alert.is_due(now));
        let own = || flow.and_then(|flow| Some((flow, self.flows.get(&flow)?))).filter(|(_, alert)| alert.is_due(now));
        overdue.map(|(flow, _)| *flow).or_else(|| own().map(|(flow, _)| flow))
    }

    /// Raises the pending alert of a connection, if it has one. `now` is the time of its end if it ends before the alert is
    /// due. The raw form is that of the first value, if raw forms are output.
    pub(crate) fn raise(
        &mut self,
        flow: u64,
        now: Time,
        settings: &FirstSeenRuleSettings,
    ) -> Option<(Alert, Option<ArcStr>)> {
        let alert = self.take(flow)?;
        let first = alert.values.first().filter(|_| settings.enabled)?;
        let (client, server) = (alert.identity.client.0.to_string(), alert.identity.server.0.to_string());
        let rule = BuiltinRule::FirstSeen;
        let raised = Alert {
            time: alert.due().min(now.max(alert.since)),
            packet: alert.packet,
            rule: rule.name().into(),
            sid: None,
            description: rule.description().into(),
            severity: settings.severity,
            group: vec![("src_ip".into(), client.into()), ("dest_ip".into(), server.into())],
            reason: alert.reason(),
            flow: Some(alert.identity),
            interface: Some(alert.interface),
            fingerprint: Some((first.method, ArcStr::clone(&first.value))),
            category: None,
            confidence: None,
            suppressed: alert.suppressed,
        };
        Some((raised, alert.raw))
    }

    /// Removes and returns the next alert of a flow.
    pub(super) fn take(&mut self, flow: u64) -> Option<PendingAlert> {
        let alert = self.flows.remove(&flow)?;
        self.values -= alert.values.len();
        Some(alert)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::builtin::testing::record;

    const SECOND: u64 = 1_000_000_000;

    fn connection(flow: u64) -> ConnectionRecord {
        let mut record = record("10.0.0.1", "192.0.2.1");
        record.identity.id = flow;
        record
    }

    fn add(pending: &mut PendingAlerts, flow: u64, at: u64, value: &str) {
        let new = NewValue { method: Method::Ja4, value: value.into(), host: None };
        pending.add(&connection(flow), (Time(at), Some(at)), new, 0, None);
    }

    #[test]
    fn values_are_collected_for_one_second_from_the_first() {
        let mut pending = PendingAlerts::default();
        add(&mut pending, 1, 10 * SECOND, "a");
        add(&mut pending, 1, 11 * SECOND - 1, "b");
        assert_eq!(pending.due(Some(1), Time(11 * SECOND - 1)), None);
        assert_eq!(pending.due(None, Time(11 * SECOND)), Some(1));
        let alert = pending.take(1).unwrap();
        assert_eq!(alert.reason(), "never seen on this network: ja4 a, ja4 b");
        assert_eq!((alert.due(), alert.packet), (Time(11 * SECOND), Some(11 * SECOND - 1)));
        assert_eq!((pending.due(Some(1), Time(99 * SECOND)), pending.values), (None, 0));
    }

    #[test]
    fn values_new_to_the_network_and_to_hosts_are_listed_separately() {
        let mut pending = PendingAlerts::default();
        let host = |last| Some(IpAddr::from([10, 0, 0, last]));
        for (method, value, host) in [
            (Method::Ja4t, "t", host(1)),
            (Method::Ja4, "j", None),
            (Method::Ja4ts, "u", host(2)),
            (Method::Ja4, "k", host(1)),
        ] {
            let new = NewValue { method, value: value.into(), host };
            pending.add(&connection(1), (Time(1), None), new, 1, None);
        }
        let alert = pending.take(1).unwrap();
        assert_eq!(
            alert.reason(),
            "never seen on this network: ja4 j; never seen from 10.0.0.1: ja4t t, ja4 k; never seen from 10.0.0.2: ja4ts u"
        );
        assert_eq!(alert.suppressed, 4);
    }

    #[test]
    fn one_wrong_timestamp_delays_no_other_alert() {
        let mut pending = PendingAlerts::default();
        add(&mut pending, 1, 9_000_000 * SECOND, "future");
        add(&mut pending, 2, 10 * SECOND, "a");
        assert_eq!(pending.due(None, Time(10 * SECOND)), Some(1));
        pending.take(1);
        assert_eq!(pending.due(None, Time(10 * SECOND)), None);
        assert_eq!(pending.due(None, Time(11 * SECOND)), Some(2));
    }

    #[test]
    fn pending_values_are_bounded() {
        let mut pending = PendingAlerts::default();
        for number in 0..=MAX_PENDING as u64 {
            assert_eq!(pending.due(None, Time(SECOND)), None);
            add(&mut pending, number, SECOND, "a");
        }
        assert_eq!(pending.due(None, Time(SECOND)), Some(0));
        pending.take(0);
        for number in 1..=MAX_OF_ALERT as u64 {
            pending.take(number);
            assert_eq!(pending.due(Some(u64::MAX), Time(SECOND)), None, "{number}");
            add(&mut pending, u64::MAX, SECOND, "a");
        }
        assert_eq!(pending.due(Some(u64::MAX), Time(SECOND)), Some(u64::MAX));
    }
}
