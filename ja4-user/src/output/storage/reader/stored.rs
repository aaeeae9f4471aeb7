//! Rows as they come back.

use std::net::{IpAddr, Ipv4Addr};

use rusqlite::Row;
use rusqlite::types::ValueRef;
use serde_json::{Map, Value as Json};

use crate::model::{Alert, CommunityId, FlowIdentity, Latency, Method, Side, Time};
use crate::output::storage::columns::{self, number, text};

/// Whose something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// Name.
    pub name: String,
    /// Which database said so.
    pub source: Option<String>,
    /// A word such as `browser`.
    pub category: Option<String>,
    /// 0 to 100.
    pub confidence: Option<u64>,
}

/// What is bad about something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    /// The pattern that matched.
    pub pattern: String,
    /// A word such as `c2`.
    pub category: Option<String>,
    /// 0 to 100.
    pub confidence: Option<u64>,
    /// What it is.
    pub note: Option<String>,
}

/// A connection.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredConnection {
    /// Its number in the database.
    pub id: i64,
    /// The run that saw it.
    pub run: Option<i64>,
    /// Both ends.
    pub flow: FlowIdentity,
    /// Index into the run's interfaces.
    pub interface: Option<u64>,
    /// First packet.
    pub start: Time,
    /// Last packet; of a connection that goes on, some packet.
    pub last: Time,
    /// Packets of the client and of the server.
    pub packets: [u64; 2],
    /// Bytes of the client and of the server.
    pub bytes: [u64; 2],
    /// How it ended; `None`: it goes on.
    pub ended: Option<String>,
    /// What it carries.
    pub protocol: Option<String>,
    /// Server name.
    pub sni: Option<String>,
    /// Host of its last HTTP request.
    pub http_host: Option<String>,
    /// Application.
    pub app: Option<App>,
    /// What is bad about it.
    pub known_bad: Option<Bad>,
    /// Latencies.
    pub latency: Latency,
    /// Hops to the client and to the server.
    pub hops: [Option<u64>; 2],
    /// MSS of the client.
    pub mss: Option<u64>,
    /// Name, confidence and MTU of a tunnel on its path.
    pub tunnel: Option<(String, Option<u64>, Option<u64>)>,
    /// Operating system of the client.
    pub os: Option<String>,
    /// What SSH is used for.
    pub ssh_session: Option<String>,
    /// Whether a value of it was new.
    pub is_new: bool,
    /// The fingerprint that says most about it.
    pub primary: Option<(Method, String)>,
    /// What fired.
    pub fired: Vec<String>,
    /// What its handshakes said, by protocol, as in the output.
    pub attributes: Map<String, Json>,
}

/// A fingerprint.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredFingerprint {
    /// When.
    pub time: Time,
    /// Number of the packet in a replay.
    pub packet: Option<u64>,
    /// Method.
    pub method: Method,
    /// The value.
    pub value: String,
    /// The raw form.
    pub raw: Option<String>,
    /// Whom it describes.
    pub side: Side,
    /// Its number among those of its method and connection.
    pub count: u64,
    /// Whether it was new.
    pub first_seen: bool,
    /// Whose it is, as far as is known by now.
    pub app: Option<App>,
    /// What is bad about it, likewise.
    pub known_bad: Option<Bad>,
}

/// An alert.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredAlert {
    /// The run that raised it.
    pub run: Option<i64>,
    /// Number of its flow, whose ends may not be known.
    pub flow_id: Option<u64>,
    /// What was found.
    pub alert: Alert,
}

/// A run of the sensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRun {
    /// Its number.
    pub id: i64,
    /// When it began.
    pub started: Time,
    /// When it ended; `None`: it goes on, or was killed.
    pub ended: Option<Time>,
    /// Whether it has ended well.
    pub clean: bool,
    /// Version of the program.
    pub version: String,
    /// Name of the sensor.
    pub sensor: Option<String>,
    /// Names of interfaces.
    pub interfaces: Vec<String>,
    /// Capture files.
    pub files: Vec<String>,
    /// Its last counters, a JSON object.
    pub counters: Option<String>,
}

