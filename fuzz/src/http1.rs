//! One client direction of HTTP/1.

use std::ops::ControlFlow;

use ja4::wire::WireError;
use ja4::wire::http::HttpRequest;
use ja4::wire::http1::{Http1Status, Http1Stream, MAX_BLOCK, MAX_LINES};
use ja4::{Fingerprint, Forms, Hashers, Input};

use super::input::assert_split_invariant;

/// Status in which parsing stopped; with it, the bytes left for the next protocol.
#[derive(Debug, PartialEq, Eq)]
enum StreamEnd {
    /// The input ended.
    Open,
    Lost,
    Http2(Vec<u8>),
    Tunnel(Vec<u8>),
    Ended,
}

/// Name and value of each header field.
pub(super) type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// Requests and errors in order, and how the stream ended.
type StreamOutcome = (Vec<Result<Fields, WireError>>, StreamEnd);

/// Parses the client direction of an HTTP/1 connection.
///
/// Input:
/// - byte 0: chunk length minus 1;
/// - rest: the stream.
///
/// Checks that the requests, the errors and the end do not depend on how the stream is split into chunks. The stream
/// is then parsed with gaps and without stopping, which must not panic.
pub fn http1(data: &[u8]) {
    let Some((&extra, stream)) = data.split_first() else {
        return;
    };
    assert_split_invariant(stream, extra, outcome);
    let mut with_gaps = Http1Stream::new();
    for (index, chunk) in stream.chunks(1 + usize::from(extra)).enumerate() {
        if index % 3 == 2 {
            with_gaps.resync()
        } else {
            with_gaps.skip(u64::from(extra % 4))
        }
        with_gaps.push(chunk, |_| ControlFlow::Continue(()));
    }
}

/// Parses a stream until it is no longer [`Http1Status::Open`].
fn outcome(stream: &[u8], chunk_len: usize) -> StreamOutcome {
    let (mut http, mut requests) = (Http1Stream::new(), Vec::new());
    let mut rest = stream;
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(chunk_len.min(rest.len()));
        rest = after;
        let status = http.push(chunk, |request| {
            requests.push(request.map(|request| checked_fields(&request)));
            ControlFlow::Continue(())
        });
        let end = match status {
            Http1Status::Open => None,
            Http1Status::Lost => Some(StreamEnd::Lost),
            Http1Status::Http2(left) => Some(StreamEnd::Http2([left, after].concat())),
            // Empty lines before the tunnelled protocol are skipped or left, depending on the chunks.
            Http1Status::Tunnel(left) => {
                let left = [http.incomplete_block(), left, after].concat();
                Some(StreamEnd::Tunnel(left.trim_ascii_start().to_vec()))
            }
            Http1Status::Ended => Some(StreamEnd::Ended),
        };
        assert!(http.buffered() <= 2 * (MAX_BLOCK + 1));
        if let Some(end) = end {
            return (requests, end);
        }
    }
    (requests, StreamEnd::Open)
}

/// Checks the format of a request's JA4H and returns the request's fields.
pub(super) fn checked_fields(request: &HttpRequest<'_>) -> Fields {
    assert!(request.fields().count() <= usize::from(MAX_LINES));
    assert!(request.host().is_some() || request.field(b"host").is_none());
    let (mut all_forms, mut value_only) = (Hashers::new(Forms::All), Hashers::new(Forms::Value));
    if let Some(ja4h) = all_forms.compute(Input::Request(request)) {
        let value = ja4h.as_str();
        assert_eq!(Some(value), value_only.compute(Input::Request(request)).map(Fingerprint::as_str));
        for value in [Some(value), ja4h.original()].map(Option::unwrap) {
            assert!(value.len() == "ge11cr04da00_8ddaef5d77af_280f366eaa04_c2fb0fe53442".len());
            assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        }
        let [raw, raw_original] = [ja4h.raw(), ja4h.raw_original()].map(Option::unwrap);
        for raw in [raw, raw_original] {
            assert!(raw.starts_with(&value[..13]) && raw.matches('_').count() >= 3);
        }
        assert_eq!(raw.len(), raw_original.len());
    }
    request.fields().map(|field| (field.name.to_vec(), field.value.to_vec())).collect()
}
