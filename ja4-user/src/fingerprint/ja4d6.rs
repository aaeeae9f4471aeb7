//! JA4D6, the DHCPv6 message (specification, sections 12 and 15).
//!
//! ```text
//! <type><length of the client's DUID><i|n><d|n>_<options, nested ones too>_<option request list>
//! ```

use crate::fingerprint::ja4d::{Start, write_codes};
use crate::wire::dhcp6::{Message, option_code};

/// Names of message types by their number from 1 (specification, section 12).
const TYPES: [&str; 37] = [
    "solct", "advrt", "reqst", "confm", "renew", "rebnd", "reply", "relse", "decln", "recon", "inreq", "rlayf",
    "rlayr", "query", "qrply", "qdone", "qdata", "rereq", "rrply", "v4qry", "v4res", "acqry", "sttls", "bdudp",
    "brply", "poreq", "pores", "urqst", "ureqa", "udone", "conne", "connr", "dconn", "state", "conta", "arinf",
    "arrep",
];

/// Appends the value of `message`.
pub fn write(message: &Message<'_>, out: &mut String) {
    let start = Start {
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

/// True when anything but the root follows the flags of a client FQDN option (RFC 4704, section 4).
fn carries_name(body: &[u8]) -> bool {
    body.get(1).is_some_and(|&first_label| first_label != 0)
}
