//! Framings under TLS and DTLS.

use ja4_user::wire::WireError;
use ja4_user::wire::framing::proxy::ProxyHeader;

/// The first bytes of a client: the same stream is behind the PROXY protocol header, or the same error comes, however
/// the bytes are split. The first byte says how.
pub fn proxy(data: &[u8]) {
    let Some((&step, stream)) = data.split_first() else {
        return;
    };
    let whole = behind_proxy(stream, stream.len().max(1));
    assert!(!matches!(&whole, Ok(Some(rest)) if !stream.ends_with(rest) || rest.len() + 14 > stream.len()));
    for size in [1, 1 + usize::from(step)] {
        assert_eq!(behind_proxy(stream, size), whole, "in pieces of {size}");
    }
}

fn behind_proxy(stream: &[u8], size: usize) -> Result<Option<Vec<u8>>, WireError> {
    let (mut header, mut pieces) = (ProxyHeader::new(), stream.chunks(size));
    while let Some(piece) = pieces.next() {
        if let Some(rest) = header.push(piece)? {
            return Ok(Some([rest, &pieces.collect::<Vec<_>>().concat()].concat()));
        }
    }
    Ok(None)
}
