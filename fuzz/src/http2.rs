//! One client direction of HTTP/2.

use std::ops::ControlFlow;

use ja4::wire::http2::hpack::{MAX_LIST, MAX_TABLE};
use ja4::wire::http2::{Http2Status, Http2Stream, MAX_BLOCK};

use super::http1::{Fields, fields};

/// The stream gives the same however it is split; the first byte says how.
pub fn http2(data: &[u8]) {
    let Some((&step, stream)) = data.split_first() else {
        return;
    };
    let whole = outcome(stream, stream.len().max(1));
    for size in [1, 1 + usize::from(step)] {
        assert_eq!(outcome(stream, size), whole, "in pieces of {size}");
    }
}

fn outcome(stream: &[u8], piece: usize) -> (Vec<Fields>, Http2Status) {
    let (mut http, mut found) = (Http2Stream::new(), Vec::new());
    for bytes in stream.chunks(piece) {
        http.push(bytes, |request| {
            found.push(fields(&request));
            ControlFlow::Continue(())
        });
        assert!(http.buffered() <= 2 * (MAX_BLOCK + MAX_LIST) + 8 * MAX_TABLE);
    }
    (found, http.status())
}
