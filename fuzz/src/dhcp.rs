//! DHCP messages and their fingerprints.

use ja4::wire::{WireError, dhcp4, dhcp6};
use ja4::{Hashers, Input};

/// A DHCPv4 message: options lie within it, one behind the other, a cut message has the first of them, and
/// the fingerprint has its shape and no more or fewer codes than there are.
pub fn dhcp4(data: &[u8]) {
    let Ok(message) = dhcp4::Dhcp4Message::parse(data) else {
        return;
    };
    let used: usize = message.options().map(|option| 2 + option.body.len()).sum();
    // The file and sname fields, of 128 and 64 bytes, may hold options too.
    assert!(240 + used <= data.len() + 192 && data.len() <= dhcp4::MAX_MESSAGE);
    assert!(message.hardware_address().as_bytes().len() <= 16);
    assert!(message.host_name().is_none_or(|name| !name.is_empty()));
    assert!(message.vendor_class().is_none_or(|class| !class.is_empty()));
    assert!(message.options().all(|option| !matches!(option.code, 0 | 255)));

    // Behind a shorter options field come those of the other fields.
    if message.option(52).is_none()
        && let Ok(shorter) = dhcp4::Dhcp4Message::parse(&data[..240 + (data.len() - 240) / 2])
    {
        assert!(message.options().take(shorter.options().count()).eq(shorter.options()));
    }
    if let Some(value) = Hashers::default().compute(Input::Dhcp4(&message)) {
        let listed = message.options().filter(|option| !matches!(option.code, 53 | 50 | 81)).count();
        let requested = message.options().filter(|option| option.code == 55).map(|option| option.body.len()).sum();
        shape(value.as_str(), [listed, requested]);
    }
}

/// A DHCPv6 message, likewise; and it is the same one when a relay wraps it.
pub fn dhcp6(data: &[u8]) {
    let Ok(message) = dhcp6::Dhcp6Message::parse(data) else {
        return;
    };
    assert!(!matches!(message.message_type, 12 | 13));
    assert!(data.len() <= dhcp6::MAX_MESSAGE);
    // Four bytes an option, nested or not.
    assert!(4 + 4 * message.options().count() <= data.len());
    assert!(message.host_name().is_none_or(|name| name.bytes().all(|byte| byte.is_ascii_graphic())));
    assert!(message.vendor_class().is_none_or(|class| !class.is_empty()));

    let length = u16::try_from(data.len()).unwrap();
    let relayed = [&[12; 34][..], &[0, 9], &length.to_be_bytes(), data].concat();
    match dhcp6::Dhcp6Message::parse(&relayed) {
        Ok(same) => {
            assert_eq!((same.message_type, same.damage), (message.message_type, message.damage));
            assert!(same.options().eq(message.options()));
        }
        // Each relay message takes 38 bytes at least.
        Err(WireError::TooMany) => assert!(38 * usize::from(dhcp6::MAX_RELAYS) <= data.len()),
        Err(error) => assert!(error == WireError::TooLong && relayed.len() > dhcp6::MAX_MESSAGE, "{error}"),
    }
    if let Some(value) = Hashers::default().compute(Input::Dhcp6(&message)) {
        let listed = message.options().count();
        let requested = message.options().filter(|option| option.code == 6).map(|option| option.body.len() / 2).sum();
        shape(value.as_str(), [listed, requested]);
    }
}

/// A fingerprint's first section is 11 characters long; its lists have so many codes.
fn shape(value: &str, counts: [usize; 2]) {
    let sections: Vec<&str> = value.split('_').collect();
    assert_eq!(sections.len(), 3, "{value}");
    assert!(sections[0].len() == 11 && sections[0].bytes().all(|byte| byte.is_ascii_alphanumeric()), "{value}");
    for (list, count) in sections[1..].iter().zip(counts) {
        assert!(if count == 0 { *list == "00" } else { list.split('-').count() == count }, "{value}");
        assert!(list.split('-').all(|code| code == "00" || code.parse::<u16>().unwrap().to_string() == code));
    }
}
