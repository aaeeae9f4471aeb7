//! DHCPv4 messages (RFC 2131, section 2; RFC 2132).

use std::borrow::Cow;
use std::fmt;

use crate::wire::{Cursor, WireError, dns_name};

/// Longest message that is parsed, bytes: the size of a jumbo frame. It bounds the length of a fingerprint.
pub const MAX_MESSAGE: usize = 9216;

/// The first four bytes of the options (RFC 2131, section 3). Plain BOOTP has another value there.
const MAGIC_COOKIE: u32 = 0x6382_5363;

/// Bytes between hops and chaddr: xid, secs, flags and four addresses.
const XID_TO_CHADDR: usize = 24;

/// Bytes of the sname and file fields, which follow chaddr.
const SNAME: usize = 64;
const FILE: usize = 128;

/// The option codes that are interpreted (RFC 2132; RFC 4702).
pub mod option_code {
    /// Pad: one byte, no length.
    pub const PAD: u8 = 0;
    /// Host name
    pub const HOST_NAME: u8 = 12;
    /// Requested IP address
    pub const REQUESTED_ADDRESS: u8 = 50;
    /// Option overload: whether the file and sname fields contain options
    pub const OVERLOAD: u8 = 52;
    /// DHCP message type
    pub const MESSAGE_TYPE: u8 = 53;
    /// Parameter request list
    pub const PARAMETER_REQUEST_LIST: u8 = 55;
    /// Maximum DHCP message size
    pub const MAX_MESSAGE_SIZE: u8 = 57;
    /// Vendor class identifier
    pub const VENDOR_CLASS: u8 = 60;
    /// Client FQDN
    pub const CLIENT_FQDN: u8 = 81;
    /// End: one byte, no length.
    pub const END: u8 = 255;
}

/// One option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dhcp4Option<'a> {
    /// The code; neither pad nor end.
    pub code: u8,
    /// The body, at most 255 bytes.
    pub body: &'a [u8],
}

/// A message. Its options are those of the options field in wire order, then those of the file and sname fields if
/// option 52 announces them (RFC 2131, section 4.1), duplicates included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dhcp4Message<'a> {
    /// The error of the first malformed option, which ends the list; earlier options are valid.
    pub damage: Option<WireError>,
    hardware_address: HardwareAddress<'a>,
    options: Dhcp4Options<'a>,
    has_end: bool,
}

impl<'a> Dhcp4Message<'a> {
    /// Parses the payload of a UDP datagram.
    ///
    /// # Errors
    /// [`WireError::TooLong`] above [`MAX_MESSAGE`], [`WireError::Truncated`] below the 240 bytes of the
    /// fixed part, [`WireError::Magic`] without the cookie. A malformed option sets
    /// [`damage`](Self::damage) and is not an error.
    pub fn parse(payload: &'a [u8]) -> Result<Self, WireError> {
        if payload.len() > MAX_MESSAGE {
            return Err(WireError::TooLong);
        }
        let mut cursor = Cursor::new(payload);
        let &[_op, _hardware_type, hlen, _hops] = cursor.array()?;
        cursor.take(XID_TO_CHADDR)?;
        let chaddr: &[u8; 16] = cursor.array()?;
        let sname = cursor.take(SNAME)?;
        let file = cursor.take(FILE)?;
        if cursor.u32()? != MAGIC_COOKIE {
            return Err(WireError::Magic);
        }
        let field = cursor.rest();
        let overload =
            Dhcp4Options::new(field).map_while(Result::ok).find(|option| option.code == option_code::OVERLOAD);
        // RFC 2132, section 9.3.
        let overloaded = match overload.map(|option| option.body) {
            Some([1]) => [file, &[]],
            Some([2]) => [sname, &[]],
            Some([3]) => [file, sname],
            _ => [&[][..], &[]],
        };
        let options = Dhcp4Options { overloaded, ..Dhcp4Options::new(field) };
        let damage = { options }.find_map(Result::err);
        // A length above 16 exceeds chaddr.
        let hardware_address = HardwareAddress(chaddr.get(..usize::from(hlen)).unwrap_or_default());
        Ok(Self { damage, hardware_address, options, has_end: has_end(field) })
    }

