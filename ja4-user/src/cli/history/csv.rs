//! Rows as CSV, escaped as the output is.

use super::Runs;
use super::json::proto;
use crate::encode::clock::Clock;
use crate::encode::escape;
use crate::model::{Alert, FlowIdentity, Time};
use crate::output::storage::FirstSeenRow;
use crate::output::storage::reader::{StoredAlert, StoredConnection, StoredFingerprint, ValueDifference};

pub(super) const CONNECTIONS: &str = "start,end,sensor,in_iface,flow_id,src_ip,src_port,dest_ip,dest_port,proto,app_proto,\
    state,pkts_toserver,pkts_toclient,bytes_toserver,bytes_toclient,sni,host,app,known_bad,client_us,server_us,\
    hops_client,hops_server,mss,tunnel,os,ssh_session,is_new,type,value,alerts\n";

pub(super) const FINGERPRINTS: &str = "timestamp,sensor,in_iface,flow_id,pcap_cnt,src_ip,src_port,dest_ip,dest_port,proto,\
    app_proto,type,side,count,value,raw,first_seen,label,known_bad,sni,host\n";

pub(super) const ALERTS: &str = "timestamp,sensor,in_iface,flow_id,pcap_cnt,src_ip,src_port,dest_ip,dest_port,proto,rule,severity,\
    description,reason,group,type,value,category,confidence,suppressed\n";

pub(super) const DIFFERENCES: &str = "change,type,value,first,second,label\n";

pub(super) const FIRST_SEEN: &str = "type,value,host,first,last,count,approved\n";

/// Between items of one field.
const SEPARATOR: &str = ";";

/// A line, field by field.
struct Line<'a>(&'a mut Vec<u8>);

impl Line<'_> {
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

    /// Both ends and the transport protocol.
    fn ends(&mut self, flow: Option<&FlowIdentity>) -> &mut Self {
        for (host, port) in flow.map_or([None, None], |flow| [Some(flow.client), Some(flow.server)]).map(Option::unzip)
        {
            self.text(host.map(|host| host.to_string()).as_deref()).number(port);
        }
        self.text(flow.map(|flow| proto(flow.proto)).as_deref())
    }

    /// The last comma is the line's end.
    fn end(&mut self) {
        self.0.pop();
        self.0.push(b'\n');
    }
}

pub(super) fn connection(of: &StoredConnection, runs: &Runs, out: &mut Vec<u8>) {
    let mut line = Line(out);
    let (sensor, interface) = runs.names(of.run, of.interface);
    line.time(of.start).time(of.last).text(sensor).text(interface).number(Some(of.flow.id)).ends(Some(&of.flow));
    line.text(of.protocol.as_deref()).text(Some(of.ended.as_deref().unwrap_or("open")));
    for count in of.packets.into_iter().chain(of.bytes) {
        line.number(Some(count));
    }
    line.text(of.sni.as_deref()).text(of.http_host.as_deref());
    line.text(of.app.as_ref().map(|app| &*app.name)).text(of.known_bad.as_ref().map(|bad| &*bad.pattern));
    line.number(of.latency.client).number(of.latency.server);
    let [client, server] = of.hops;
    line.number(client).number(server).number(of.mss).text(of.tunnel.as_ref().map(|(name, ..)| &**name));
    line.text(of.os.as_deref()).text(of.ssh_session.as_deref()).flag(of.is_new);
    let (method, value) = of.primary.as_ref().map(|(method, value)| (method.name(), &**value)).unzip();
    line.text(method).text(value).text(Some(&of.fired.join(SEPARATOR))).end();
}

pub(super) fn fingerprint(of: &StoredConnection, seen: &StoredFingerprint, runs: &Runs, out: &mut Vec<u8>) {
    let mut line = Line(out);
    let (sensor, interface) = runs.names(of.run, of.interface);
    line.time(seen.time).text(sensor).text(interface).number(Some(of.flow.id)).number(seen.packet).ends(Some(&of.flow));
    line.text(of.protocol.as_deref()).text(Some(seen.method.name())).text(Some(seen.side.name()));
    line.number(Some(seen.count)).text(Some(&seen.value)).text(seen.raw.as_deref()).flag(seen.first_seen);
    line.text(seen.app.as_ref().map(|app| &*app.name)).text(seen.known_bad.as_ref().map(|bad| &*bad.pattern));
    line.text(of.sni.as_deref()).text(of.http_host.as_deref()).end();
}

pub(super) fn alert(row: &StoredAlert, runs: &Runs, out: &mut Vec<u8>) {
    let of = &row.alert;
    let mut line = Line(out);
    let (sensor, interface) = runs.names(row.run, of.interface.map(u64::from));
    line.time(of.time).text(sensor).text(interface).number(row.flow_id).number(of.packet);
    line.ends(of.flow.as_ref()).text(Some(&of.rule)).text(Some(of.severity.name()));
    line.text(Some(&of.description)).text(Some(&of.reason)).text(Some(&group(of)));
    let (method, value) = of.fingerprint.as_ref().map(|(method, value)| (method.name(), &**value)).unzip();
    line.text(method).text(value).text(of.category.as_deref()).number(of.confidence);
    line.number(Some(of.suppressed)).end();
}

/// What an alert groups by: `src_ip=10.0.0.1`.
pub(super) fn group(of: &Alert) -> String {
    of.group.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(SEPARATOR)
}

pub(super) fn difference(of: &ValueDifference, out: &mut Vec<u8>) {
    let [first, second] = of.counts;
    let mut line = Line(out);
    line.text(Some(of.change.name())).text(Some(of.method.name())).text(Some(&of.value));
    line.number(Some(first)).number(Some(second)).text(of.app.as_deref()).end();
}

pub(super) fn first_seen(of: &FirstSeenRow, out: &mut Vec<u8>) {
    let mut line = Line(out);
    line.text(Some(of.method.name())).text(Some(&of.value)).text(of.host.map(|host| host.to_string()).as_deref());
    line.time(of.first).time(of.last).number(Some(of.count)).flag(of.approved).end();
}
