//! Responses: bodies and headers.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

use super::state::{QueryError, QueryResult};
use crate::encode::escape;

/// Size of the chunks in which a list is written.
const CHUNK: usize = 64 << 10;

/// Characters of a request that an error message repeats.
const MAX_REPEATED: usize = 64;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Creates a response with a JSON body.
pub(super) fn json(status: StatusCode, body: impl Into<Body>) -> Response {
    (status, [(CONTENT_TYPE, JSON)], body.into()).into_response()
}

/// Creates an error response: `{"error":"…"}`.
pub(super) fn error(status: StatusCode, text: &str) -> Response {
    let mut body = br#"{"error":""#.to_vec();
    escape::json(text, &mut body);
    body.extend_from_slice(b"\"}\n");
    json(status, body)
}

/// Returns a printable excerpt of a request, for error messages.
pub(super) fn printable(text: &str) -> String {
    let mut shown = Vec::new();
    escape::terminal(text, MAX_REPEATED, &mut shown);
    String::from_utf8(shown).unwrap_or_default()
}

impl IntoResponse for QueryError {
    fn into_response(self) -> Response {
        error(StatusCode::SERVICE_UNAVAILABLE, &self.to_string())
    }
}

/// The body `{"NAME":[…]}` of lines that are JSON objects, generated chunk by chunk as the client reads.
#[derive(Debug)]
pub(super) struct JsonList {
    /// The start of the body; empty once it is sent.
    begin: Vec<u8>,
    lines: std::vec::IntoIter<Bytes>,
    /// Bytes left.
    left: u64,
    first: bool,
    _held: tokio::sync::OwnedSemaphorePermit,
}

const END: &[u8] = b"]}\n";

impl JsonList {
    pub(super) fn new(name: &str, list: QueryResult) -> Self {
        let QueryResult { mut lines, held } = list;
        for line in &mut lines {
            line.truncate(line.trim_ascii_end().len());
        }
        let begin = format!("{{\"{name}\":[").into_bytes();
        let commas = lines.len().saturating_sub(1);
        let length = begin.len() + lines.iter().map(Bytes::len).sum::<usize>() + commas + END.len();
        Self { begin, lines: lines.into_iter(), left: length as u64, first: true, _held: held }
    }

    fn next_chunk(&mut self) -> Bytes {
        let mut chunk = std::mem::take(&mut self.begin);
        loop {
            let Some(line) = self.lines.next() else {
                chunk.extend_from_slice(END);
                break;
            };
            if !std::mem::take(&mut self.first) {
                chunk.push(b',');
            }
            chunk.extend_from_slice(&line);
            if chunk.len() >= CHUNK {
                break;
            }
        }
        self.left = self.left.saturating_sub(chunk.len() as u64);
        chunk.into()
    }
}

impl axum::body::HttpBody for JsonList {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(Ok(Frame::data(self.get_mut().next_chunk()))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

impl IntoResponse for JsonList {
    fn into_response(self) -> Response {
        json(StatusCode::OK, Body::new(self))
    }
}
