//! HTTP requests to JA4H.

use std::ops::ControlFlow;

#[cfg(feature = "ja4plus")]
use super::engines::Methods;
#[cfg(feature = "ja4plus")]
use super::stage::{Values, tell};
use super::stats::Protocol;
use super::stream::Reader;
use super::tls::text;
use crate::model::{EventHandler, HttpAttributes};
#[cfg(feature = "ja4plus")]
use crate::model::{Method, Side};
use ja4::wire::WireError;
use ja4::wire::http::Request;

/// Takes a request, or what was wrong with one.
pub(super) fn request<S: EventHandler>(
    reader: &mut Reader<'_, S>,
    request: Result<Request<'_>, WireError>,
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
    #[cfg(feature = "ja4plus")]
    {
        let Methods { forms, ja4h, ja4h_values: values, .. } = &mut reader.engines.methods;
        if ja4h.ja4h(&request, *forms, values) {
            reader.stats.count_malformed(Protocol::Http, WireError::TooMany);
        }
        let others = [&*values.raw, &values.original, &values.raw_original];
        let values = Values::with(*forms, &values.value, others);
        tell(connection, Method::Ja4h, Side::Client, reader.cause, values, None, reader.sink);
    }
    ControlFlow::Continue(())
}
