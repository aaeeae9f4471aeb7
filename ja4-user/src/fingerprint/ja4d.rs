//! JA4D, the DHCPv4 message (specification, section 11).
//!
//! ```text
//! <type><maximum message size><i|n><d|n>_<options>_<parameter request list>
//! ```

use crate::wire::dhcp4::{Message, option_code};

/// Names of message types by their number from 1 (specification, section 11).
const TYPES: [&str; 18] = [
    "disco", "offer", "reqst", "decln", "dpack", "dpnak", "relse", "infor", "frenw", "lqery", "lunas", "lunkn",
    "lactv", "blklq", "lqdon", "actlq", "lqsta", "dhtls",
];

/// Appends the value of `message`. Without a message type, as in plain BOOTP, the type is `00000`.
pub fn write(message: &Message<'_>, out: &mut String) {
    let size = message.options().find_map(|option| match (option.code, option.body) {
        (option_code::MAX_MESSAGE_SIZE, &[high, low]) => Some(u16::from_be_bytes([high, low])),
        _ => None,
    });
    let start = Start {
        message_type: message.message_type().unwrap_or_default(),
        size: usize::from(size.unwrap_or_default()),
        i: message.option(option_code::REQUESTED_ADDRESS).is_some(),
        d: message.option(option_code::CLIENT_FQDN).is_some(),
    };
    start.write(&TYPES, out);
    let listed = message.options().map(|option| option.code).filter(|code| {
        !matches!(*code, option_code::MESSAGE_TYPE | option_code::REQUESTED_ADDRESS | option_code::CLIENT_FQDN)
    });
    write_codes(listed.map(u16::from), out);
    let requests = message.options().filter(|option| option.code == option_code::PARAMETER_REQUEST_LIST);
    write_codes(requests.flat_map(|option| option.body).copied().map(u16::from), out);
}

/// The first section, of JA4D and JA4D6 alike.
pub(super) struct Start {
    pub(super) message_type: u8,
    pub(super) size: usize,
    pub(super) i: bool,
    pub(super) d: bool,
}

impl Start {
    /// Appends the section; `types` are the names of message types by their number from 1.
    pub(super) fn write(&self, types: &[&str], out: &mut String) {
        let named = usize::from(self.message_type).checked_sub(1).and_then(|index| types.get(index));
        match named {
            Some(name) => out.push_str(name),
            None => write_padded(usize::from(self.message_type), 5, out),
        }
        write_padded(self.size.min(9999), 4, out);
        out.push(if self.i { 'i' } else { 'n' });
        out.push(if self.d { 'd' } else { 'n' });
    }
}

/// Appends `_` and a list of codes in decimal, joined with `-`; `00` for none.
pub(super) fn write_codes(codes: impl Iterator<Item = u16>, out: &mut String) {
    let mut digits = itoa::Buffer::new();
    let mut separator = '_';
    for code in codes {
        out.push(separator);
        out.push_str(digits.format(code));
        separator = '-';
    }
    if separator == '_' {
        out.push_str("_00");
    }
}

/// Appends `number` in at least `width` digits.
fn write_padded(number: usize, width: usize, out: &mut String) {
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(number);
    out.extend(core::iter::repeat_n('0', width.saturating_sub(digits.len())));
    out.push_str(digits);
}
