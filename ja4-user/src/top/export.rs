//! Export of a view to a file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;

use super::column::{ListColumn, ListKind};
use super::feed::RowSource;
use super::request::{MAX_ROWS, MAX_SKIP, TopRequest};
use super::row;
use super::state::top_state::{ExportJob, ExportRows};
use crate::encode::escape;
use crate::units::Counted;

/// Most rows of an export.
const MAX_EXPORT: usize = MAX_SKIP + MAX_ROWS;

/// Writes the rows to a new file. Returns a message.
///
/// # Errors
/// If the file exists or cannot be written, or the sensor does not answer.
pub(super) fn write(job: &ExportJob, source: &RowSource) -> anyhow::Result<String> {
    let path = job.path.display();
    let is_csv = job.path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    let file = create(&job.path).with_context(|| format!("cannot create {path}"))?;
    let mut writer = ExportWriter { out: BufWriter::new(file), list: job.list, is_csv, rows: 0, left_out: 0 };
    let written = writer.all(&job.rows, source);
    if written.is_err() {
        let _removed = fs::remove_file(&job.path);
    }
    written.with_context(|| format!("cannot export to {path}"))?;
    let rows = Counted(writer.rows, "row");
    Ok(match writer.left_out {
        0 => format!("exported {rows} to {path}"),
        left_out => format!("exported {rows} to {path}; {left_out} more were left out"),
    })
}

/// An existing file is never replaced: the program often runs as root.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Copies all rows of a request, a thousand at a time.
fn copy_rows(request: &TopRequest, source: &RowSource, writer: &mut ExportWriter<impl Write>) -> anyhow::Result<()> {
    let (mut skip, mut total) = (0, 1);
    while skip < total.min(MAX_EXPORT) {
        let request = TopRequest { interval_ms: 0, skip: Some(skip), rows: Some(MAX_ROWS), ..request.clone() };
        let snapshot = source.ask(&request)?;
        writer.rows(&snapshot.rows)?;
        skip += snapshot.rows.len();
        total = if snapshot.rows.is_empty() { skip } else { snapshot.total() };
    }
    writer.left_out = total.saturating_sub(skip);
    Ok(())
}

struct ExportWriter<W> {
    out: W,
    list: Option<ListKind>,
    is_csv: bool,
    rows: u64,
    /// Rows beyond [`MAX_EXPORT`].
    left_out: usize,
}

impl<W: Write> ExportWriter<W> {
    fn all(&mut self, rows: &ExportRows, source: &RowSource) -> anyhow::Result<()> {
        self.header()?;
        match rows {
            ExportRows::Given(rows) => self.rows(rows)?,
            ExportRows::Requested(request) => copy_rows(request, source, self)?,
        }
        Ok(self.out.flush()?)
    }

    fn header(&mut self) -> io::Result<()> {
        match self.list {
            _ if !self.is_csv => Ok(()),
            Some(list) => self.line(columns(list).map(|column| column.title.to_lowercase())),
            None => self.line(["field".to_owned(), "value".to_owned()].into_iter()),
        }
    }

    fn rows(&mut self, rows: &[Value]) -> io::Result<()> {
        for row in rows {
            self.rows += 1;
            match self.list {
                _ if !self.is_csv => self.out.write_all(json(row).as_bytes())?,
                Some(list) => self.line(columns(list).map(|column| (column.cell)(row).text))?,
                None => {
                    for (path, value) in row::leaves(row) {
                        self.line([path, value].into_iter())?;
                    }
                }
            }
        }
        Ok(())
    }

    fn line(&mut self, fields: impl Iterator<Item = String>) -> io::Result<()> {
        let mut line = Vec::new();
        for (place, field) in fields.enumerate() {
            if place > 0 {
                line.push(b',');
            }
            escape::csv(&field, &mut line);
        }
        line.push(b'\n');
        self.out.write_all(&line)
    }
}

/// The columns with a name.
fn columns(list: ListKind) -> impl Iterator<Item = &'static ListColumn> {
    list.columns().iter().filter(|column| !column.title.is_empty())
}

/// A row as a line of JSON. DEL and C1 controls are escaped, as in all lines of the sensor.
fn json(row: &Value) -> String {
    let mut out = String::new();
    for character in row.to_string().chars() {
        if character.is_control() {
            out.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            out.push(character);
        }
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn exported(name: &str, list: Option<ListKind>) -> (String, String) {
        let folder = tempfile::tempdir().unwrap();
        let row =
            json!({"src_ip": "10.0.0.1", "dest_ip": "10.0.0.2", "dest_port": 443, "tls": {"sni": "=a,\u{9b}\u{1b}"}});
        let job = ExportJob { path: folder.path().join(name), list, rows: ExportRows::Given(vec![row]) };
        let message = write(&job, &RowSource::Sensor("/nowhere".into())).unwrap();
        let again = write(&job, &RowSource::Sensor("/nowhere".into())).unwrap_err();
        assert!(format!("{again:#}").contains("File exists"), "{again:#}");
        (fs::read_to_string(&job.path).unwrap(), message)
    }

    #[test]
    fn json_is_an_object_a_line() {
        let (text, message) = exported("a.json", Some(ListKind::Connections));
        assert!(message.starts_with("exported 1 row to "), "{message}");
        assert!(!text.trim_end().chars().any(char::is_control), "{text}");
        let row: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(row["tls"]["sni"], "=a,\u{9b}\u{1b}");
    }

    #[test]
    fn csv_has_the_columns_of_the_view() {
        let (text, _) = exported("a.csv", Some(ListKind::Connections));
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].starts_with("last,start,client,server,proto,name,"), "{text}");
        assert!(lines[1].contains(",10.0.0.1,10.0.0.2:443,,\"'=a,"), "{text}");
        let (text, _) = exported("a.CSV", None);
        assert!(text.starts_with("field,value\n") && text.contains("src_ip,10.0.0.1\n"), "{text}");
    }

    #[test]
    fn without_a_sensor_an_export_fails() {
        let folder = tempfile::tempdir().unwrap();
        let rows = ExportRows::Requested(Box::default());
        let job = ExportJob { path: folder.path().join("a.json"), list: None, rows };
        let error = write(&job, &RowSource::Sensor(folder.path().join("none"))).unwrap_err();
        assert!(format!("{error:#}").contains("cannot connect to the sensor"), "{error:#}");
        assert!(!job.path.exists());
    }
}
