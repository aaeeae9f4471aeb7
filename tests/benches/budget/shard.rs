//! Records per second from a ring through a shard, on one core.
//!
//! The tc program first fills the ring, from frames of one flow per record or of one bulk copy over SSH. Then the time
//! to drain the ring is measured. Each figure is the best round.

use std::time::Instant;

use anyhow::{Result, ensure};
use aya::maps::{MapData, RingBuf};
use ja4_common::filter_config::FilterConfig;
use ja4_common::parse::ParseStart;
use ja4_common::record::RecordHeader;
use ja4_user::capture::ebpf::{Kernel, Program};
use ja4_user::model::{ConnectionRecord, EventContext, EventHandler, FingerprintEvent, Method, Time};
use ja4_user::packet::Packet;
use ja4_user::shard::{Core, Now, ShardBuffers, ShardEnv, ShardLimits, UserFlows};
use tests::random::SplitMix64;
use tests::ssh;
use zerocopy::FromBytes;

use crate::figure::Figure;
use crate::frames::{Flow, client_hello};
use crate::{Scale, kernel};

/// Payload of a full segment.
const BULK: [u8; 1448] = [7; 1448];

/// Records in a round: as many hellos as fit a ring.
const RECORDS: u32 = 10_000;

pub(crate) fn measure(scale: Scale) -> Result<Vec<Figure>> {
    let mut filter_config = FilterConfig::new([3, 5]);
    filter_config.shards = 1;
    let mut kernel = kernel::load(filter_config)?;
    let mut ring = kernel.take_ring(0).expect("ring 0 is taken once");
    let mut shard = Shard {
        core: Core::new(&ShardLimits {
            connections: 1 << 18,
            idle: u64::MAX,
            reassembly: ShardLimits::REASSEMBLY,
            ssh_window: ShardLimits::SSH_WINDOW,
        }),
        flows: UserFlows::with_capacity(1),
        buffers: ShardBuffers::default(),
        events: Counting::default(),
    };
    let records = scale.of(RECORDS, RECORDS / 10);
    let rounds = scale.rounds(9);
    let mut random = SplitMix64::new(1);
    let (mut syns, mut hellos) = (Vec::new(), Vec::new());
    // The first half is a warm-up: the shard's tables allocate their memory and keep it.
    for round in 0..2 * rounds {
        if round == rounds {
            shard.forget();
            syns.clear();
            hellos.clear();
        }
        let flows = || (round * records..(round + 1) * records).map(Flow);
        fill(&mut kernel, flows().map(Flow::syn))?;
        syns.push(shard.drain(&mut ring, records)?);
        fill(&mut kernel, flows().flat_map(|flow| [flow.syn_ack(), flow.ack()]))?;
        shard.drain(&mut ring, 2 * records)?;
        fill(&mut kernel, flows().map(|flow| flow.first(&client_hello(&mut random))))?;
        hellos.push(shard.drain(&mut ring, records)?);
    }
    let mut segments = Vec::new();
    let flow = Flow(2 * rounds * records);
    let opening = [flow.syn(), flow.syn_ack(), flow.ack(), flow.first(ssh::BANNER), flow.server(0, ssh::BANNER)];
    fill(&mut kernel, opening.into_iter())?;
    shard.drain(&mut ring, 5)?;
    for round in 0..rounds {
        // Two full segments of the server, then the client's ACK for both.
        let copy = (round * records..(round + 1) * records).map(|number| match number % 3 {
            2 => flow.ack(),
            _ => flow.server(ssh::BANNER.len() as u32 + number * BULK.len() as u32, &BULK),
        });
        fill(&mut kernel, copy)?;
        segments.push(shard.drain(&mut ring, records)?);
    }
    let windows = shard.events.ja4ssh;
    ensure!(windows > u64::from(records * rounds / 400), "{windows} windows");
    let fingerprints = shard.events.ja4;
    ensure!(fingerprints == u64::from(records * 2 * rounds), "{fingerprints} fingerprints");
    let best = |rates: Vec<f64>| rates.into_iter().fold(0.0, f64::max);
    let segments = best(segments);
    Ok(vec![
        Figure::new("SYN records, new flows", best(syns), "M/s per core").at_least(5.0),
        Figure::new("ClientHello records, new flows", best(hellos), "M/s per core").at_least(2.5),
        Figure::new("SSH records, headers only, one bulk copy", segments, "M/s per core")
            .note(format!("{:.0} ns each; 10 Gb/s of such a copy are 1.2 M/s", 1e3 / segments)),
    ])
}

/// Runs every frame once, which leaves the records in the ring.
fn fill(kernel: &mut Kernel, frames: impl Iterator<Item = Vec<u8>>) -> Result<()> {
    for frame in frames {
        kernel.test_run(Program::TcEgress, &frame, 1)?;
    }
    Ok(())
}

/// The part of a live shard between its ring and its output.
struct Shard {
    core: Core,
    /// Empty: flow counters are not queried before a connection ends.
    flows: UserFlows,
    buffers: ShardBuffers,
    events: Counting,
}

impl Shard {
    /// Closes every connection.
    fn forget(&mut self) {
        let end = Now { time: Time(u64::MAX), packet: None };
        let Self { core, flows, buffers, events } = self;
        core.finish(end, &mut ShardEnv { flows, buffers, events });
    }

    /// Drains the ring and returns the rate, millions of records per second.
    fn drain(&mut self, ring: &mut RingBuf<MapData>, wanted: u32) -> Result<f64> {
        let Self { core, flows, buffers, events } = self;
        let mut env = ShardEnv { flows, buffers, events };
        let mut taken = 0;
        let begun = Instant::now();
        while let Some(record) = ring.next() {
            let Ok((header, rest)) = RecordHeader::read_from_prefix(&record) else {
                continue;
            };
            let bytes = rest.get(..header.captured as usize).unwrap_or_default();
            let packet = Packet {
                header: &header,
                bytes,
                start: ParseStart::Ethernet,
                outer_vlan: None,
                interface: 0,
                number: None,
            };
            core.packet(&packet, &mut env);
            taken += 1;
        }
        let time = begun.elapsed();
        // Runs all timers, so that pending work does not accumulate over the rounds.
        core.tick(Now { time: Time(u64::MAX), packet: None }, &mut env);
        ensure!(taken == wanted, "{taken} records in the ring, not {wanted}");
        Ok(f64::from(taken) / time.as_secs_f64() / 1e6)
    }
}

/// Event handler that counts fingerprints.
#[derive(Default)]
struct Counting {
    ja4: u64,
    ja4ssh: u64,
}

impl EventHandler for Counting {
    fn fingerprint(&mut self, event: &FingerprintEvent<'_>, _: &mut ConnectionRecord) {
        self.ja4 += u64::from(event.method == Method::Ja4);
        self.ja4ssh += u64::from(event.method == Method::Ja4ssh);
    }

    fn connection(&mut self, _: EventContext, _: ConnectionRecord) {}
}
