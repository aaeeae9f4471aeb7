//! Cleartext messages of an SSH connection (RFC 4253, sections 4.2 and 7.1).

use crate::random::SplitMix64;

/// Name-lists of a KEXINIT of OpenSSH 9: key exchange, host keys, then ciphers, MACs and compression, each for both
/// directions, and empty language lists.
const LISTS: [&str; 10] = [
    "sntrup761x25519-sha512@openssh.com,curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,\
     ecdh-sha2-nistp384,ecdh-sha2-nistp521,diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512,\
     diffie-hellman-group18-sha512,diffie-hellman-group14-sha256,ext-info-c,kex-strict-c-v00@openssh.com",
    "ssh-ed25519-cert-v01@openssh.com,ecdsa-sha2-nistp256-cert-v01@openssh.com,rsa-sha2-512-cert-v01@openssh.com,\
     ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,rsa-sha2-512,rsa-sha2-256",
    CIPHERS,
    CIPHERS,
    MACS,
    MACS,
    "none,zlib@openssh.com,zlib",
    "none,zlib@openssh.com,zlib",
    "",
    "",
];
const CIPHERS: &str = "chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,aes128-gcm@openssh.com,\
     aes256-gcm@openssh.com";
const MACS: &str = "umac-64-etm@openssh.com,umac-128-etm@openssh.com,hmac-sha2-256-etm@openssh.com,\
     hmac-sha2-512-etm@openssh.com,hmac-sha1-etm@openssh.com,umac-64@openssh.com,umac-128@openssh.com,\
     hmac-sha2-256,hmac-sha2-512,hmac-sha1";

/// Identification string of both endpoints.
pub const BANNER: &[u8] = b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n";

/// Returns a KEXINIT packet of about 1500 bytes.
pub fn kex_init(random: &mut SplitMix64) -> Vec<u8> {
    const SSH_MSG_KEXINIT: u8 = 20;
    let mut payload = vec![SSH_MSG_KEXINIT];
    payload.extend_from_slice(&random.bytes::<16>());
    for list in LISTS {
        payload.extend_from_slice(&(list.len() as u32).to_be_bytes());
        payload.extend_from_slice(list.as_bytes());
    }
    payload.extend_from_slice(&[0; 5]);
    // At least four bytes of padding, up to a multiple of eight that includes both length fields (RFC 4253, section 6).
    let padding = 4 + (8 - (payload.len() + 5 + 4) % 8) % 8;
    let mut packet = ((payload.len() + 1 + padding) as u32).to_be_bytes().to_vec();
    packet.push(padding as u8);
    packet.extend_from_slice(&payload);
    packet.resize(packet.len() + padding, 0);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_a_multiple_of_eight_bytes() {
        let packet = kex_init(&mut SplitMix64::new(1));
        assert_eq!(packet.len() % 8, 0);
        assert_eq!(packet.len(), 4 + u32::from_be_bytes(packet[..4].try_into().unwrap()) as usize);
        assert!((1200..1700).contains(&packet.len()), "{}", packet.len());
    }
}
