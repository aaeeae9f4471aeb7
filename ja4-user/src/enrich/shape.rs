//! What a value of each method looks like (specification, sections 3 to 12): it tells a value of one
//! method from a value of another, and a value from a slip of the pen.

use crate::model::Method;

/// Longest value that tables hold, bytes. A JA4D could be longer, with lists of hundreds of numbers; what a client
/// sends is a fifth of this.
pub const MAX_VALUE: usize = 512;

/// Characters of a truncated hash.
const HASH: usize = 12;

/// Characters of a JA4H's first section.
const JA4H_FIRST: usize = 12;

/// The method of this name.
#[must_use]
pub fn method(name: &str) -> Option<Method> {
    Method::ALL.into_iter().find(|method| method.name() == name)
}

/// The methods whose values look like this one. JA4T and JA4TS look alike, so do JA4L and JA4LS, JA4D and JA4D6.
pub fn methods(value: &str) -> impl Iterator<Item = Method> + '_ {
    Method::ALL.into_iter().filter(|method| fits(*method, value) || is_partial(*method, value))
}

/// Whether `value` looks like a value of `method`.
#[must_use]
pub fn fits(method: Method, value: &str) -> bool {
    value.len() <= MAX_VALUE && parse(method, value).is_some()
}

/// Whether `value` is a JA4H of two or three sections: what does not say which cookies there are. The last section
/// may be cut.
#[must_use]
pub fn is_partial(method: Method, value: &str) -> bool {
    method == Method::Ja4h && partial_ja4h(value).is_some()
}

fn parse(method: Method, value: &str) -> Option<()> {
    if method == Method::Ja4h {
        return ja4h(value);
    }
    let mut sections = value.split('_');
    let mut next = || sections.next();
    match method {
        Method::Ja4 => {
            let [proto, v1, v2, sni, c1, c2, e1, e2, a1, a2] = characters(next()?)?;
            demand(matches!(proto, b't' | b'q' | b'd') && alphanumeric(&[v1, v2, a1, a2]))?;
            demand(matches!(sni, b'd' | b'i') && digits(&[c1, c2, e1, e2]))?;
            hash(next()?)?;
            hash(next()?)?;
        }
        Method::Ja4s => {
            let [proto, v1, v2, e1, e2, a1, a2] = characters(next()?)?;
            demand(matches!(proto, b't' | b'q' | b'd') && alphanumeric(&[v1, v2, a1, a2]) && digits(&[e1, e2]))?;
            hex(next()?, 4)?;
            hash(next()?)?;
        }
        Method::Ja4x => {
            for _ in 0..3 {
                hash(next()?)?;
            }
        }
        Method::Ja4t | Method::Ja4ts => {
            number(next()?)?;
            list(next()?)?;
            number(next()?)?;
            number(next()?)?;
            if method == Method::Ja4ts
                && let Some(delays) = next()
            {
                let reset = delays.split_once("-R");
                list(reset.map_or(delays, |(delays, _)| delays))?;
                reset.map_or(Some(()), |(_, reset)| number(reset))?;
            }
        }
        Method::Ja4l | Method::Ja4ls => {
            number(next()?)?;
            number(next()?)?;
        }
        Method::Ja4ssh => {
            for _ in 0..3 {
                let (client, server) = next()?.strip_prefix('c')?.split_once('s')?;
                number(client)?;
                number(server)?;
            }
        }
        Method::Ja4d | Method::Ja4d6 => {
            let [t1, t2, t3, t4, t5, s1, s2, s3, s4, i, d] = characters(next()?)?;
            demand(alphanumeric(&[t1, t2, t3, t4, t5]) && digits(&[s1, s2, s3, s4]))?;
            demand(matches!(i, b'i' | b'n') && matches!(d, b'd' | b'n'))?;
            list(next()?)?;
            list(next()?)?;
        }
        Method::Ja4h => {}
    }
    demand(sections.next().is_none())
}

fn ja4h(value: &str) -> Option<()> {
    let rest = ja4h_first(value)?;
    let mut sections = rest.split('_');
    for _ in 0..3 {
        hash(sections.next()?)?;
    }
    demand(sections.next().is_none())
}

