//! Who may use the API, which shows the traffic of other users.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use axum::extract::{Request, State as Of};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use super::response;

/// Fewest characters of a token: 16 random ones cannot be guessed.
const MIN_TOKEN: usize = 16;

/// What a client needs for the API.
#[derive(Clone, Debug, Default)]
pub(super) enum ApiAccess {
    /// The API is off.
    #[default]
    Off,
    /// A bearer token (RFC 6750).
    Token(Token),
    /// Nothing: the permissions of a Unix socket decide.
    Open,
}

/// A bearer token.
#[derive(Clone)]
pub(crate) struct Token(Arc<str>);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

impl Token {
    /// Reads a token from a file. White space at its ends is not part of it.
    ///
    /// # Errors
    /// If the file cannot be read, or has no token that a header can carry.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let text = std::fs::read_to_string(path)?;
        let token = text.trim();
        let wrong = |why: &str| io::Error::new(ErrorKind::InvalidData, why);
        if token.len() < MIN_TOKEN {
            return Err(wrong("its token has less than 16 characters; write one with `openssl rand -hex 32`"));
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong("its token has a character that a header cannot carry; use letters and digits"));
        }
        Ok(Self(token.into()))
    }

    /// Whether the request carries the token. The time does not depend on where a wrong token differs.
    fn is_in(&self, headers: &HeaderMap) -> bool {
        let header = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
        let Some((scheme, token)) = header.split_at_checked("Bearer ".len()) else { return false };
        let own = self.0.as_bytes();
        let differences = own.iter().zip(token).fold(0, |all, (own, other)| all | (own ^ other));
        scheme.eq_ignore_ascii_case(b"Bearer ") && token.len() == own.len() && std::hint::black_box(differences) == 0
    }
}

/// Refuses requests for the API without access.
pub(super) async fn check(Of(access): Of<ApiAccess>, request: Request, next: Next) -> Response {
    match access {
        ApiAccess::Open => next.run(request).await,
        ApiAccess::Token(token) if token.is_in(request.headers()) => next.run(request).await,
        ApiAccess::Token(_) => {
            let text = "the API needs the header 'Authorization: Bearer TOKEN' with the token of http.token_file";
            let mut response = response::error(StatusCode::UNAUTHORIZED, text);
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            response
        }
        ApiAccess::Off => {
            let text = "the API is off over TCP; set http.token_file, or http.socket for a Unix socket";
            response::error(StatusCode::FORBIDDEN, text)
        }
    }
}
