//! DHCPv6 messages (RFC 8415, sections 8, 9 and 21).

use std::borrow::Cow;

use crate::wire::{Cursor, WireError, dns_name};

/// Longest message that is parsed, bytes: the size of a jumbo frame. It bounds the length of a fingerprint.
pub const MAX_MESSAGE: usize = 9216;

/// Most relay messages that enclose a message: HOP_COUNT_LIMIT of RFC 3315, section 5.5. RFC 8415 lowers it to 8, but
/// older relays are in use.
pub const MAX_RELAYS: u8 = 32;

/// Levels of options in a message: its own, those of an identity association, and those of an address
/// or prefix in it.
const MAX_LEVELS: usize = 3;

/// Bytes of a relay message after its type: hop-count, link-address, peer-address (RFC 8415, section 9).
const RELAY_HEADER: usize = 1 + 16 + 16;

/// Message types with another format (RFC 8415, section 7.3).
const RELAY_FORW: u8 = 12;
const RELAY_REPL: u8 = 13;

/// The option codes that are interpreted (RFC 8415, section 21; RFC 4704).
pub mod option_code {
    /// Client identifier: the client's DUID
    pub const CLIENT_ID: u16 = 1;
    /// Identity association for non-temporary addresses
    pub const IA_NA: u16 = 3;
    /// Identity association for temporary addresses
    pub const IA_TA: u16 = 4;
    /// Address of an identity association
    pub const IAADDR: u16 = 5;
    /// Option request
    pub const OPTION_REQUEST: u16 = 6;
    /// Relay message
    pub const RELAY_MESSAGE: u16 = 9;
    /// Vendor class
    pub const VENDOR_CLASS: u16 = 16;
    /// Identity association for prefix delegation
    pub const IA_PD: u16 = 25;
    /// Prefix of an identity association
    pub const IAPREFIX: u16 = 26;
    /// Client FQDN
    pub const CLIENT_FQDN: u16 = 39;
}

/// One option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dhcp6Option<'a> {
    /// The code.
    pub code: u16,
    /// The body, including the options nested in an identity association, address or prefix.
    pub body: &'a [u8],
}

/// The message of a client or server, without the relay messages that enclose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dhcp6Message<'a> {
    /// The message type; never a relay message.
    pub message_type: u8,
    /// The error of the first option that is malformed or nested too deep, which ends the list; earlier options are
    /// valid.
    pub damage: Option<WireError>,
    options: &'a [u8],
}

impl<'a> Dhcp6Message<'a> {
    /// Parses the payload of a UDP datagram.
    ///
    /// # Errors
    /// [`WireError::TooLong`] above [`MAX_MESSAGE`], [`WireError::Truncated`] if the fixed part is incomplete,
    /// [`WireError::TooMany`] above [`MAX_RELAYS`]; for a relay message without a relayed message, the error of its
    /// options, or [`WireError::Value`]. A malformed option of the message itself sets [`damage`](Self::damage) and is
    /// not an error.
    pub fn parse(payload: &'a [u8]) -> Result<Self, WireError> {
        if payload.len() > MAX_MESSAGE {
            return Err(WireError::TooLong);
        }
        let mut cursor = Cursor::new(payload);
        let mut message_type = cursor.u8()?;
        let mut relays = 0;
        while matches!(message_type, RELAY_FORW | RELAY_REPL) {
            if relays == MAX_RELAYS {
                return Err(WireError::TooMany);
            }
            relays += 1;
            cursor.take(RELAY_HEADER)?;
            cursor = Cursor::new(relayed(cursor)?);
            message_type = cursor.u8()?;
        }
        // transaction-id
        cursor.u24()?;
        let options = cursor.rest();
        let damage = Dhcp6Options::new(options).find_map(Result::err);
        Ok(Self { message_type, damage, options })
    }

    /// The options in wire order: an identity association, address or prefix is followed by its nested options. They
    /// end with the message, or at the first malformed option.
    pub fn options(&self) -> impl Iterator<Item = Dhcp6Option<'a>> + use<'a> {
        Dhcp6Options::new(self.options).map_while(Result::ok)
    }

    /// The body of the first option of this code, nested or not.
    #[must_use]
    pub fn option(&self, code: u16) -> Option<&'a [u8]> {
        self.options().find(|option| option.code == code).map(|option| option.body)
    }

    /// The name in option 39 (RFC 4704, section 4), unless it is empty or malformed.
    #[must_use]
    pub fn host_name(&self) -> Option<String> {
        let (_flags, name) = self.option(option_code::CLIENT_FQDN)?.split_first()?;
        dns_name::presentation(name).ok().filter(|name| !name.is_empty())
    }

    /// The first data of option 16 (RFC 8415, section 21.16); not empty. Bytes that are not UTF-8 are
    /// replaced.
    #[must_use]
    pub fn vendor_class(&self) -> Option<Cow<'a, str>> {
        let mut cursor = Cursor::new(self.option(option_code::VENDOR_CLASS)?);
        let _enterprise_number = cursor.u32().ok()?;
        let data = cursor.region_u16().ok()?.rest();
        if data.is_empty() { None } else { Some(String::from_utf8_lossy(data)) }
    }
}

