//! HTTP requests to JA4H.

use std::ops::ControlFlow;

use super::stage::{FingerprintContext, tell};
use super::stats::Protocol;
use super::stream::Reader;
use super::tls::text;
use crate::model::{EventHandler, HttpAttributes, Side};
use ja4::Input;
use ja4::wire::WireError;
use ja4::wire::http::HttpRequest;

/// Takes a request, or what was wrong with one.
pub(super) fn request<S: EventHandler>(
    reader: &mut Reader<'_, S>,
    request: Result<HttpRequest<'_>, WireError>,
) -> ControlFlow<()> {
    let request = match request {
        Ok(request) => request,
        Err(error) => {
            reader.stats.count_malformed(Protocol::Http, error);
            return ControlFlow::Continue(());
        }
    };
    let connection = &mut *reader.connection;
    **connection.attributes.http.get_or_insert_default() = HttpAttributes {
        method: Some(text(request.method())),
        host: request.host().map(text),
        user_agent: request.user_agent().map(text),
        version: Some(request.version().as_str()),
    };
    let value = reader.engines.methods.compute(Input::Request(&request));
    if value.is_some_and(ja4::Fingerprint::is_capped) {
        reader.stats.count_malformed(Protocol::Http, WireError::TooMany);
    }
    tell(connection, value, Side::Client, reader.cause, FingerprintContext::default(), reader.sink);
    ControlFlow::Continue(())
}