    /// The options without pads, up to the end of the last field with options or the first error.
    pub fn options(&self) -> impl Iterator<Item = Dhcp4Option<'a>> + use<'a> {
        self.options.map_while(Result::ok)
    }

    /// Whether the options field has an END option. Its options are then complete, even if the end of the datagram was
    /// not captured.
    #[must_use]
    pub const fn has_end(&self) -> bool {
        self.has_end
    }

    /// The body of the first option of this code.
    #[must_use]
    pub fn option(&self, code: u8) -> Option<&'a [u8]> {
        self.options().find(|option| option.code == code).map(|option| option.body)
    }

    /// The first byte of option 53; absent in plain BOOTP.
    #[must_use]
    pub fn message_type(&self) -> Option<u8> {
        self.option(option_code::MESSAGE_TYPE)?.first().copied()
    }

    /// The client's hardware address; empty if it is absent or does not fit chaddr.
    #[must_use]
    pub const fn hardware_address(&self) -> HardwareAddress<'a> {
        self.hardware_address
    }

    /// Option 12, else the name in option 81; not empty. Bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn host_name(&self) -> Option<Cow<'a, str>> {
        let plain = self.option(option_code::HOST_NAME).and_then(text);
        plain.or_else(|| self.client_fqdn()?.name())
    }

    /// Option 60; not empty. Bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn vendor_class(&self) -> Option<Cow<'a, str>> {
        self.option(option_code::VENDOR_CLASS).and_then(text)
    }

    /// Option 81, if its three fixed bytes are present.
    #[must_use]
    pub fn client_fqdn(&self) -> Option<ClientFqdn<'a>> {
        let mut cursor = Cursor::new(self.option(option_code::CLIENT_FQDN)?);
        let &[flags, _rcode1, _rcode2] = cursor.array().ok()?;
        Some(ClientFqdn { flags, domain_name: cursor.rest() })
    }
}

/// The client FQDN option (RFC 4702, section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientFqdn<'a> {
    /// Bits N, E, O, S: 0x08, 0x04, 0x02, 0x01.
    flags: u8,
    /// The name in the encoding that flag E selects; may be empty.
    domain_name: &'a [u8],
}

impl<'a> ClientFqdn<'a> {
    /// Flag E: the name is in DNS wire format, else ASCII.
    const ENCODED: u8 = 0x04;

    /// The name, unless it is empty or malformed.
    #[must_use]
    pub fn name(&self) -> Option<Cow<'a, str>> {
        if self.flags & Self::ENCODED == 0 {
            return text(self.domain_name);
        }
        let name = dns_name::presentation(self.domain_name).ok()?;
        if name.is_empty() { None } else { Some(Cow::Owned(name)) }
    }
}

/// The text of an option without the NULs that some clients append (RFC 2132, section 2); `None` if empty.
fn text(body: &[u8]) -> Option<Cow<'_, str>> {
    let end = body.iter().rposition(|&byte| byte != 0)?;
    body.get(..=end).map(String::from_utf8_lossy)
}

/// A hardware address of at most 16 bytes; prints as `02:00:00:00:00:01`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HardwareAddress<'a>(&'a [u8]);

impl<'a> HardwareAddress<'a> {
    /// The bytes; empty without an address.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.0
    }
}

impl fmt::Display for HardwareAddress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ":" };
            write!(f, "{separator}{byte:02x}")?;
        }
        Ok(())
    }
}

/// Options in wire order without pads, in each field up to its end option or the end of the field. The first option
/// that does not fit is returned as an error, and ends the iteration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Dhcp4Options<'a> {
    rest: Cursor<'a>,
    /// Further fields, in reading order.
    overloaded: [&'a [u8]; 2],
}

impl<'a> Dhcp4Options<'a> {
    const fn new(field: &'a [u8]) -> Self {
        Self { rest: Cursor::new(field), overloaded: [&[], &[]] }
    }

