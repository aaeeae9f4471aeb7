//! HTTP requests: JA4H and attributes.

use std::ops::ControlFlow;

use ja4::Input;
use ja4::wire::WireError;
use ja4::wire::http::HttpRequest;

use super::packet_ctx::PacketCtx;
use super::stats::MalformedProtocol;
use super::text::text;
use crate::conntrack::AppState;
use crate::model::{EventHandler, HttpAttributes, Side};

impl<A: AppState, S: EventHandler> PacketCtx<'_, A, S> {
    /// Handles a request, or the error in one.
    pub(crate) fn http_request(&mut self, request: Result<HttpRequest<'_>, WireError>) -> ControlFlow<()> {
        let request = match request {
            Ok(request) => request,
            Err(error) => {
                self.stats.count_malformed(MalformedProtocol::Http, error);
                return ControlFlow::Continue(());
            }
        };
        **self.connection.record.attributes.http.get_or_insert_default() = HttpAttributes {
            method: Some(text(request.method())),
            host: request.host().map(text),
            user_agent: request.user_agent().map(text),
            version: Some(request.version().as_str()),
        };
        if self.emit(Side::Client, Input::Request(&request)) {
            self.stats.count_malformed(MalformedProtocol::Http, WireError::TooMany);
        }
        ControlFlow::Continue(())
    }
}
