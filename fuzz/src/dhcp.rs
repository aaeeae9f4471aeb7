//! DHCP messages and their fingerprints.

use ja4::wire::{WireError, dhcp4, dhcp6};
use ja4::{Hashers, Input};

/// Parses the input as a DHCPv4 message.
///
/// Checks that the options fit the message, that a message with half the options field has the first of the same
/// options, and that the JA4D lists as many codes as there are options.
pub fn dhcp4(data: &[u8]) {
    let Ok(message) = dhcp4::Dhcp4Message::parse(data) else {
        return;
    };
    let options_len: usize = message.options().map(|option| 2 + option.body.len()).sum();
    // The file and sname fields, of 128 and 64 bytes, may hold options too.
    assert!(240 + options_len <= data.len() + 192 && data.len() <= dhcp4::MAX_MESSAGE);
    assert!(message.hardware_address().as_bytes().len() <= 16);
    assert!(message.host_name().is_none_or(|name| !name.is_empty()));
    assert!(message.vendor_class().is_none_or(|class| !class.is_empty()));
    assert!(message.options().all(|option| !matches!(option.code, 0 | 255)));

    // With an Option Overload option (52), options of other fields follow those of the shortened options field.
    if message.option(52).is_none()
        && let Ok(shorter) = dhcp4::Dhcp4Message::parse(&data[..240 + (data.len() - 240) / 2])
    {
        assert!(message.options().take(shorter.options().count()).eq(shorter.options()));
    }
    if let Some(value) = Hashers::default().compute(Input::Dhcp4(&message)) {
        let listed = message.options().filter(|option| !matches!(option.code, 53 | 50 | 81)).count();
        let requested = message.options().filter(|option| option.code == 55).map(|option| option.body.len()).sum();
        check_format(value.as_str(), [listed, requested]);
    }
}

/// Parses the input as a DHCPv6 message.
///
/// Checks that the options fit the message, that a relay message around it yields the same message, and that the JA4D6
/// lists as many codes as there are options.
pub fn dhcp6(data: &[u8]) {
    let Ok(message) = dhcp6::Dhcp6Message::parse(data) else {
        return;
    };
    assert!(!matches!(message.message_type, 12 | 13));
    assert!(data.len() <= dhcp6::MAX_MESSAGE);
    // Each option has a header of four bytes, nested or not.
    assert!(4 + 4 * message.options().count() <= data.len());
    assert!(message.host_name().is_none_or(|name| name.bytes().all(|byte| byte.is_ascii_graphic())));
    assert!(message.vendor_class().is_none_or(|class| !class.is_empty()));

    let length = u16::try_from(data.len()).unwrap();
    let relayed = [&[12; 34][..], &[0, 9], &length.to_be_bytes(), data].concat();
    match dhcp6::Dhcp6Message::parse(&relayed) {
        Ok(inner) => {
            assert_eq!((inner.message_type, inner.damage), (message.message_type, message.damage));
            assert!(inner.options().eq(message.options()));
        }
        // Each relay message has at least 38 bytes.
        Err(WireError::TooMany) => assert!(38 * usize::from(dhcp6::MAX_RELAYS) <= data.len()),
        Err(error) => assert!(error == WireError::TooLong && relayed.len() > dhcp6::MAX_MESSAGE, "{error}"),
    }
    if let Some(value) = Hashers::default().compute(Input::Dhcp6(&message)) {
        let listed = message.options().count();
        let requested = message.options().filter(|option| option.code == 6).map(|option| option.body.len() / 2).sum();
        check_format(value.as_str(), [listed, requested]);
    }
}

/// Checks that a fingerprint has a first section of 11 characters and two lists with these numbers of codes.
fn check_format(value: &str, counts: [usize; 2]) {
    let sections: Vec<&str> = value.split('_').collect();
    assert_eq!(sections.len(), 3, "{value}");
    assert!(sections[0].len() == 11 && sections[0].bytes().all(|byte| byte.is_ascii_alphanumeric()), "{value}");
    for (list, count) in sections[1..].iter().zip(counts) {
        assert!(if count == 0 { *list == "00" } else { list.split('-').count() == count }, "{value}");
        assert!(list.split('-').all(|code| code == "00" || code.parse::<u16>().unwrap().to_string() == code));
    }
}
