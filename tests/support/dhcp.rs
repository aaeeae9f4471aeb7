//! DHCP messages as clients and servers send them.

/// Returns a DHCPv4 message (RFC 2131, section 2): `op`, hardware address, options.
pub fn v4(op: u8, mac: [u8; 6], options: &[(u8, &[u8])]) -> Vec<u8> {
    let mut out = vec![op, 1, 6, 0];
    out.extend_from_slice(&mac[2..]); // any transaction number does
    out.resize(28, 0);
    out.extend_from_slice(&mac);
    out.resize(236, 0);
    out.extend_from_slice(&[0x63, 0x82, 0x53, 0x63]);
    for (code, body) in options {
        out.extend_from_slice(&[*code, body.len() as u8]);
        out.extend_from_slice(body);
    }
    out.push(255);
    out
}

/// Returns a DHCPv6 message (RFC 8415, section 8): type, transaction ID, options.
pub fn v6(kind: u8, transaction: [u8; 3], options: &[(u16, &[u8])]) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend_from_slice(&transaction);
    for (code, body) in options {
        out.extend_from_slice(&code.to_be_bytes());
        out.extend_from_slice(&(body.len() as u16).to_be_bytes());
        out.extend_from_slice(body);
    }
    out
}

/// Returns a desktop client's DHCPv4 message of type `kind`, with host name, vendor class and parameter request list.
pub fn client_v4(kind: u8, mac: [u8; 6]) -> Vec<u8> {
    let id = [&[1][..], &mac].concat();
    v4(
        1,
        mac,
        &[
            (53, &[kind]),
            (61, &id),
            (50, &[192, 0, 2, 77]),
            (57, &[0x05, 0xdc]),
            (12, b"desktop-7"),
            (60, b"android-dhcp-14"),
            (55, &[1, 3, 6, 15, 26, 28, 51, 58, 59, 43, 114, 108]),
        ],
    )
}

/// Returns the server's reply of type `kind` to [`client_v4`].
pub fn server_v4(kind: u8, mac: [u8; 6]) -> Vec<u8> {
    let lease = 3600_u32.to_be_bytes();
    let router: &[u8] = &[192, 0, 2, 1];
    v4(2, mac, &[(53, &[kind]), (54, router), (51, &lease), (1, &[255, 255, 255, 0]), (3, router), (6, router)])
}

/// Returns a DHCPv6 message of a client that requests an address: client identifier, option request, elapsed time,
/// identity association, FQDN.
pub fn client_v6(kind: u8, mac: [u8; 6]) -> Vec<u8> {
    let duid = [&[0, 1, 0, 1, 0x2c, 0x11, 0x22, 0x33][..], &mac].concat();
    let association = [&mac[2..], &[0; 8]].concat();
    let wanted = [0, 17, 0, 23, 0, 24, 0, 39, 0, 31];
    let name = b"\x01\x09desktop-7";
    v6(kind, [mac[3], mac[4], mac[5]], &[(1, &duid), (6, &wanted), (8, &[0; 2]), (3, &association), (39, name)])
}

/// Returns the server's reply of type `kind` to [`client_v6`].
pub fn server_v6(kind: u8, mac: [u8; 6]) -> Vec<u8> {
    let duid = [&[0, 1, 0, 1, 0x2c, 0x11, 0x22, 0x33][..], &mac].concat();
    let address = [&[0x20, 0x01, 0x0d, 0xb8][..], &[0; 12], &[0, 0, 0x0e, 0x10, 0, 0, 0x1c, 0x20]].concat();
    let address = [&[0, 5, 0, address.len() as u8][..], &address].concat();
    let association = [&mac[2..], &[0; 8], &address].concat();
    v6(kind, [mac[3], mac[4], mac[5]], &[(1, &duid), (2, &duid), (3, &association), (23, &[0x20; 16])])
}
