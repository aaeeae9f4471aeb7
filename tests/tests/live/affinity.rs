//! CPUs of the shards.

use std::fs;
use std::process::Command;

use super::*;

/// Returns the names and the allowed CPUs of all threads of a process.
fn threads(process: u32) -> Vec<(String, String)> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let threads = tasks.map(|task| {
        let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap_or_default();
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.trim().to_owned()
        };
        (value("Name:"), value("Cpus_allowed_list:"))
    });
    threads.collect()
}

#[test]
fn shards_run_on_the_cpus_that_the_process_may_use() {
    let Some(_exclusive) = exclusive() else { return };
    if !require_tools(&["taskset"]) {
        return;
    }
    let wire = Wire::new();
    let host = wire.server();
    let sensor = Sensor::new();
    let run = sensor.command(&["run", "-i", host.interface(), "--http", "off", "--shards", "3"]);
    let last = (std::thread::available_parallelism().unwrap().get() - 1).to_string();
    let mut restricted = Command::new("taskset");
    restricted.args(["-c", &last]).arg(run.get_program()).args(run.get_args());
    let mut sensor = RunningSensor::spawn(host.enter(&restricted));
    sensor.wait_attached(1);
    let shards: Vec<_> = threads(sensor.id()).into_iter().filter(|(name, _)| name.starts_with("shard-")).collect();
    assert_eq!(shards.len(), 3, "{shards:?}");
    assert!(shards.iter().all(|(_, cpus)| *cpus == last), "{shards:?}, not CPU {last}");
    sensor.stop().ok();
}
