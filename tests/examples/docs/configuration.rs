//! The keys of the configuration file, from packaging/ja4sensor.toml, which lists every key with its default. A test of
//! ja4-user compares the file with the schema.

use std::fmt::Write as _;

use anyhow::{Result, bail};

const EXAMPLE: &str = include_str!("../../../packaging/ja4sensor.toml");

/// A section of the example.
#[derive(Debug, Default, PartialEq, Eq)]
struct ExampleSection {
    /// `[name]` or `[[name]]`; empty before the first one.
    header: String,
    /// Comments before the header, or before the first section.
    text: Vec<String>,
    /// Whether the header is commented out: its keys have examples, not defaults.
    is_example: bool,
    keys: Vec<Key>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Key {
    name: String,
    value: String,
    /// Whether the key is commented out: it has no default.
    is_example: bool,
    meaning: String,
}

/// Returns a table of keys for each section.
pub(super) fn keys() -> Result<String> {
    let mut page = String::new();
    // The first section is the comment about the file.
    for section in sections(EXAMPLE)?.into_iter().skip(1) {
        write!(page, "\n### `{}`\n{}", section.header, paragraph(&section.text))?;
        let value = if section.is_example { "example" } else { "default" };
        write!(page, "\n| key | {value} | meaning |\n|---|---|---|\n")?;
        for Key { name, value, is_example, meaning } in &section.keys {
            let (value, meaning) = (cell(value), cell(meaning));
            if *is_example && !section.is_example {
                let separator = if meaning.is_empty() { "" } else { "; " };
                writeln!(page, "| `{name}` | | {meaning}{separator}example: `{value}` |")?;
            } else {
                writeln!(page, "| `{name}` | `{value}` | {meaning} |")?;
            }
        }
    }
    Ok(page)
}

/// Converts comments to Markdown: paragraphs, and a code block for indented lines.
fn paragraph(lines: &[String]) -> String {
    let mut text = String::new();
    let mut in_block = false;
    for line in lines {
        let is_block = line.starts_with("  ");
        if is_block != in_block || text.is_empty() {
            text.push('\n');
        }
        in_block = is_block;
        text.push_str(if is_block { "    " } else { "" });
        text.push_str(line.trim());
        text.push('\n');
    }
    text
}

/// Escapes the text of a table cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn sections(example: &str) -> Result<Vec<ExampleSection>> {
    let mut sections = vec![ExampleSection::default()];
    // Comments before the section or key that they describe.
    let mut comments: Vec<String> = Vec::new();
    let mut lines = example.lines();
    while let Some(line) = lines.next() {
        let Some(section) = sections.last_mut() else { break };
        let is_example = line.starts_with("# ");
        let statement = line.strip_prefix("# ").unwrap_or(line);
        if line.is_empty() {
            // A separate comment; before the first section, it describes the file.
            if section.header.is_empty() {
                section.text.append(&mut comments);
            }
        } else if let Some((header, meaning)) = header(statement) {
            comments.extend(meaning);
            sections.push(ExampleSection { header, text: std::mem::take(&mut comments), is_example, keys: Vec::new() });
        } else if let Some((name, mut rest)) = key(statement) {
            // An array over several lines.
            while rest.starts_with('[') && !rest.contains(']') {
                let Some(more) = lines.next() else { bail!("the array of {name} has no end") };
                rest = format!("{rest}{}{}", if rest.ends_with('[') { "" } else { " " }, more.trim());
            }
            let (value, meaning) = rest.split_once(" # ").unwrap_or((&rest, ""));
            comments.push(meaning.trim().to_owned());
            let value = value.trim().replace(",]", "]");
            section.keys.push(Key { name, value, is_example, meaning: comments.join(" ").trim().to_owned() });
            comments.clear();
        } else if let Some(comment) = line.strip_prefix('#') {
            comments.push(comment.strip_prefix(' ').unwrap_or(comment).to_owned());
        } else {
            bail!("cannot read the line {line:?}");
        }
    }
    Ok(sections)
}

/// Parses `[name]` and the comment after it.
fn header(line: &str) -> Option<(String, Option<String>)> {
    if !line.starts_with('[') {
        return None;
    }
    let (header, comment) = line.split_once(" # ").map_or((line, None), |(header, comment)| (header, Some(comment)));
    Some((header.trim().to_owned(), comment.map(|comment| comment.trim().to_owned())))
}

/// Parses `name` or `table.name`, and the text after `=`.
fn key(line: &str) -> Option<(String, String)> {
    let (name, rest) = line.split_once(" = ")?;
    let is_name =
        name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'.'));
    is_name.then(|| (name.to_owned(), rest.to_owned()))
}
