//! JA4D, the fingerprint of a DHCPv4 message (FoxIO JA4+ technical details, JA4D.png).
//!
//! ```text
//! <type><maximum message size><i|n><d|n>_<options>_<parameter request list>
//! ```

use crate::wire::dhcp4::{Dhcp4Message, option_code};

/// Names of message types, from type 1.
const TYPES: [&str; 18] = [
    "disco", "offer", "reqst", "decln", "dpack", "dpnak", "relse", "infor", "frenw", "lqery", "lunas", "lunkn",
    "lactv", "blklq", "lqdon", "actlq", "lqsta", "dhtls",
];

/// Appends the value of `message`. Without a message type, as in plain BOOTP, the type is `00000`.
pub(super) fn write(message: &Dhcp4Message<'_>, out: &mut String) {
    let size = message.options().find_map(|option| match (option.code, option.body) {
        (option_code::MAX_MESSAGE_SIZE, &[high, low]) => Some(u16::from_be_bytes([high, low])),
        _ => None,
    });
    let start = DhcpSectionA {
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

/// The first section of JA4D and JA4D6.
pub(super) struct DhcpSectionA {
    pub(super) message_type: u8,
    pub(super) size: usize,
    pub(super) i: bool,
    pub(super) d: bool,
}

impl DhcpSectionA {
    /// Appends the section; `types` are the names of message types, from type 1.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::dhcp4::builder::message;

    const END: &[u8] = &[255];

    fn ja4d_before(options: &[(u8, &[u8])], tail: &[u8]) -> String {
        let mut out = String::new();
        write(&Dhcp4Message::parse(&message(options, tail)).unwrap(), &mut out);
        out
    }

    fn ja4d(options: &[(u8, &[u8])]) -> String {
        ja4d_before(options, END)
    }

    #[test]
    fn published_examples() {
        let requests: &[u8] = &[1, 3, 6, 42];
        let disco: &[(u8, &[u8])] = &[(53, &[1]), (61, b"id"), (50, &[0; 4]), (55, requests)];
        assert_eq!(ja4d(disco), "disco0000in_61-55_1-3-6-42");
        let offer: &[(u8, &[u8])] = &[(53, &[2]), (1, &[0; 4]), (58, b""), (59, b""), (51, b""), (54, b"")];
        assert_eq!(ja4d(offer), "offer0000nn_1-58-59-51-54_00");
        let reqst: &[(u8, &[u8])] = &[(53, &[3]), (61, b""), (50, b""), (54, b""), (55, requests)];
        assert_eq!(ja4d(reqst), "reqst0000in_61-54-55_1-3-6-42");
        let dpack: &[(u8, &[u8])] = &[(53, &[5]), (58, b""), (59, b""), (51, b""), (54, b""), (1, b"")];
        assert_eq!(ja4d(dpack), "dpack0000nn_58-59-51-54-1_00");
        let iphone: &[u8] = &[1, 121, 3, 6, 15, 108, 114, 119, 252];
        let reqst: &[(u8, &[u8])] =
            &[(53, &[3]), (55, iphone), (57, &[5, 220]), (61, b""), (50, b""), (51, b""), (12, b"iPhone")];
        assert_eq!(ja4d(reqst), "reqst1500in_55-57-61-51-12_1-121-3-6-15-108-114-119-252");
    }

    #[test]
    fn sizes_have_four_digits_and_stop_at_9999() {
        let size = |body: &[u8]| ja4d(&[(53, &[8]), (57, body)]);
        assert_eq!(size(&576_u16.to_be_bytes()), "infor0576nn_57_00");
        assert_eq!(size(&9999_u16.to_be_bytes()), "infor9999nn_57_00");
        assert_eq!(size(&10_000_u16.to_be_bytes()), "infor9999nn_57_00");
        assert_eq!(size(&[0xff, 0xff]), "infor9999nn_57_00");
        assert_eq!(size(&[9]), "infor0000nn_57_00");
    }

    #[test]
    fn a_name_counts_by_its_presence() {
        assert_eq!(ja4d(&[(53, &[1]), (81, b"\0\0\0host")]), "disco0000nd_00_00");
        assert_eq!(ja4d(&[(53, &[1]), (81, b"\0\0\0")]), "disco0000nd_00_00");
        assert_eq!(ja4d(&[(53, &[1]), (50, b""), (81, b"")]), "disco0000id_00_00");
    }

    #[test]
    fn other_types_print_five_digits() {
        assert_eq!(ja4d(&[(53, &[18])]), "dhtls0000nn_00_00");
        assert_eq!(ja4d(&[(53, &[19])]), "000190000nn_00_00");
        assert_eq!(ja4d(&[(53, &[255])]), "002550000nn_00_00");
        assert_eq!(ja4d(&[(61, b"x")]), "000000000nn_61_00");
        assert_eq!(ja4d(&[]), "000000000nn_00_00");
    }

    #[test]
    fn lists_have_no_trailing_separator() {
        assert_eq!(ja4d(&[(61, b""), (53, &[3]), (50, b"")]), "reqst0000in_61_00");
        assert_eq!(ja4d_before(&[(53, &[3]), (61, b"")], &[0, 0, 255, 0]), "reqst0000nn_61_00");
        assert_eq!(ja4d(&[(53, &[3]), (55, b""), (82, b"\x01\x02ab")]), "reqst0000nn_55-82_00");
        assert_eq!(ja4d(&[(53, &[3]), (55, &[0, 255]), (12, b""), (55, &[1])]), "reqst0000nn_55-12-55_0-255-1");
    }

    #[test]
    fn options_before_a_malformed_one_are_listed() {
        assert_eq!(ja4d_before(&[(53, &[3]), (61, b"")], &[55, 9, 1, 3]), "reqst0000nn_61_00");
    }
}
