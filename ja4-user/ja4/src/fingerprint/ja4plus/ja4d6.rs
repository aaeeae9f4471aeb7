//! JA4D6, the fingerprint of a DHCPv6 message (FoxIO JA4+ technical details, JA4D6.png).
//!
//! ```text
//! <type><length of the client's DUID><i|n><d|n>_<options, nested ones too>_<option request list>
//! ```

use crate::fingerprint::ja4plus::ja4d::{DhcpSectionA, write_codes};
use crate::wire::dhcp6::{Dhcp6Message, option_code};

/// Names of message types, from type 1.
const TYPES: [&str; 37] = [
    "solct", "advrt", "reqst", "confm", "renew", "rebnd", "reply", "relse", "decln", "recon", "inreq", "rlayf",
    "rlayr", "query", "qrply", "qdone", "qdata", "rereq", "rrply", "v4qry", "v4res", "acqry", "sttls", "bdudp",
    "brply", "poreq", "pores", "urqst", "ureqa", "udone", "conne", "connr", "dconn", "state", "conta", "arinf",
    "arrep",
];

/// Appends the value of `message`.
pub(super) fn write(message: &Dhcp6Message<'_>, out: &mut String) {
    let start = DhcpSectionA {
        message_type: message.message_type,
        size: message.option(option_code::CLIENT_ID).map_or(0, <[u8]>::len),
        i: message.option(option_code::IA_TA).is_some(),
        d: message.option(option_code::CLIENT_FQDN).is_some_and(carries_name),
    };
    start.write(&TYPES, out);
    write_codes(message.options().map(|option| option.code), out);
    let requests = message.options().filter(|option| option.code == option_code::OPTION_REQUEST);
    write_codes(requests.flat_map(|option| option.body.as_chunks().0).map(|pair| u16::from_be_bytes(*pair)), out);
}

/// Whether anything but the root follows the flags of a client FQDN option (RFC 4704, section 4).
fn carries_name(body: &[u8]) -> bool {
    body.get(1).is_some_and(|&first_label| first_label != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::dhcp6::builder::{message, nest, relay};

    const DUID: &[u8] = &[0; 14];

    fn ja4d6(bytes: &[u8]) -> String {
        let mut out = String::new();
        write(&Dhcp6Message::parse(bytes).unwrap(), &mut out);
        out
    }

    #[test]
    fn published_examples() {
        let requests: &[u8] = &[0, 23, 0, 24];
        let pd = nest(12, &[(26, &nest(25, &[]))]);
        let solct = message(1, &[(1, DUID), (6, requests), (8, b"\0\0"), (25, &nest(12, &[]))]);
        assert_eq!(ja4d6(&solct), "solct0014nn_1-6-8-25_23-24");
        let advrt = message(2, &[(25, &pd), (1, DUID), (2, DUID)]);
        assert_eq!(ja4d6(&advrt), "advrt0014nn_25-26-1-2_00");
        let reqst = message(3, &[(1, DUID), (2, DUID), (6, requests), (8, b"\0\0"), (25, &pd)]);
        assert_eq!(ja4d6(&reqst), "reqst0014nn_1-2-6-8-25-26_23-24");
        assert_eq!(ja4d6(&message(7, &[(1, DUID), (2, DUID), (13, b"\0\0")])), "reply0014nn_1-2-13_00");
    }

    #[test]
    fn the_flags_mean_a_temporary_address_and_a_name() {
        let with = |code, body: &[u8]| ja4d6(&message(1, &[(code, body)]));
        assert_eq!(with(3, &nest(12, &[(5, &[0; 24])])), "solct0000nn_3-5_00");
        assert_eq!(with(4, &nest(4, &[(5, &[0; 24])])), "solct0000in_4-5_00");
        assert_eq!(with(39, b"\x01\x04host"), "solct0000nd_39_00");
        assert_eq!(with(39, b"\x01\0"), "solct0000nn_39_00");
        assert_eq!(with(39, b"\x01"), "solct0000nn_39_00");
        assert_eq!(with(39, b""), "solct0000nn_39_00");
    }

    #[test]
    fn a_relayed_message_is_the_one_that_counts() {
        let solct = message(1, &[(1, DUID), (6, &[0, 23, 0])]);
        let once = relay(12, &[(18, b"port"), (9, &solct)]);
        let twice = relay(12, &[(9, &once), (37, b"id")]);
        assert_eq!(ja4d6(&solct), "solct0014nn_1-6_23");
        assert_eq!(ja4d6(&once), ja4d6(&solct));
        assert_eq!(ja4d6(&twice), ja4d6(&solct));
    }

    #[test]
    fn unknown_types_print_five_digits_and_nothing_prints_zeros() {
        assert_eq!(ja4d6(&message(37, &[])), "arrep0000nn_00_00");
        assert_eq!(ja4d6(&message(38, &[])), "000380000nn_00_00");
        assert_eq!(ja4d6(&message(0, &[])), "000000000nn_00_00");
        assert_eq!(ja4d6(&message(255, &[(65_535, b""), (6, b"")])), "002550000nn_65535-6_00");
    }

    #[test]
    fn a_long_identifier_prints_its_length() {
        assert_eq!(ja4d6(&message(11, &[(1, &[0; 130])])), "inreq0130nn_1_00");
    }
}