/// The relayed message in the options of a relay message.
fn relayed(mut options: Cursor<'_>) -> Result<&[u8], WireError> {
    while !options.is_empty() {
        let option = read(&mut options)?;
        if option.code == option_code::RELAY_MESSAGE {
            return Ok(option.body);
        }
    }
    Err(WireError::Value)
}

/// Reads one option (RFC 8415, section 21.1).
fn read<'a>(cursor: &mut Cursor<'a>) -> Result<Dhcp6Option<'a>, WireError> {
    let code = cursor.u16()?;
    Ok(Dhcp6Option { code, body: cursor.region_u16()?.rest() })
}

/// Bytes before the options that are nested in an option of this code; `None` if it has no nested options.
const fn nested_at(code: u16) -> Option<usize> {
    match code {
        // IAID, T1, T2
        option_code::IA_NA | option_code::IA_PD => Some(12),
        // IAID
        option_code::IA_TA => Some(4),
        // Address, preferred and valid lifetime
        option_code::IAADDR => Some(24),
        // Preferred and valid lifetime, prefix length, prefix
        option_code::IAPREFIX => Some(25),
        _ => None,
    }
}

/// Options in wire order, up to the first malformed one, which is returned as an error.
struct Dhcp6Options<'a> {
    /// The unread options of each level; empty above `level`.
    rest: [Cursor<'a>; MAX_LEVELS],
    /// The current level, `< MAX_LEVELS`.
    level: usize,
    /// The error of the options nested in the option that was returned last.
    damage: Option<WireError>,
}

impl<'a> Dhcp6Options<'a> {
    fn new(region: &'a [u8]) -> Self {
        let mut rest = [Cursor::default(); MAX_LEVELS];
        rest[0] = Cursor::new(region);
        Self { rest, level: 0, damage: None }
    }

    /// Opens the options nested in `option`, if there are any.
    fn descend(&mut self, option: Dhcp6Option<'a>) -> Result<(), WireError> {
        let Some(fixed) = nested_at(option.code) else {
            return Ok(());
        };
        let mut nested = Cursor::new(option.body);
        nested.take(fixed)?;
        if !nested.is_empty() {
            *self.rest.get_mut(self.level + 1).ok_or(WireError::TooMany)? = nested;
            self.level += 1;
        }
        Ok(())
    }

    fn stop(&mut self, damage: WireError) -> Result<Dhcp6Option<'a>, WireError> {
        self.rest = [Cursor::default(); MAX_LEVELS];
        Err(damage)
    }
}

impl<'a> Iterator for Dhcp6Options<'a> {
    type Item = Result<Dhcp6Option<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(damage) = self.damage.take() {
            return Some(self.stop(damage));
        }
        loop {
            let rest = self.rest.get_mut(self.level)?;
            if !rest.is_empty() {
                return Some(match read(rest) {
                    Ok(option) => {
                        self.damage = self.descend(option).err();
                        Ok(option)
                    }
                    Err(damage) => self.stop(damage),
                });
            }
            self.level = self.level.checked_sub(1)?;
        }
    }
}

#[cfg(test)]
pub(crate) mod builder {
    //! Messages for tests.

    /// Concatenated options.
    pub(crate) fn options(list: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (code, body) in list {
            bytes.extend(code.to_be_bytes());
            bytes.extend((body.len() as u16).to_be_bytes());
            bytes.extend(*body);
        }
        bytes
    }

    /// A message with these options.
    pub(crate) fn message(message_type: u8, list: &[(u16, &[u8])]) -> Vec<u8> {
        [&[message_type, 0xab, 0xcd, 0xef][..], &options(list)].concat()
    }

    /// A relay message with these options.
    pub(crate) fn relay(message_type: u8, list: &[(u16, &[u8])]) -> Vec<u8> {
        [&[message_type][..], &[0; 33], &options(list)].concat()
    }