    fn read(&mut self) -> Result<Option<Dhcp4Option<'a>>, WireError> {
        loop {
            if self.rest.is_empty() {
                let [next, last] = self.overloaded;
                if next.is_empty() {
                    return Ok(None);
                }
                (self.rest, self.overloaded) = (Cursor::new(next), [last, &[]]);
            }
            match self.rest.u8()? {
                option_code::PAD => {}
                option_code::END => self.rest = Cursor::default(),
                code => return Ok(Some(Dhcp4Option { code, body: self.rest.region_u8()?.rest() })),
            }
        }
    }
}

impl<'a> Iterator for Dhcp4Options<'a> {
    type Item = Result<Dhcp4Option<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        let option = self.read();
        if !matches!(option, Ok(Some(_))) {
            *self = Self::new(&[]);
        }
        option.transpose()
    }
}

/// Whether a field has an end option.
fn has_end(field: &[u8]) -> bool {
    let mut cursor = Cursor::new(field);
    loop {
        match cursor.u8() {
            Ok(option_code::PAD) => {}
            Ok(option_code::END) => return true,
            Ok(_) if cursor.region_u8().is_ok() => {}
            Ok(_) | Err(_) => return false,
        }
    }
}

#[cfg(test)]
pub(crate) mod builder {
    //! Messages for tests.

