//! Primitives of a filter expression.
//!
//! ```text
//! primitive  = protocol | "vlan" [ number ] | qualifiers identifier | identifier
//! qualifiers = [ protocol ] [ direction ] [ "host" | "net" | "port" | "portrange" ]
//! direction  = "src" | "dst" | "src" "or" "dst"
//! protocol   = "tcp" | "udp" | "icmp" | "ip" | "ip6"
//! ```

use std::net::{IpAddr, Ipv4Addr};

use ja4_common::capture_filter::{FilterTerm, ends};
use ja4_common::headers::{PROTO_TCP, PROTO_UDP};

use super::cursor::TokenCursor;
use super::error::ExpressionError;
use super::token::FilterToken;

/// IP protocol number of ICMP (RFC 792).
const PROTO_ICMP: u8 = 1;

/// Largest VLAN identifier.
const MAX_VLAN: u16 = 0x0fff;

/// What an identifier is.
#[derive(Clone, Copy)]
enum IdentifierKind {
    Host,
    Net,
    Port,
    PortRange,
}

/// Qualifiers of an identifier.
#[derive(Clone, Copy)]
struct Qualifiers {
    /// Protocol and direction.
    term: FilterTerm,
    kind: IdentifierKind,
}

/// What is expected at the start of a primitive.
const PRIMITIVES: &str = "host, net, port, portrange, src, dst, tcp, udp, icmp, ip, ip6, vlan, not or '('";

/// Parser of the primitives of one expression.
pub(super) struct PrimitiveParser<'a> {
    pub(super) cursor: TokenCursor<'a>,
    /// The terms so far, each once.
    pub(super) terms: Vec<FilterTerm>,
    /// Qualifiers of the last primitive, for an identifier without any.
    last: Option<Qualifiers>,
}

