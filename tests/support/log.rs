//! The sensor's log on standard error.

/// Returns the message of a line: without time and level, or without the name of the program.
#[must_use]
pub fn message(line: &str) -> &str {
    if let Some(message) = line.strip_prefix("ja4sensor: ") {
        return message;
    }
    let mut parts = line.split_ascii_whitespace();
    let is_time =
        parts.next().is_some_and(|time| time.ends_with('Z') && time.starts_with(|first: char| first.is_ascii_digit()));
    match parts.next().filter(|_| is_time) {
        Some(level) => line.split_once(level).map_or(line, |(_, message)| message.trim_start()),
        None => line,
    }
}

/// Returns the address of the HTTP server that the log names.
#[must_use]
pub fn http_address<T: std::str::FromStr>(log: &str) -> Option<T> {
    log.lines().find_map(|line| message(line).strip_prefix("http: serving on ")?.parse().ok())
}
