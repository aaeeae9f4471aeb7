#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, reason="scratch")]
use ja4_common::knobs::Knobs;
use ja4_user::capture::ebpf::*;
fn tcp(sport: u16, flags: u8, seq: u32, payload: &[u8], back: bool) -> Vec<u8> {
    let mut f = vec![2,0,0,0,0,1,2,0,0,0,0,2,8,0];
    let len = 40 + payload.len();
    let (s,d) = if back {([10,0,0,2],[10,0,0,1])} else {([10,0,0,1],[10,0,0,2])};
    let (sp,dp) = if back {(443,sport)} else {(sport,443)};
    f.extend([0x45,0]); f.extend((len as u16).to_be_bytes()); f.extend([0,0,0x40,0,64,6,0,0]); f.extend(s); f.extend(d);
    f.extend(sp.to_be_bytes()); f.extend(dp.to_be_bytes()); f.extend(seq.to_be_bytes()); f.extend([0,0,0,0,0x50,flags,0xff,0xff,0,0,0,0]);
    f.extend(payload); f
}
#[test]
fn load() {
    let object = std::fs::read("/tmp/ja4.bpf.o").unwrap();
    let mut knobs = Knobs::new([0x1234567890abcdef, 0xfedcba0987654321]);
    knobs.shards = 1; knobs.handshake_budget = u32::MAX;
    let mut kernel = Kernel::load(&object, &Settings { knobs, ring_bytes: 1 << 18, flows: 1<<20 }).unwrap();
    let mut ring = kernel.take_ring(0).unwrap();
    let n = 2_000_000;
    let mut hello = vec![22,3,1,2,0,1,0,1,0xfc]; hello.resize(517, 7);
    kernel.set_clock(1<<40).unwrap();
    for p in [Program::Xdp] {
        let mut best = |k: &mut Kernel, f: &[u8]| (0..5).map(|_| k.test_run(p, f, n).unwrap().1.as_nanos()).min().unwrap();
        let empty = (0..5).map(|_| kernel.test_run(Program::Empty, &tcp(1,0x10,1,&[0;1400],false), n).unwrap().1.as_nanos()).min().unwrap();
        println!("{p:?} empty {empty}");
        println!(" untracked {}", best(&mut kernel, &tcp(1000,0x10,1,&[0;1400],false)));
        kernel.test_run(p, &tcp(2000,2,99,&[],false), 1).unwrap();
        kernel.test_run(p, &tcp(2000,0x12,99,&[],true), 1).unwrap();
        kernel.test_run(p, &tcp(2000,0x10,100,&[],false), 1).unwrap();
        kernel.test_run(p, &tcp(2000,0x10,100,b"GET / HTTP/1.0",false), 1).unwrap();
        while ring.next().is_some() {}
        println!(" tracked {}", best(&mut kernel, &tcp(2000,0x10,100_000,&[0;1400],false)));
        let c = kernel.counters().unwrap();
        assert!(ring.next().is_none(), "{c:?}");
        // syn: ring full after 64MB/200 = 335k; measure in pieces
        let mut t = vec![]; for _ in 0..7 { t.push(kernel.test_run(p, &tcp(3000,2,99,&[],false), 1_200).unwrap().1.as_nanos()); while ring.next().is_some() {} }
        println!(" syn {t:?}");
        let mut t = vec![]; for i in 0..7u32 { kernel.test_run(p, &tcp(4000,2,99+i,&[],false), 1).unwrap(); t.push(kernel.test_run(p, &tcp(5000,0x10,100+i,&hello,false), 300).unwrap().1.as_nanos()); while ring.next().is_some() {} }
        println!(" hello {t:?}");
        let c = kernel.counters().unwrap(); println!("{:?} {:?}", c[0].selected, c[0].ring_full); assert!(c[0].balanced() && c[1].balanced());
    }
}
