use ja4_common::knobs::Knobs;
use ja4_user::capture::ebpf::*;
#[test]
fn load() {
    let object = std::fs::read("/tmp/ja4.bpf.o").unwrap();
    let mut knobs = Knobs::new([3, 5]);
    knobs.shards = 2;
    let mut kernel = Kernel::load(&object, &Settings { knobs, ring_bytes: 1 << 24, flows: 65536 }).unwrap();
    for p in [Program::Xdp, Program::TcEgress, Program::TcIngress, Program::Empty] {
        match kernel.test_run(p, &[0u8; 64], 1000) { Ok(r) => println!("{p:?} {r:?}"), Err(e) => { let t = e.to_string(); println!("{p:?} {}", &t[t.len().saturating_sub(1500)..]); } }
    }
}