/// Columns that [`StoredConnection::read`] wants, of a connection `c`.
pub(super) const CONNECTION: &str = "c.id, c.run, c.flow, c.interface, c.client, c.client_port, c.server, c.server_port, \
    c.proto, c.vlan, c.vlan_inner, c.start, c.last, c.packets_to_server, c.packets_to_client, c.bytes_to_server, \
    c.bytes_to_client, c.ended, c.protocol, c.sni, c.http_host, c.app, c.app_source, c.app_category, c.app_confidence, \
    c.bad, c.bad_category, c.bad_confidence, c.bad_note, c.client_us, c.server_us, c.client_application_us, \
    c.server_application_us, c.client_hops, c.server_hops, c.mss, c.tunnel, c.tunnel_confidence, c.tunnel_mtu, c.os, \
    c.ssh_session, c.is_new, c.fired, c.attributes, \
    (SELECT p.method FROM fingerprint_value p WHERE p.id = c.primary_value), \
    (SELECT p.value FROM fingerprint_value p WHERE p.id = c.primary_value)";

/// How many those are.
pub(super) const CONNECTION_COLUMNS: usize = 46;

/// Columns that [`StoredFingerprint::read`] wants, of a fingerprint `f` and its value `v`.
pub(super) const FINGERPRINT: &str = "f.time, f.packet, v.method, v.value, v.raw, f.side, f.count, f.first_seen, \
    v.app, v.app_source, v.app_category, v.app_confidence, v.bad, v.bad_category, v.bad_confidence, v.bad_note";

/// Columns one after the other. What is of another type than it should be is absent: the file may have been
/// written to by others.
pub(super) struct Columns<'a, 'r> {
    row: &'a Row<'r>,
    at: usize,
}

impl<'a, 'r> Columns<'a, 'r> {
    pub(super) fn from(row: &'a Row<'r>, at: usize) -> Self {
        Self { row, at }
    }

    pub(super) fn text(&mut self) -> rusqlite::Result<Option<String>> {
        let value = self.row.get_ref(self.at)?;
        self.at += 1;
        Ok(text(value))
    }

    pub(super) fn number(&mut self) -> rusqlite::Result<Option<u64>> {
        let value = self.row.get_ref(self.at)?;
        self.at += 1;
        Ok(number(value))
    }

    pub(super) fn count(&mut self) -> rusqlite::Result<u64> {
        Ok(self.number()?.unwrap_or(0))
    }

    pub(super) fn time(&mut self) -> rusqlite::Result<Time> {
        Ok(Time(self.count()?))
    }

    pub(super) fn flag(&mut self) -> rusqlite::Result<bool> {
        Ok(self.count()? != 0)
    }

    pub(super) fn id(&mut self) -> rusqlite::Result<Option<i64>> {
        Ok(self.number()?.and_then(|id| i64::try_from(id).ok()))
    }

    pub(super) fn address(&mut self) -> rusqlite::Result<Option<IpAddr>> {
        let value = self.row.get_ref(self.at)?;
        self.at += 1;
        Ok(value.as_blob_or_null().ok().flatten().and_then(columns::address))
    }

    fn port(&mut self) -> rusqlite::Result<u16> {
        Ok(self.number()?.and_then(|port| u16::try_from(port).ok()).unwrap_or(0))
    }

    pub(super) fn method(&mut self) -> rusqlite::Result<Option<Method>> {
        Ok(self.id()?.and_then(columns::method))
    }