impl<'a> PrimitiveParser<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { cursor: TokenCursor::new(text), terms: Vec::new(), last: None }
    }

    /// Parses a primitive. Returns the index of its term.
    pub(super) fn primitive(&mut self) -> Result<usize, ExpressionError> {
        let FilterToken::Word(word) = self.cursor.peek() else {
            return Err(self.cursor.unexpected(PRIMITIVES));
        };
        if self.cursor.skip(FilterToken::Word("vlan")) {
            return self.vlan();
        }
        let is_identifier = word.starts_with(|first: char| first.is_ascii_digit()) || word.contains(':');
        if is_identifier {
            return self.identifier_alone();
        }
        let protocol = self.protocol();
        let direction = self.direction()?;
        let kind = self.kind();
        let Some((kind, ends)) = complete(kind, direction) else {
            self.last = None;
            return match protocol {
                Some((_, term)) => Ok(self.term(term)),
                None => Err(self.cursor.unexpected(PRIMITIVES)),
            };
        };
        let mut term = FilterTerm { ends, ..FilterTerm::ANY };
        if let Some((name, protocol)) = protocol {
            let is_port = matches!(kind, IdentifierKind::Port | IdentifierKind::PortRange);
            let fits = if is_port { matches!(protocol.proto, PROTO_TCP | PROTO_UDP) } else { protocol.version != 0 };
            if !fits {
                let place = if is_port { "a port" } else { "an address" };
                return Err(self
                    .cursor
                    .error(format!("'{name}' does not qualify {place}; write '{name} and' before it")));
            }
            (term.proto, term.version) = (protocol.proto, protocol.version);
        }
        self.identifier(Qualifiers { term, kind })
    }

    /// An identifier with the qualifiers of the last primitive.
    fn identifier_alone(&mut self) -> Result<usize, ExpressionError> {
        match self.last {
            Some(last) => self.identifier(last),
            None => {
                let found = self.cursor.peek();
                Err(self
                    .cursor
                    .error(format!("expected {PRIMITIVES}, found {found}; write 'host', 'net' or 'port' before it")))
            }
        }
    }

    fn protocol(&mut self) -> Option<(&'static str, FilterTerm)> {
        let of_proto = |proto| FilterTerm { proto, ..FilterTerm::ANY };
        let of_version = |version| FilterTerm { version, ..FilterTerm::ANY };
        let protocols = [
            ("tcp", of_proto(PROTO_TCP)),
            ("udp", of_proto(PROTO_UDP)),
            ("icmp", of_proto(PROTO_ICMP)),
            ("ip", of_version(4)),
            ("ip6", of_version(6)),
        ];
        protocols.into_iter().find(|(name, _)| self.cursor.skip(FilterToken::Word(name)))
    }

    fn direction(&mut self) -> Result<Option<u8>, ExpressionError> {
        if self.cursor.skip(FilterToken::Word("dst")) {
            return Ok(Some(ends::SERVER));
        }
        if !self.cursor.skip(FilterToken::Word("src")) {
            return Ok(None);
        }
        let is_both = self.cursor.peek_after(1) == FilterToken::Word("dst");
        match self.cursor.peek() {
            FilterToken::Or if is_both => {
                self.cursor.advance();
                self.cursor.advance();
                Ok(Some(ends::EITHER))
            }
            FilterToken::And if is_both => Err(self
                .cursor
                .error("'src and dst' is not supported; write two primitives, such as 'src net N and dst net N'")),
            _ => Ok(Some(ends::CLIENT)),
        }
    }

    fn kind(&mut self) -> Option<IdentifierKind> {
        let kinds = [
            ("host", IdentifierKind::Host),
            ("net", IdentifierKind::Net),
            ("port", IdentifierKind::Port),
            ("portrange", IdentifierKind::PortRange),
        ];
        kinds.into_iter().find_map(|(name, kind)| self.cursor.skip(FilterToken::Word(name)).then_some(kind))
    }

    fn identifier(&mut self, qualifiers: Qualifiers) -> Result<usize, ExpressionError> {
        self.last = Some(qualifiers);
        let mut term = qualifiers.term;
        match qualifiers.kind {
            IdentifierKind::Host => {
                let address = self.host()?;
                self.set_network(&mut term, address, if address.is_ipv4() { 32 } else { 128 })?;
                self.cursor.advance();
            }
            IdentifierKind::Net => self.net(&mut term)?,
            IdentifierKind::Port => {
                let expected = "a port number after 'port'";
                (term.first_port, term.more_ports) = (self.port(expected)?, 0);
                self.cursor.advance();
            }
            IdentifierKind::PortRange => {
                (term.first_port, term.more_ports) = self.port_range()?;
                self.cursor.advance();
            }
        }
        Ok(self.term(term))
    }

    /// The word that is the identifier.
    fn word(&self, expected: &str) -> Result<&str, ExpressionError> {
        match self.cursor.peek() {
            FilterToken::Word(word) => Ok(word),
            _ => Err(self.cursor.unexpected(expected)),
        }
    }

    fn host(&self) -> Result<IpAddr, ExpressionError> {
        let expected = "an address after 'host'";
        let word = self.word(expected)?;
        word.parse().map_err(|_| {
            let fix = if word.contains('/') { "write 'net' before a network" } else { "names are not resolved" };
            self.cursor.error(format!("expected {expected}, found '{}'; {fix}", word.escape_debug()))
        })
    }

    /// A network: `10.0.0.0/8`, `2001:db8::/32`, `10.0.0.0 mask 255.0.0.0`, or the first numbers of an IPv4 address.
    fn net(&mut self, term: &mut FilterTerm) -> Result<(), ExpressionError> {
        let expected = "a network after 'net'";
        let word = self.word(expected)?;
        let invalid = || {
            let found = word.escape_debug();
            self.cursor.error(format!("expected {expected}, found '{found}'; write it as 10.0.0.0/8 or 2001:db8::/32"))
        };
        let (address, length) = match word.split_once('/') {
            Some((address, length)) => (address, Some(length.parse::<u32>().map_err(|_| invalid())?)),
            None => (word, None),
        };
        let (address, given) = partial_address(address).ok_or_else(invalid)?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let mut length = length.unwrap_or(given);
        if length > width {
            return Err(invalid());
        }
        if self.cursor.peek_after(1) == FilterToken::Word("mask") && !word.contains('/') && address.is_ipv4() {
            let FilterToken::Word(mask) = self.cursor.peek_after(2) else {
                self.cursor.advance_by(2);
                return Err(self.cursor.unexpected("a mask after 'mask'"));
            };
            let parsed = mask.parse::<Ipv4Addr>().map(Ipv4Addr::to_bits).ok();
            let Some(bits) = parsed.filter(|bits| bits.leading_ones() + bits.trailing_zeros() >= 32) else {
                self.cursor.advance_by(2);
                return Err(self.cursor.unexpected("a mask such as 255.255.0.0 after 'mask'"));
            };
            length = bits.leading_ones();
            self.set_network(term, address, length)?;
            self.cursor.advance_by(3);
            return Ok(());
        }
        self.set_network(term, address, length)?;
        self.cursor.advance();
        Ok(())
    }

    /// Sets the network of a term.
    fn set_network(&self, term: &mut FilterTerm, address: IpAddr, length: u32) -> Result<(), ExpressionError> {
        let (version, bits, unused) = match address {
            IpAddr::V4(address) => (4, u128::from(address.to_bits()), 96),
            IpAddr::V6(address) => (6, address.to_bits(), 0),
        };
        if term.version != 0 && term.version != version {
            let expected = if term.version == 4 { "an IPv4 address after 'ip'" } else { "an IPv6 address after 'ip6'" };
            return Err(self.cursor.unexpected(expected));
        }
        let mask = u128::MAX.checked_shl(128 - unused - length).unwrap_or(0) & u128::MAX >> unused;
        if bits & !mask != 0 {
            let message = format!("{address} has bits after the first {length}; write them as 0, or use 'host'");
            return Err(self.cursor.error(message));
        }
        term.version = version;
        term.network = halves(bits);
        term.mask = halves(mask);
        Ok(())
    }

    fn port(&self, expected: &str) -> Result<u16, ExpressionError> {
        self.word(expected)?.parse().map_err(|_| self.cursor.unexpected(expected))
    }

    fn port_range(&self) -> Result<(u16, u16), ExpressionError> {
        let expected = "a range of ports such as 8000-8099 after 'portrange'";
        let range = self.word(expected)?.split_once('-').and_then(|(first, last)| {
            let first: u16 = first.parse().ok()?;
            Some((first, last.parse::<u16>().ok()?.checked_sub(first)?))
        });
        range.ok_or_else(|| self.cursor.unexpected(expected))
    }

    /// Adds a term, unless the expression has it already. Returns its index.
    fn term(&mut self, term: FilterTerm) -> usize {
        let known = self.terms.iter().position(|known| *known == term);
        known.unwrap_or_else(|| {
            self.terms.push(term);
            self.terms.len() - 1
        })
    }

    fn vlan(&mut self) -> Result<usize, ExpressionError> {
        self.last = None;
        let mut term = FilterTerm { vlan: FilterTerm::ANY_TAG, ..FilterTerm::ANY };
        if let FilterToken::Word(word) = self.cursor.peek() {
            let number = word.parse().ok().filter(|number| *number <= MAX_VLAN);
            let expected = "a number from 0 to 4095, 'and', 'or' or the end after 'vlan'";
            term = FilterTerm::tag(number.ok_or_else(|| self.cursor.unexpected(expected))?);
            self.cursor.advance();
        }
        Ok(self.term(term))
    }
}

/// Kind and direction of an identifier, if the primitive has one. Without a kind it is an address, and without a direction
/// it belongs to either end.
fn complete(kind: Option<IdentifierKind>, direction: Option<u8>) -> Option<(IdentifierKind, u8)> {
    match (kind, direction) {
        (None, None) => None,
        (kind, direction) => Some((kind.unwrap_or(IdentifierKind::Host), direction.unwrap_or(ends::EITHER))),
    }
}

/// An address, or the first one to three numbers of an IPv4 address, with the number of bits that are given.
fn partial_address(text: &str) -> Option<(IpAddr, u32)> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some((address, if address.is_ipv4() { 32 } else { 128 }));
    }
    let mut bytes = [0; 4];
    let numbers: Vec<u8> = text.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
    bytes.get_mut(..numbers.len())?.copy_from_slice(&numbers);
    Some((IpAddr::from(bytes), 8 * numbers.len() as u32))
}

/// The halves of an address as in a flow key.
const fn halves(bits: u128) -> [u64; 2] {
    [(bits >> 64) as u64, bits as u64]
}