fn partial_ja4h(value: &str) -> Option<()> {
    let rest = ja4h_first(value)?;
    let (names, cookies) = rest.split_once('_').map_or((rest, None), |(names, cookies)| (names, Some(cookies)));
    match cookies {
        None => cut_hash(names),
        Some(cookies) => hash(names).and_then(|()| cut_hash(cookies)),
    }
}

/// What follows the first section, which is not told by its end: a language may hold a `_`.
fn ja4h_first(value: &str) -> Option<&str> {
    let (first, rest) = value.split_at_checked(JA4H_FIRST)?;
    let [m1, m2, v1, v2, cookie, referer, n1, n2, _, _, _, _] = characters(first)?;
    demand(alphanumeric(&[m1, m2]) && digits(&[v1, v2, n1, n2]))?;
    demand(matches!(cookie, b'c' | b'n') && matches!(referer, b'r' | b'n'))?;
    rest.strip_prefix('_')
}

fn demand(holds: bool) -> Option<()> {
    holds.then_some(())
}

fn characters<const N: usize>(text: &str) -> Option<[u8; N]> {
    text.as_bytes().try_into().ok()
}

fn alphanumeric(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_alphanumeric)
}

fn digits(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_digit)
}

fn hash(text: &str) -> Option<()> {
    hex(text, HASH)
}

fn cut_hash(text: &str) -> Option<()> {
    demand((1..=HASH).contains(&text.len())).and_then(|()| hex(text, text.len()))
}

fn hex(text: &str, length: usize) -> Option<()> {
    demand(text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
}

fn number(text: &str) -> Option<()> {
    demand(!text.is_empty() && digits(text.as_bytes()))
}

fn list(text: &str) -> Option<()> {
    text.split('-').try_for_each(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: [(&str, &[Method]); 18] = [
        ("t13d1516h2_8daaf6152771_e5627efa2ab1", &[Method::Ja4]),
        ("dd1i440200_49bcda3e7ebf_18d1e47e0978", &[Method::Ja4]),
        ("t1206h2_c02f_3603f09c43ba", &[Method::Ja4s]),
        ("dd10300_0035_cef8820c8f19", &[Method::Ja4s]),
        ("ge11cr04da00_8ddaef5d77af_280f366eaa04_c2fb0fe53442", &[Method::Ja4h]),
        ("ge11cr04en_u_8ddaef5d77af_280f366eaa04_c2fb0fe53442", &[Method::Ja4h]),
        ("ge11nn07*000_4ae0f4a72b53_000000000000_000000000000", &[Method::Ja4h]),
        ("po10nn060000_cdb958d032b0", &[Method::Ja4h]),
        ("ge11cn060000_4e59edc1297a_4da5efaf0cb", &[Method::Ja4h]),
        ("a373a9f83c6b_2bab15409345_7bf9a7bf7029", &[Method::Ja4x]),
        ("64240_2-1-3-1-1-4_1460_8", &[Method::Ja4t, Method::Ja4ts]),
        ("8192_00_00_00", &[Method::Ja4t, Method::Ja4ts]),
        ("65535_2-1-3-1-1-4_65495_8_1-2-4-8-R6", &[Method::Ja4ts]),
        ("62_128", &[Method::Ja4l, Method::Ja4ls]),
        ("c36s36_c76s124_c74s5", &[Method::Ja4ssh]),
        ("disco0000in_61-55_1-3-6-42", &[Method::Ja4d, Method::Ja4d6]),
        ("00000i", &[]),
        ("", &[]),
    ];

    #[test]
    fn values_are_told_apart_by_their_looks() {
        for (value, wanted) in VALUES {
            assert_eq!(methods(value).collect::<Vec<_>>(), wanted, "{value}");
        }
    }

    #[test]
    fn a_value_that_lost_a_character_is_none() {
        for (value, _) in &VALUES[..5] {
            let cut = &value[..value.len() - 1];
            assert!(Method::ALL.into_iter().all(|method| !fits(method, cut)), "{cut}");
        }
    }
}