    /// The body of an option with nested options after `fixed` bytes.
    pub(crate) fn nest(fixed: usize, list: &[(u16, &[u8])]) -> Vec<u8> {
        [&vec![0; fixed][..], &options(list)].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::builder::{message, nest, relay};
    use super::*;

    fn codes(bytes: &[u8]) -> (Vec<u16>, Option<WireError>) {
        let message = Dhcp6Message::parse(bytes).unwrap();
        (message.options().map(|option| option.code).collect(), message.damage)
    }

    #[test]
    fn nested_options_follow_their_parent() {
        let address = nest(24, &[(13, b"\0\0ok")]);
        let na = nest(12, &[(5, &address), (5, &nest(24, &[])), (13, b"\0\0")]);
        let ta = nest(4, &[(5, &nest(24, &[]))]);
        let pd = nest(12, &[(26, &nest(25, &[(13, b"\0\0")]))]);
        let bytes = message(7, &[(1, b"duid"), (3, &na), (25, &pd), (4, &ta), (3, &nest(12, &[])), (2, b"duid")]);
        assert_eq!(codes(&bytes), (vec![1, 3, 5, 13, 5, 13, 25, 26, 13, 4, 5, 3, 2], None));
    }

    #[test]
    fn options_before_a_malformed_one_are_valid() {
        let cut = &message(1, &[(1, b"duid"), (8, b"\0\0")]);
        assert_eq!(codes(&cut[..cut.len() - 1]), (vec![1], Some(WireError::BadLength)));
        assert_eq!(codes(&[&cut[..], &[0]].concat()), (vec![1, 8], Some(WireError::Truncated)));
        let short = message(1, &[(25, &[0; 11]), (2, b"")]);
        assert_eq!(codes(&short), (vec![25], Some(WireError::Truncated)));
        let within = [&nest(12, &[(5, &nest(24, &[]))])[..], &[0, 13, 0, 9]].concat();
        assert_eq!(codes(&message(1, &[(3, &within), (2, b"")])), (vec![3, 5], Some(WireError::BadLength)));
    }

    #[test]
    fn nesting_is_bounded() {
        let fourth = nest(24, &[(13, b"\0\0")]);
        let third = nest(24, &[(5, &fourth)]);
        let second = nest(24, &[(5, &third)]);
        let bytes = message(1, &[(5, &second), (2, b"")]);
        assert_eq!(codes(&bytes), (vec![5, 5, 5], Some(WireError::TooMany)));
    }

    #[test]
    fn the_innermost_message_is_parsed() {
        let mut bytes = message(1, &[(1, b"duid")]);
        for relays in 1..=MAX_RELAYS {
            bytes = relay(if relays % 2 == 0 { 13 } else { 12 }, &[(18, b"if"), (9, &bytes), (37, b"id")]);
            let parsed = Dhcp6Message::parse(&bytes).unwrap();
            assert_eq!((parsed.message_type, codes(&bytes)), (1, (vec![1], None)));
        }
        assert_eq!(Dhcp6Message::parse(&relay(12, &[(9, &bytes)])), Err(WireError::TooMany));
    }

    #[test]
    fn malformed_messages_are_rejected() {
        assert_eq!(Dhcp6Message::parse(&[]), Err(WireError::Truncated));
        assert_eq!(Dhcp6Message::parse(&[1, 0, 0]), Err(WireError::Truncated));
        assert_eq!(Dhcp6Message::parse(&[12; 33]), Err(WireError::Truncated));
        assert_eq!(Dhcp6Message::parse(&relay(12, &[(18, b"if")])), Err(WireError::Value));
        assert_eq!(Dhcp6Message::parse(&relay(12, &[(9, b"")])), Err(WireError::Truncated));
        let bytes = relay(12, &[(9, b"\x01\0\0\0")]);
        assert_eq!(Dhcp6Message::parse(&bytes[..bytes.len() - 1]), Err(WireError::BadLength));
        assert_eq!(Dhcp6Message::parse(&vec![0; MAX_MESSAGE + 1]), Err(WireError::TooLong));
    }

    #[test]
    fn names_and_classes() {
        let bytes = message(1, &[(39, b"\x01\x04host\x03org\0"), (16, b"\0\0\x01\x37\0\x08MSFT 5.0\0\x01x")]);
        let parsed = Dhcp6Message::parse(&bytes).unwrap();
        assert_eq!(parsed.host_name().as_deref(), Some("host.org"));
        assert_eq!(parsed.vendor_class().as_deref(), Some("MSFT 5.0"));
        for (fqdn, class) in
            [(&b"\0"[..], &b"\0\0\x01\x37"[..]), (b"\0\0", b"\0\0\x01\x37\0\0"), (b"", b"\0\0\0\0\0\x02x")]
        {
            let bytes = message(1, &[(39, fqdn), (16, class)]);
            let parsed = Dhcp6Message::parse(&bytes).unwrap();
            assert_eq!((parsed.host_name(), parsed.vendor_class()), (None, None));
        }
    }
}
