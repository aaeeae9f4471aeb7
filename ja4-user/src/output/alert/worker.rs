//! The thread of one sink: takes alerts from its queue, one after the other, until each has arrived or
//! is given up.

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
use super::transport::{AlertFile, AlertTransport, DeliveryError, SyslogClient, WebhookClient};
use crate::encode::Context;

/// What others tell a worker.
#[derive(Debug, Default)]
pub(super) struct SinkControl {
    /// When it has to be done; set once, when it shall end.
    pub(super) deadline: OnceLock<Instant>,
    /// A file is to be opened anew.
    pub(super) reopen: AtomicBool,
}

/// A sink at work.
pub(super) struct SinkWorker {
    sink: Arc<Sink>,
    form: AlertFormat,
    way: AlertTransport,
    bucket: Option<AlertLimiter>,
    counters: Arc<SinkCounters>,
    orders: Arc<SinkControl>,
    /// Never holds anything; its other end goes when the sink shall end.
    ending: Receiver<()>,
    message: Vec<u8>,
    random: RandomState,
}

impl SinkWorker {
    /// # Errors
    /// Why the sink cannot be, in words.
    pub(super) fn new(
        sink: Arc<Sink>,
        context: &Context,
        counters: Arc<SinkCounters>,
        orders: Arc<SinkControl>,
        ending: Receiver<()>,
    ) -> Result<Self, String> {
        let raw = sink.raw;
        let (form, way) = match &sink.target {
            SinkTarget::Webhook(target) => {
                let form = match target.form {
                    WebhookFormat::Json => AlertFormat::json(raw, context),
                    WebhookFormat::Slack => AlertFormat::slack(raw),
                };
                (form, AlertTransport::Webhook(Box::new(WebhookClient::new(target.clone(), sink.timeout)?)))
            }
            SinkTarget::Syslog(target) => {
                let form = AlertFormat::syslog(raw, target.header.clone(), target.content, context);
                (form, AlertTransport::Syslog(Box::new(SyslogClient::new(target.clone(), sink.timeout)?)))
            }
            SinkTarget::File(target) => {
                let form = if target.cef { AlertFormat::cef(raw, context) } else { AlertFormat::json(raw, context) };
                (form, AlertTransport::File(AlertFile::new(target.path.clone())))
            }
        };
        let bucket = sink.rate.map(|rate| AlertLimiter::new(rate, Instant::now()));
        let random = RandomState::new();
        Ok(Self { sink, form, way, bucket, counters, orders, ending, message: Vec::new(), random })
    }

    /// Works until the queue's other end is gone and it is empty.
    pub(super) fn run(mut self, queue: &Receiver<Arc<AlertLine>>) {
        for line in queue {
            if self.late() {
                count(&self.counters.abandoned);
            } else if self.bucket.as_mut().is_some_and(|bucket| !bucket.take(Instant::now())) {
                count(&self.counters.rate_limited);
            } else {
                self.send(&line);
            }
        }
    }

    /// Tries until it arrives, for as long as it may.
    fn send(&mut self, line: &AlertLine) {
        if self.orders.reopen.swap(false, Ordering::AcqRel) {
            self.way.reopen();
        }
        let mut message = std::mem::take(&mut self.message);
        message.clear();
        self.form.write(line, &mut message);
        let started = Instant::now();
        for tried in 0.. {
            let fault = match self.way.deliver(&message) {
                Ok(()) => {
                    self.counters.went_well();
                    break;
                }
                Err(fault) => fault,
            };
            self.counters.error(&fault.reason);
            let Some(delay) = self.delay(&fault, tried, started) else {
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

    /// How long to wait before the next try; `None`: there is none.
    fn delay(&self, fault: &DeliveryError, tried: u32, started: Instant) -> Option<Duration> {
        let retry = &self.sink.retry;
        if !fault.retry || tried >= retry.retries {
            return None;
        }
        let delay = retry.delay(tried, self.random.hash_one(tried));
        // Who asks for longer than an alert is held asks for it to be given up.
        let delay = fault.after.map_or(delay, |after| after.max(delay));
        (started.elapsed().saturating_add(delay) <= retry.total).then_some(delay)
    }

    /// Waits; false if the sink has to end before.
    fn wait(&self, delay: Duration) -> bool {
        let until = Instant::now() + delay;
        if self.ending.recv_timeout(delay) == Err(RecvTimeoutError::Timeout) {
            return true;
        }
        let deadline = self.orders.deadline.get().copied().unwrap_or_else(Instant::now);
        let end = until.min(deadline);
        std::thread::sleep(end.saturating_duration_since(Instant::now()));
        !self.late()
    }

    /// Whether the sink should have ended by now.
    fn late(&self) -> bool {
        self.orders.deadline.get().is_some_and(|deadline| Instant::now() >= *deadline)
    }
}
