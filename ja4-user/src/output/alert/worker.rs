//! The thread of one sink: takes alerts from its queue, one after the other, until each has arrived or
//! is given up.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::config::{Body, Sink, Target};
use super::counters::{Counters, count};
use super::format::Form;
use super::line::AlertLine;
use super::rate_limit::AlertLimiter;
use super::transport::{Fault, HttpClient, LogFile, SyslogClient, Way};
use crate::encode::Context;

/// What others tell a worker.
#[derive(Debug, Default)]
pub(super) struct Orders {
    /// When it has to be done; set once, when it shall end.
    pub(super) deadline: OnceLock<Instant>,
    /// A file is to be opened anew.
    pub(super) reopen: AtomicBool,
}

/// A sink at work.
pub(super) struct Worker {
    sink: Arc<Sink>,
    form: Form,
    way: Way,
    bucket: Option<AlertLimiter>,
    counters: Arc<Counters>,
    orders: Arc<Orders>,
    /// Never holds anything; its other end goes when the sink shall end.
    ending: Receiver<()>,
    message: Vec<u8>,
    random: RandomState,
}

impl Worker {
    /// # Errors
    /// Why the sink cannot be, in words.
    pub(super) fn new(
        sink: Arc<Sink>,
        context: &Context,
        counters: Arc<Counters>,
        orders: Arc<Orders>,
        ending: Receiver<()>,
    ) -> Result<Self, String> {
        let raw = sink.raw;
        let (form, way) = match &sink.target {
            Target::Webhook(target) => {
                let form = match target.form {
                    Body::Json => Form::json(raw, context),
                    Body::Slack => Form::slack(raw),
                };
                (form, Way::Webhook(Box::new(HttpClient::new(target.clone(), sink.timeout)?)))
            }
            Target::Syslog(target) => {
                let form = Form::syslog(raw, target.header.clone(), target.content, context);
                (form, Way::Syslog(Box::new(SyslogClient::new(target.clone(), sink.timeout)?)))
            }
            Target::File(target) => {
                let form = if target.cef { Form::cef(raw, context) } else { Form::json(raw, context) };
                (form, Way::File(LogFile::new(target.path.clone())))
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
    fn delay(&self, fault: &Fault, tried: u32, started: Instant) -> Option<Duration> {
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
