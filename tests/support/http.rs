//! HTTP/1.1 requests and responses.

use std::fmt::Write;

use crate::random::SplitMix64;

/// Returns a request of a browser that already has cookies: 18 header fields, 7 cookies, about 1.2 KB.
pub fn browser_request(host: &str, path: &str, random: &mut SplitMix64) -> Vec<u8> {
    let mut out = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: keep-alive\r\nCache-Control: max-age=0\r\n\
         sec-ch-ua: \"Chromium\";v=\"130\", \"Google Chrome\";v=\"130\", \"Not?A_Brand\";v=\"99\"\r\n\
         sec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: \"Windows\"\r\nDNT: 1\r\nUpgrade-Insecure-Requests: 1\r\n\
         User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
         Chrome/130.0.0.0 Safari/537.36\r\n\
         Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
         Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\nSec-Fetch-Dest: document\r\n\
         Referer: http://{host}/index.html\r\nAccept-Encoding: gzip, deflate\r\n\
         Accept-Language: de-AT,de;q=0.9,en;q=0.8\r\nCookie: "
    );
    for (place, name) in ["_ga", "_gid", "session_id", "csrftoken", "theme", "consent", "_fbp"].into_iter().enumerate()
    {
        let separator = if place == 0 { "" } else { "; " };
        write!(out, "{separator}{name}={:016x}{:016x}", random.next(), random.next()).expect("a string takes all");
    }
    out.push_str("\r\n\r\n");
    out.into_bytes()
}

/// Returns a response: header fields and a body of `body` bytes.
pub fn response(body: usize) -> Vec<u8> {
    let mut out = format!(
        "HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: text/html\r\nContent-Length: {body}\r\n\
         Connection: keep-alive\r\n\r\n"
    )
    .into_bytes();
    out.resize(out.len() + body, b'x');
    out
}