    /// Flow, and both ends.
    pub(super) fn flow(&mut self, id: u64) -> rusqlite::Result<FlowIdentity> {
        const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let client = (self.address()?.unwrap_or(NOBODY), self.port()?);
        let server = (self.address()?.unwrap_or(NOBODY), self.port()?);
        let proto = self.number()?.and_then(|proto| u8::try_from(proto).ok()).unwrap_or(0);
        let vlan = [self.port()?, self.port()?];
        Ok(FlowIdentity { id, community: CommunityId::of(client, server, proto), client, server, proto, vlan })
    }

    /// The same where both ends are known.
    pub(super) fn flow_if_known(&mut self, id: Option<u64>) -> rusqlite::Result<Option<FlowIdentity>> {
        // Address and port of each.
        let ends = [self.at, self.at + 2].map(|column| self.row.get_ref(column).is_ok_and(|end| end != ValueRef::Null));
        let flow = self.flow(id.unwrap_or(0))?;
        Ok((id.is_some() && ends == [true; 2]).then_some(flow))
    }

    fn app(&mut self) -> rusqlite::Result<Option<App>> {
        let (name, source, category, confidence) = (self.text()?, self.text()?, self.text()?, self.number()?);
        Ok(name.map(|name| App { name, source, category, confidence }))
    }

    fn bad(&mut self) -> rusqlite::Result<Option<Bad>> {
        let (pattern, category, confidence, note) = (self.text()?, self.text()?, self.number()?, self.text()?);
        Ok(pattern.map(|pattern| Bad { pattern, category, confidence, note }))
    }
}

impl StoredConnection {
    /// Reads the columns of [`CONNECTION`] from the first on.
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let mut of = Columns::from(row, 0);
        let (id, run, flow, interface) = (of.id()?.unwrap_or(0), of.id()?, of.count()?, of.number()?);
        let flow = of.flow(flow)?;
        let (start, last) = (of.time()?, of.time()?);
        let (packets, bytes) = ([of.count()?, of.count()?], [of.count()?, of.count()?]);
        let (ended, protocol, sni, http_host) = (of.text()?, of.text()?, of.text()?, of.text()?);
        let (app, known_bad) = (of.app()?, of.bad()?);
        let latency = Latency {
            client: of.number()?,
            server: of.number()?,
            client_application: of.number()?,
            server_application: of.number()?,
        };
        let (hops, mss) = ([of.number()?, of.number()?], of.number()?);
        let (tunnel, confidence, mtu) = (of.text()?, of.number()?, of.number()?);
        let (os, ssh_session, is_new) = (of.text()?, of.text()?, of.flag()?);
        let (fired, attributes) = (of.text()?, of.text()?);
        let primary = of.method()?.zip(of.text()?);
        Ok(Self {
            id,
            run,
            flow,
            interface,
            start,
            last,
            packets,
            bytes,
            ended,
            protocol,
            sni,
            http_host,
            app,
            known_bad,
            latency,
            hops,
            mss,
            tunnel: tunnel.map(|name| (name, confidence, mtu)),
            os,
            ssh_session,
            is_new,
            primary,
            fired: fired.map(|list| strings(&list)).unwrap_or_default(),
            attributes: attributes.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
        })
    }
}

impl StoredFingerprint {
    /// Reads the columns of [`FINGERPRINT`] from one on. `None`: of a method that this program does not know.
    pub(super) fn read(row: &Row<'_>, from: usize) -> rusqlite::Result<Option<Self>> {
        let mut of = Columns::from(row, from);
        let (time, packet, method, value, raw) = (of.time()?, of.number()?, of.method()?, of.text()?, of.text()?);
        let side = if of.flag()? { Side::Server } else { Side::Client };
        let (count, first_seen, app, known_bad) = (of.count()?, of.flag()?, of.app()?, of.bad()?);
        Ok(method.map(|method| Self {
            time,
            packet,
            method,
            value: value.unwrap_or_default(),
            raw,
            side,
            count,
            first_seen,
            app,
            known_bad,
        }))
    }
}

/// The strings of a JSON list.
pub(super) fn strings(list: &str) -> Vec<String> {
    serde_json::from_str(list).unwrap_or_default()
}
