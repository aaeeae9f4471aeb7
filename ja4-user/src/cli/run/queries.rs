//! The engine's queue, as the HTTP server and attached readers query it.

use std::sync::Arc;

use crossbeam_channel::Sender;
use tokio::sync::oneshot;

use crate::api::{EngineClient, QueryError};
use crate::output::attach::{ViewError, ViewSource};
use crate::runtime::message::EngineMessage;

/// Sends the queries of the HTTP server.
pub(super) fn api_client(engine: Sender<EngineMessage>) -> EngineClient {
    Arc::new(move |query, reply| {
        engine.try_send(EngineMessage::Query(query, reply)).map_err(|error| QueryError::from_queue(error.is_full()))
    })
}

/// Answers the queries of attached readers.
pub(super) fn view_source(engine: Sender<EngineMessage>) -> ViewSource {
    Arc::new(move |query| {
        let (reply, replied) = oneshot::channel();
        let sent = engine.try_send(EngineMessage::Query(query, reply));
        sent.map_err(|error| if error.is_full() { ViewError::Busy } else { ViewError::Ended })?;
        replied.blocking_recv().map_err(|_| ViewError::Ended)
    })
}
