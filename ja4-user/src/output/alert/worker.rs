//! The thread of one sink. It delivers the alerts of its queue one after the other, each until it is delivered or dropped.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::config::{Sink, SinkTarget, WebhookFormat};
use super::counters::{SinkCounters, count};
use super::format::AlertFormat;
use super::line::AlertLine;
use super::rate_limit::AlertLimiter;
use super::transport::{AlertFile, AlertTransport, DeliveryError, JournaldClient, SyslogClient, WebhookClient};
use crate::encode::EncodeContext;

/// Requests to a worker.
#[derive(Debug, Default)]
pub(super) struct SinkControl {
    /// Deadline of the worker; set once, when the sink ends.
    pub(super) deadline: OnceLock<Instant>,
    /// Asks for the file to be reopened.
    pub(super) reopen: AtomicBool,
}

/// A running sink.
pub(super) struct SinkWorker {
    sink: Arc<Sink>,
    format: AlertFormat,
    transport: AlertTransport,
    bucket: Option<AlertLimiter>,
    counters: Arc<SinkCounters>,
    control: Arc<SinkControl>,
    /// Carries no messages; disconnected when the sink ends.
    ending: Receiver<()>,
    message: Vec<u8>,
    random: RandomState,
}

impl SinkWorker {
    /// # Errors
    /// If TLS or the URL cannot be set up.
    pub(super) fn new(
        sink: Arc<Sink>,
        context: &EncodeContext,
        counters: Arc<SinkCounters>,
        control: Arc<SinkControl>,
        ending: Receiver<()>,
    ) -> Result<Self, String> {
        let raw = sink.raw;
        let (format, transport) = match &sink.target {
            SinkTarget::Webhook(target) => {
                let format = match target.format {
                    WebhookFormat::Json => AlertFormat::json(raw, context),
                    WebhookFormat::Slack => AlertFormat::slack(raw),
                };
                (format, AlertTransport::Webhook(Box::new(WebhookClient::new(target.clone(), sink.timeout)?)))
            }
            SinkTarget::Syslog(target) => {
                let format = AlertFormat::syslog(raw, target.header.clone(), target.content, context);
                (format, AlertTransport::Syslog(Box::new(SyslogClient::new(target.clone(), sink.timeout)?)))
            }
            SinkTarget::File(target) => {
                let format = if target.cef { AlertFormat::cef(raw, context) } else { AlertFormat::json(raw, context) };
                (format, AlertTransport::File(AlertFile::new(target.path.clone())))
            }
            SinkTarget::Journald(path) => {
                let client = JournaldClient::new(path.clone(), sink.timeout);
                (AlertFormat::journald(raw, context), AlertTransport::Journald(client))
            }
        };
        let bucket = sink.rate.map(|rate| AlertLimiter::new(rate, Instant::now()));
        let random = RandomState::new();
        Ok(Self { sink, format, transport, bucket, counters, control, ending, message: Vec::new(), random })
    }

    /// Runs until the queue is disconnected and empty.
    pub(super) fn run(mut self, queue: &Receiver<Arc<AlertLine>>) {
        for line in queue {
            if self.is_overdue() {
                count(&self.counters.abandoned);
            } else if self.bucket.as_mut().is_some_and(|bucket| !bucket.take(Instant::now())) {
                count(&self.counters.rate_limited);
            } else {
                self.send(&line);
            }
        }
    }

    /// Delivers an alert, with retries.
    fn send(&mut self, line: &AlertLine) {
        if self.control.reopen.swap(false, Ordering::AcqRel) {
            self.transport.reopen();
        }
        let mut message = std::mem::take(&mut self.message);
        message.clear();
        self.format.write(line, &mut message);
        let started = Instant::now();
        for tried in 0.. {
            let error = match self.transport.deliver(&message) {
                Ok(()) => {
                    self.counters.delivered();
                    break;
                }
                Err(error) => error,
            };
            self.counters.record_error(&error.reason);
            let Some(delay) = self.delay(&error, tried, started) else {
                count(&self.counters.failed);
                break;
            };
            if !self.wait(delay) {
                count(&self.counters.abandoned);
                break;
            }
            count(&self.counters.retries);
        }
        self.message = message;
    }

    /// Returns the delay before the next retry; `None` if there is none.
    fn delay(&self, error: &DeliveryError, tried: u32, started: Instant) -> Option<Duration> {
        let retry = &self.sink.retry;
        if !error.retry || tried >= retry.retries {
            return None;
        }
        let delay = retry.delay(tried, self.random.hash_one(tried));
        // A receiver that asks for more than the retry deadline causes the alert to be dropped.
        let delay = error.after.map_or(delay, |after| after.max(delay));
        (started.elapsed().saturating_add(delay) <= retry.deadline).then_some(delay)
    }

    /// Waits. Returns false if the deadline of the sink passes.
    fn wait(&self, delay: Duration) -> bool {
        let until = Instant::now() + delay;
        if self.ending.recv_timeout(delay) == Err(RecvTimeoutError::Timeout) {
            return true;
        }
        let deadline = self.control.deadline.get().copied().unwrap_or_else(Instant::now);
        let end = until.min(deadline);
        std::thread::sleep(end.saturating_duration_since(Instant::now()));
        !self.is_overdue()
    }

    /// Whether the deadline of the sink has passed.
    fn is_overdue(&self) -> bool {
        self.control.deadline.get().is_some_and(|deadline| Instant::now() >= *deadline)
    }
}
