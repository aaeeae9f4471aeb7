//! The state of the engine's work of each second.

use crossbeam_channel::Receiver;

use super::finished::Finished;
use super::json_lines::JsonLines;
use super::line_formatters::LineFormatters;
use super::restore::SavedState;
use crate::detect::DetectionContent;
use crate::detect::cooldown::Cooldowns;
use crate::detect::first_seen::FirstSeenSettings;
use crate::encode::EncodeContext;
use crate::model::{Alert, Severity, Time};
use crate::output::alert::AlertLine;
use crate::output::storage::SavedStateLimits;

/// The state of the work of each second.
#[derive(Debug)]
pub(super) struct StateKeeper {
    /// Receives the saved state of a database that is opened after the start: it could not be opened before, or its file
    /// was replaced.
    pub(super) restored: Option<Receiver<SavedState>>,
    /// Latest event time.
    pub(super) now: Time,
    /// Latest event time not ahead of the wall clock; "now" for expiry.
    pub(super) past: Time,
    /// Event time of the last expiry in storage, and the number of entries evicted from memory by then.
    pub(super) expired_at: (Time, u64),
    /// Limits of the saved state.
    pub(super) bounds: SavedStateLimits,
    /// Rows of saved state that storage lost, as far as they were sent again.
    pub(super) saved_state_lost: u64,
    /// How often the database file was replaced: as reported by alerts, and as far as the saved state was stored again.
    pub(super) files_replaced: u64,
    pub(super) files_filled: u64,
    formatters: LineFormatters,
    pub(super) json: JsonLines,
    pub(super) cooldowns: Cooldowns,
    /// Alerts about the database, by severity.
    pub(super) alerts: [u64; Severity::ALL.len()],
}

impl StateKeeper {
    pub(super) fn new(
        first_seen: &FirstSeenSettings,
        formatters: LineFormatters,
        content: &DetectionContent,
        context: &EncodeContext,
    ) -> Self {
        Self {
            restored: None,
            now: Time(0),
            past: Time(0),
            expired_at: (Time(0), 0),
            bounds: SavedStateLimits::of(first_seen, &content.profiles),
            saved_state_lost: 0,
            files_replaced: 0,
            files_filled: 0,
            formatters,
            json: JsonLines::new(context),
            cooldowns: Cooldowns::new(1),
            alerts: Default::default(),
        }
    }

    /// Latest event time.
    pub(super) const fn now(&self) -> Time {
        self.now
    }

    pub(super) fn emit_alert(&mut self, alert: Alert, has_readers: bool, out: &mut Finished) {
        if let Some(count) = self.alerts.get_mut(alert.severity as usize) {
            *count += 1;
        }
        self.formatters.each(out, |_| false, |formatter, text| formatter.alert(&alert, None, text));
        self.formatters.send_to_readers();
        let line = self.json.alert(&alert, has_readers);
        out.alerts.push((AlertLine { alert, raw: None }, line));
    }
}
