//! The text exposition format, version 0.0.4.

use super::family::MetricFamily;
use crate::model::CounterKind;
use crate::system::process::ProcessUsage;

/// The samples of one family, one per line, without the metric name.
#[derive(Clone, Debug, Default)]
pub(super) struct Samples(Vec<String>);

impl Samples {
    /// Adds a sample.
    pub(super) fn add(&mut self, labels: &[(&str, &str)], value: &str) {
        let mut line = String::new();
        for (name, text) in labels {
            line.push(if line.is_empty() { '{' } else { ',' });
            line.push_str(name);
            line.push_str("=\"");
            escape(text, &mut line);
            line.push('"');
        }
        if !line.is_empty() {
            line.push('}');
        }
        line.push(' ');
        line.push_str(value);
        self.0.push(line);
    }

    /// Writes the family, unless it has no samples.
    pub(super) fn write(&self, family: &MetricFamily, out: &mut String) {
        if self.0.is_empty() {
            return;
        }
        let kind = if family.kind() == CounterKind::Counter { "counter" } else { "gauge" };
        let name = family.full_name();
        head(out, &name, kind, family.help());
        for line in &self.0 {
            for part in [&name, line, "\n"] {
                out.push_str(part);
            }
        }
    }
}

/// Writes the metrics of the process.
pub(super) fn process(usage: &ProcessUsage, out: &mut String) {
    let ProcessUsage { cpu, open_files, max_files, virtual_bytes, resident_bytes, threads, started } = *usage;
    let mut write = |name: &str, kind: &str, help: &str, value: String| {
        let name = format!("process_{name}");
        head(out, &name, kind, help);
        for part in [&name, " ", &value, "\n"] {
            out.push_str(part);
        }
    };
    let cpu = cpu.as_secs_f64().to_string();
    write("cpu_seconds_total", "counter", "CPU time, user and system.", cpu);
    write("open_fds", "gauge", "Open file descriptors.", open_files.to_string());
    write("max_fds", "gauge", "Limit of open file descriptors.", max_files.to_string());
    write("virtual_memory_bytes", "gauge", "Virtual memory.", virtual_bytes.to_string());
    write("resident_memory_bytes", "gauge", "Resident memory.", resident_bytes.to_string());
    write("threads", "gauge", "Threads.", threads.to_string());
    write("start_time_seconds", "gauge", "Start of the process since the Unix epoch.", started.to_string());
}

/// Writes the help and type lines of a metric with its full name.
pub(super) fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    for part in ["# HELP ", name, " ", help, "\n# TYPE ", name, " ", kind, "\n"] {
        out.push_str(part);
    }
}

/// Escapes the value of a label.
fn escape(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            _ => out.push(character),
        }
    }
}