    /// A message with these options, followed by `tail`.
    pub(crate) fn message(options: &[(u8, &[u8])], tail: &[u8]) -> Vec<u8> {
        let mut bytes = vec![1, 1, 6, 0];
        bytes.resize(28, 0);
        bytes.extend([2, 0, 0, 0, 0, 0xab]);
        bytes.resize(236, 0);
        bytes.extend([0x63, 0x82, 0x53, 0x63]);
        for (code, body) in options {
            bytes.extend([*code, body.len() as u8]);
            bytes.extend(*body);
        }
        bytes.extend(tail);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::builder::message;
    use super::*;

    const END: &[u8] = &[255];

    fn codes(message: &Dhcp4Message<'_>) -> Vec<u8> {
        message.options().map(|option| option.code).collect()
    }

    #[test]
    fn options_are_listed_in_wire_order_without_pads_up_to_the_end_option() {
        let bytes = message(&[(61, b"a"), (53, &[1]), (61, b"b"), (12, b"")], &[0, 0, 80, 0, 255, 99, 9]);
        let parsed = Dhcp4Message::parse(&bytes).unwrap();
        assert_eq!(codes(&parsed), [61, 53, 61, 12, 80]);
        assert_eq!(parsed.damage, None);
        assert_eq!(parsed.option(61), Some(&b"a"[..]));
        assert_eq!(parsed.message_type(), Some(1));
    }

    #[test]
    fn options_before_a_malformed_one_are_valid() {
        for (tail, damage) in [
            (&[12, 4, b'a'][..], Some(WireError::BadLength)),
            (&[12], Some(WireError::Truncated)),
            (&[0, 0], None),
            (&[], None),
        ] {
            let bytes = message(&[(53, &[3]), (61, b"x")], tail);
            let parsed = Dhcp4Message::parse(&bytes).unwrap();
            assert_eq!((codes(&parsed), parsed.damage), (vec![53, 61], damage));
        }
    }

    #[test]
    fn the_end_option_shows_that_all_options_were_captured() {
        for (tail, has_end) in [
            (&[255][..], true),
            (&[0, 0, 255, 12], true),
            (&[12, 1, 255, 255], true),
            (&[], false),
            (&[0, 0], false),
            (&[12, 1, 255], false),
            (&[12, 2, 255], false),
            (&[12], false),
        ] {
            let bytes = message(&[(53, &[3])], tail);
            assert_eq!(Dhcp4Message::parse(&bytes).unwrap().has_end(), has_end, "{tail:?}");
        }
    }

    #[test]
    fn options_in_file_and_sname_follow_the_others() {
        let with = |overload: u8, sname: &[u8], file: &[u8]| {
            let mut bytes = message(&[(53, &[3]), (52, &[overload])], END);
            bytes[44..44 + sname.len()].copy_from_slice(sname);
            bytes[108..108 + file.len()].copy_from_slice(file);
            bytes
        };
        for (overload, wanted) in
            [(1, &[53, 52, 12][..]), (2, &[53, 52, 61]), (3, &[53, 52, 12, 61]), (0, &[53, 52]), (4, &[53, 52])]
        {
            let bytes = with(overload, &[61, 1, 9, 255, 60, 1, 1], &[0, 12, 1, b'h', 255]);
            let parsed = Dhcp4Message::parse(&bytes).unwrap();
            assert_eq!((codes(&parsed), parsed.damage), (wanted.to_vec(), None), "{overload}");
        }
        // An option that does not fit its field is malformed, and ends the list.
        let bytes = with(3, &[61, 1, 9, 255], &[12, 127, 0]);
        let parsed = Dhcp4Message::parse(&bytes).unwrap();
        assert_eq!((codes(&parsed), parsed.damage), (vec![53, 52], Some(WireError::BadLength)));
        // Option 52 in the sname and file fields is ignored.
        let bytes = with(1, &[61, 1, 9], &[52, 1, 3, 255]);
        assert_eq!(codes(&Dhcp4Message::parse(&bytes).unwrap()), [53, 52, 52]);
    }

    #[test]
    fn messages_of_other_protocols_are_rejected() {
        let bytes = message(&[], END);
        assert_eq!(Dhcp4Message::parse(&bytes[..239]), Err(WireError::Truncated));
        let mut bootp = bytes.clone();
        bootp[239] = 0;
        assert_eq!(Dhcp4Message::parse(&bootp), Err(WireError::Magic));
        let mut long = bytes;
        long.resize(MAX_MESSAGE, 0);
        assert!(Dhcp4Message::parse(&long).is_ok());
        long.push(0);
        assert_eq!(Dhcp4Message::parse(&long), Err(WireError::TooLong));
    }

    #[test]
    fn the_hardware_address_has_the_length_of_its_field() {
        let mut bytes = message(&[], END);
        let printed = |bytes: &[u8]| Dhcp4Message::parse(bytes).unwrap().hardware_address().to_string();
        assert_eq!(printed(&bytes), "02:00:00:00:00:ab");
        bytes[2] = 0;
        assert_eq!(printed(&bytes), "");
        bytes[2] = 16;
        assert_eq!(Dhcp4Message::parse(&bytes).unwrap().hardware_address().as_bytes().len(), 16);
        bytes[2] = 17;
        assert_eq!(printed(&bytes), "");
    }

    #[test]
    fn names_and_classes() {
        let host_name = |options: &[(u8, &[u8])]| {
            let bytes = message(options, END);
            Dhcp4Message::parse(&bytes).unwrap().host_name().map(Cow::into_owned)
        };
        assert_eq!(host_name(&[(81, b"\x05\0\0\x04wire\x03org\0"), (12, b"plain\0")]).unwrap(), "plain");
        assert_eq!(host_name(&[(81, b"\x05\0\0\x04wire\x03org\0"), (12, b"")]).unwrap(), "wire.org");
        assert_eq!(host_name(&[(81, b"\x01\0\0ascii.org")]).unwrap(), "ascii.org");
        assert_eq!(host_name(&[(81, b"\x05\0\0")]), None);
        assert_eq!(host_name(&[(81, b"\x05\0\0\xc0\x0c")]), None);
        assert_eq!(host_name(&[(81, b"\x05\0")]), None);
        assert_eq!(host_name(&[(12, b"\0")]), None);

        let bytes = message(&[(60, b"MSFT 5.0\xff"), (81, b"\x01\xfe\xff")], END);
        let parsed = Dhcp4Message::parse(&bytes).unwrap();
        assert_eq!(parsed.vendor_class().unwrap(), "MSFT 5.0\u{fffd}");
        assert_eq!(parsed.client_fqdn(), Some(ClientFqdn { flags: 1, domain_name: &[] }));
    }
}
