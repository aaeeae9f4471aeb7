//! The syntax of each method's values: one function a method, `None` if a value does not have it.

use core::str::Split;

/// Characters of a truncated hash.
const HASH: usize = 12;

/// Characters of a JA4H's first section.
const JA4H_FIRST: usize = 12;

pub(crate) fn ja4(value: &str) -> Option<()> {
    sections(value, |next| {
        let [proto, v1, v2, sni, c1, c2, e1, e2, a1, a2] = characters(next()?)?;
        require(is_carrier(proto) && is_alphanumeric(&[v1, v2, a1, a2]))?;
        require(matches!(sni, b'd' | b'i') && is_decimal(&[c1, c2, e1, e2]))?;
        hash(next()?)?;
        hash(next()?)
    })
}

pub(crate) fn ja4s(value: &str) -> Option<()> {
    sections(value, |next| {
        let [proto, v1, v2, e1, e2, a1, a2] = characters(next()?)?;
        require(is_carrier(proto) && is_alphanumeric(&[v1, v2, a1, a2]) && is_decimal(&[e1, e2]))?;
        hex(next()?, 4)?;
        hash(next()?)
    })
}

pub(crate) fn ja4x(value: &str) -> Option<()> {
    sections(value, |next| (0..3).try_for_each(|_| hash(next()?)))
}

pub(crate) fn ja4t(value: &str) -> Option<()> {
    sections(value, tcp)
}

pub(crate) fn ja4ts(value: &str) -> Option<()> {
    sections(value, |next| {
        tcp(next)?;
        let Some(delays) = next() else { return Some(()) };
        match delays.split_once("-R") {
            None => list(delays),
            Some((delays, reset)) => list(delays).and_then(|()| number(reset)),
        }
    })
}

/// JA4L and JA4LS.
pub(crate) fn ja4l(value: &str) -> Option<()> {
    sections(value, |next| (0..2).try_for_each(|_| number(next()?)))
}

pub(crate) fn ja4ssh(value: &str) -> Option<()> {
    sections(value, |next| {
        (0..3).try_for_each(|_| {
            let (client, server) = next()?.strip_prefix('c')?.split_once('s')?;
            number(client)?;
            number(server)
        })
    })
}

/// JA4D and JA4D6.
pub(crate) fn ja4d(value: &str) -> Option<()> {
    sections(value, |next| {
        let [t1, t2, t3, t4, t5, s1, s2, s3, s4, i, d] = characters(next()?)?;
        require(is_alphanumeric(&[t1, t2, t3, t4, t5]) && is_decimal(&[s1, s2, s3, s4]))?;
        require(matches!(i, b'i' | b'n') && matches!(d, b'd' | b'n'))?;
        list(next()?)?;
        list(next()?)
    })
}

pub(crate) fn ja4h(value: &str) -> Option<()> {
    sections(after_ja4h_first(value)?, |next| (0..3).try_for_each(|_| hash(next()?)))
}

/// A JA4H of two or three sections, of which the last may be shortened.
pub(crate) fn partial_ja4h(value: &str) -> Option<()> {
    let rest = after_ja4h_first(value)?;
    match rest.split_once('_') {
        None => shortened_hash(rest),
        Some((names, cookies)) => hash(names).and_then(|()| shortened_hash(cookies)),
    }
}

/// The sections after the first one, which has a fixed length: its language may contain a `_`.
fn after_ja4h_first(value: &str) -> Option<&str> {
    let (first, rest) = value.split_at_checked(JA4H_FIRST)?;
    let [m1, m2, v1, v2, cookie, referer, n1, n2, _, _, _, _] = characters(first)?;
    require(is_alphanumeric(&[m1, m2]) && is_decimal(&[v1, v2, n1, n2]))?;
    require(matches!(cookie, b'c' | b'n') && matches!(referer, b'r' | b'n'))?;
    rest.strip_prefix('_')
}

/// The first four sections of JA4T and JA4TS.
fn tcp<'a>(next: &mut dyn FnMut() -> Option<&'a str>) -> Option<()> {
    number(next()?)?;
    list(next()?)?;
    number(next()?)?;
    number(next()?)
}

/// Applies `check` to the sections of `value`; it must consume all of them.
fn sections<'a>(value: &'a str, check: impl FnOnce(&mut dyn FnMut() -> Option<&'a str>) -> Option<()>) -> Option<()> {
    let mut sections: Split<'a, char> = value.split('_');
    check(&mut || sections.next())?;
    require(sections.next().is_none())
}

fn require(condition: bool) -> Option<()> {
    condition.then_some(())
}

fn characters<const N: usize>(text: &str) -> Option<[u8; N]> {
    text.as_bytes().try_into().ok()
}

/// The letter of a [`Carrier`](crate::wire::tls::Carrier).
const fn is_carrier(byte: u8) -> bool {
    matches!(byte, b't' | b'q' | b'd')
}

fn is_alphanumeric(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_alphanumeric)
}

fn is_decimal(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_digit)
}

fn hash(text: &str) -> Option<()> {
    hex(text, HASH)
}

fn shortened_hash(text: &str) -> Option<()> {
    require((1..=HASH).contains(&text.len())).and_then(|()| hex(text, text.len()))
}

fn hex(text: &str, length: usize) -> Option<()> {
    require(text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
}

fn number(text: &str) -> Option<()> {
    require(!text.is_empty() && is_decimal(text.as_bytes()))
}

fn list(text: &str) -> Option<()> {
    text.split('-').try_for_each(number)
}
