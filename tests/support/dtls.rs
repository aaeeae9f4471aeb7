//! DTLS records and handshake fragments, well-formed and malformed.

/// Returns one DTLS 1.2 record with `payload`.
pub fn record(content: u8, epoch: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![content, 0xfe, 0xfd];
    out.extend(epoch.to_be_bytes());
    out.extend([0; 6]);
    out.extend((payload.len() as u16).to_be_bytes());
    out.extend_from_slice(payload);
    out
}

/// Returns a handshake fragment: `data` at `offset` of the body, of `length` bytes, of message number `seq`.
pub fn fragment(kind: u8, seq: u16, length: usize, offset: usize, data: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend(&(length as u32).to_be_bytes()[1..]);
    out.extend(seq.to_be_bytes());
    out.extend(&(offset as u32).to_be_bytes()[1..]);
    out.extend(&(data.len() as u32).to_be_bytes()[1..]);
    out.extend_from_slice(data);
    out
}

/// Splits a message into datagrams, each with one record that holds one fragment of at most `size` bytes.
pub fn datagrams(kind: u8, seq: u16, body: &[u8], size: usize) -> Vec<Vec<u8>> {
    let whole = |data: &[u8], offset| record(22, 0, &fragment(kind, seq, body.len(), offset, data));
    if body.is_empty() {
        return vec![whole(&[], 0)];
    }
    body.chunks(size).enumerate().map(|(number, data)| whole(data, number * size)).collect()
}
