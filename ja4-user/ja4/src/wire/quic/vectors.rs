//! Test vectors of RFC 9001, appendix A, and RFC 9369, appendix A.

use super::{InitialHeader, LongPacket, PacketKeys, Packets, V1, V2, seal};

/// The destination connection ID of the client in both appendices.
pub(crate) const DCID: &[u8] = b"\x83\x94\xc8\xf0\x3e\x51\x57\x08";

/// The server's connection ID.
pub(crate) const SERVER_ID: &[u8] = b"\xf0\x67\xa5\x50\x2a\x42\x62\xb5";

/// A.2: the client's CRYPTO frame, padded to 1162 bytes.
pub(crate) const CLIENT_CRYPTO: &str = "060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e868\
    04fe3a47f06a2b69484c00000413011302010000c000000010000e00000b6578\
    616d706c652e636f6dff01000100000a00080006001d00170018001000070005\
    04616c706e000500050100000000003300260024001d00209370b2c9caa47fba\
    baf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b000302030400\
    0d0010000e0403050306030203080408050806002d00020101001c0002400100\
    3900320408ffffffffffffffff05048000ffff07048000ffff08011001048000\
    75300901100f088394c8f03e51570806048000ffff";

/// A.3: the server's frames.
pub(crate) const SERVER_FRAMES: &str = "02000000000600405a020000560303eefce7f7b37ba1d1632e96677825ddf739\
    88cfc79825df566dc5430b9a045a1200130100002e00330024001d00209d3c940d89690b84d08a60993c144eca684d10\
    81287c834d5311bcf32bb9da1a002b00020304";

/// A.3: the server's Initial in versions 1 and 2.
pub(crate) const SERVER_INITIAL: [&str; 2] = [
    "cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a5816b6394100f37a1c69797554780bb3\
     8cc5a99f5ede4cf73c3ec2493a1839b3dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84\
     022f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc42158407dd074ee",
    "dc6b3343cf0008f067a5502a4262b5004075d92faaf16f05d8a4398c47089698baeea26b91eb761d9b89237bbf872630\
     17915358230035f7fd3945d88965cf17f9af6e16886c61bfc703106fbaf3cb4cfa52382dd16a393e42757507698075b2\
     c984c707f0a0812d8cd5a6881eaf21ceda98f4bd23f6fe1a3e2c43edd9ce7ca84bed8521e2e140",
];

/// A.4: the Retry in versions 1 and 2.
pub(crate) const RETRY: [&str; 2] = [
    "ff000000010008f067a5502a4262b5746f6b656e04a265ba2eff4d829058fb3f0f2496ba",
    "cf6b3343cf0008f067a5502a4262b5746f6b656ec8646ce8bfe33952d955543665dcc7b6",
];

pub(crate) const VERSIONS: [u32; 2] = [V1, V2];

pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// A.2: the client's frames.
pub(crate) fn client_frames() -> Vec<u8> {
    let mut frames = hex(CLIENT_CRYPTO);
    frames.resize(1162, 0);
    frames
}

/// The only packet of a datagram.
pub(crate) fn only(datagram: &[u8]) -> LongPacket<'_> {
    let mut packets = Packets::new(datagram, datagram.len());
    let packet = packets.next().unwrap().unwrap();
    assert_eq!(packets.next(), None);
    packet
}

/// The client's Initial of A.2.
pub(crate) fn client_initial(version: u32) -> Vec<u8> {
    let header = InitialHeader { version, dcid: DCID, scid: &[], token: &[], number: 2, number_len: 4 };
    let mut datagram = Vec::new();
    seal(&header, &PacketKeys::client(version, DCID).unwrap(), &client_frames(), &mut datagram).unwrap();
    datagram
}
