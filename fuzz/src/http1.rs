//! One client direction of HTTP/1.

use std::ops::ControlFlow;

use ja4::wire::WireError;
use ja4::wire::http::HttpRequest;
use ja4::wire::http1::{Http1Status, Http1Stream, MAX_BLOCK, MAX_LINES};
use ja4::{Fingerprint, Forms, Hashers, Input};

/// Where a stream stops, and what it has not read then.
#[derive(Debug, PartialEq, Eq)]
enum Stop {
    Open,
    Lost,
    Http2(Vec<u8>),
    Tunnel(Vec<u8>),
    Ended,
}

/// Name and value of each field.
pub(super) type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// Requests and errors, and where the stream stopped.
type Outcome = (Vec<Result<Fields, WireError>>, Stop);

/// The stream gives the same until it stops, however it is split; the first byte says how. Behind that, it
/// takes any bytes.
pub fn http1(data: &[u8]) {
    let Some((&step, stream)) = data.split_first() else {
        return;
    };
    let whole = outcome(stream, stream.len().max(1));
    for size in [1, 1 + usize::from(step)] {
        assert_eq!(outcome(stream, size), whole, "in pieces of {size}");
    }
    let mut lost = Http1Stream::new();
    for (place, bytes) in stream.chunks(1 + usize::from(step)).enumerate() {
        if place % 3 == 2 {
            lost.resync()
        } else {
            lost.skip(u64::from(step % 4))
        }
        lost.push(bytes, |_| ControlFlow::Continue(()));
    }
}

fn outcome(stream: &[u8], piece: usize) -> Outcome {
    let (mut http, mut found) = (Http1Stream::new(), Vec::new());
    let mut rest = stream;
    while !rest.is_empty() {
        let (bytes, behind) = rest.split_at(piece.min(rest.len()));
        rest = behind;
        let status = http.push(bytes, |request| {
            found.push(request.map(|request| fields(&request)));
            ControlFlow::Continue(())
        });
        let stop = match status {
            Http1Status::Open => None,
            Http1Status::Lost => Some(Stop::Lost),
            Http1Status::Http2(left) => Some(Stop::Http2([left, behind].concat())),
            // Empty lines are passed over before it shows that this is no request.
            Http1Status::Tunnel(left) => {
                Some(Stop::Tunnel([http.incomplete_block(), left, behind].concat().trim_ascii_start().to_vec()))
            }
            Http1Status::Ended => Some(Stop::Ended),
        };
        assert!(http.buffered() <= 2 * (MAX_BLOCK + 1));
        if let Some(stop) = stop {
            return (found, stop);
        }
    }
    (found, Stop::Open)
}

/// A request's fields, after a look at what can be read of it.
pub(super) fn fields(request: &HttpRequest<'_>) -> Fields {
    assert!(request.fields().count() <= usize::from(MAX_LINES));
    assert!(request.host().is_some() || request.field(b"host").is_none());
    let (mut all, mut values) = (Hashers::new(Forms::All), Hashers::new(Forms::Value));
    if let Some(found) = all.compute(Input::Request(request)) {
        let value = found.as_str();
        assert_eq!(Some(value), values.compute(Input::Request(request)).map(Fingerprint::as_str));
        for value in [Some(value), found.original()].map(Option::unwrap) {
            assert!(value.len() == "ge11cr04da00_8ddaef5d77af_280f366eaa04_c2fb0fe53442".len());
            assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        }
        let [raw, raw_original] = [found.raw(), found.raw_original()].map(Option::unwrap);
        for raw in [raw, raw_original] {
            assert!(raw.starts_with(&value[..13]) && raw.matches('_').count() >= 3);
        }
        assert_eq!(raw.len(), raw_original.len());
    }
    request.fields().map(|field| (field.name.to_vec(), field.value.to_vec())).collect()
}
