//! One client direction of HTTP/2.

use std::ops::ControlFlow;

use ja4::wire::http2::hpack::{MAX_LIST, MAX_TABLE};
use ja4::wire::http2::{Http2Status, Http2Stream, MAX_BLOCK};

use super::http1::{Fields, checked_fields};
use super::input::assert_split_invariant;

/// Parses the client direction of an HTTP/2 connection.
///
/// Input:
/// - byte 0: chunk length minus 1;
/// - rest: the stream, with the connection preface.
///
/// Checks that the requests and the final status do not depend on how the stream is split into chunks, and that the
/// buffer stays within its bound.
pub fn http2(data: &[u8]) {
    let Some((&extra, stream)) = data.split_first() else {
        return;
    };
    assert_split_invariant(stream, extra, requests);
}

/// Returns the fields of each request, and the final status of the stream.
fn requests(stream: &[u8], chunk_len: usize) -> (Vec<Fields>, Http2Status) {
    let (mut http, mut requests) = (Http2Stream::new(), Vec::new());
    for chunk in stream.chunks(chunk_len) {
        http.push(chunk, |request| {
            requests.push(checked_fields(&request));
            ControlFlow::Continue(())
        });
        assert!(http.buffered() <= 2 * (MAX_BLOCK + MAX_LIST) + 8 * MAX_TABLE);
    }
    (requests, http.status())
}
