//! A small HTTP/1.1 client for the commands that ask a running platform, and for the sandbox's
//! counterparties on loopback. Plain http only: a platform behind TLS is asked through its proxy.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::exit::{Context, Failure, Outcome};

/// A whole request may take so long; a wait for a rail takes at most 15 seconds of it.
const SECONDS_MOST: u64 = 30;
/// The most bytes of an answer.
const ANSWER_BYTES_MOST: usize = 256 * 1024 * 1024;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON; a failure says what came instead.
    pub fn json(&self) -> Outcome<serde_json::Value> {
        serde_json::from_slice(&self.body).map_err(|_| {
            let text = String::from_utf8_lossy(&self.body);
            let text: String = text.chars().take(200).collect();
            Failure::CouldNotRun(format!("the platform answered {} {text}", self.status))
        })
    }
    /// The body of a 2xx as JSON; anything else is a failure with the platform's own words.
    pub fn ok(&self) -> Outcome<serde_json::Value> {
        if (200..300).contains(&self.status) {
            return if self.body.is_empty() { Ok(serde_json::Value::Null) } else { self.json() };
        }
        let said = self.json().ok().and_then(|body| {
            let said = body.get("detail").or_else(|| body.get("error"));
            said.map(|said| said.as_str().map_or_else(|| said.to_string(), str::to_owned))
        });
        let text = said.unwrap_or_else(|| String::from_utf8_lossy(&self.body).into_owned());
        Err(Failure::CouldNotRun(format!("the platform answered {}: {text}", self.status)))
    }
}

/// One platform or counterparty, with the key to use there. Keeps one connection alive.
pub struct Client {
    /// `127.0.0.1:8080`
    authority: String,
    /// What stands between authority and path.
    prefix: String,
    authorization: Option<String>,
    connection: Option<Connection>,
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    /// A client of `http://host:port`, with Basic credentials `public:secret` where given.
    pub fn new(url: &str, key: Option<&str>) -> Outcome<Self> {
        let rest = url.strip_prefix("http://").ok_or_else(|| {
            Failure::Usage(format!(
                "{url} is no http:// address (behind TLS, ask the proxy's inner side)"
            ))
        })?;
        let (authority, prefix) = match rest.split_once('/') {
            Some((authority, path)) => (authority, format!("/{}", path.trim_end_matches('/'))),
            None => (rest, String::new()),
        };
        let prefix = if prefix == "/" { String::new() } else { prefix };
        let authority = match authority.rsplit_once(':') {
            Some((_, port)) if port.parse::<u16>().is_ok() => authority.to_owned(),
            _ => format!("{authority}:80"),
        };
        let authorization = key.map(basic);
        Ok(Self { authority, prefix, authorization, connection: None })
    }
    /// `GET path`.
    pub async fn get(&mut self, path: &str) -> Outcome<Answer> {
        self.send("GET", path, &[], None).await
    }
    /// `POST path` with a JSON body and more headers.
    pub async fn post(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        body: &serde_json::Value,
    ) -> Outcome<Answer> {
        self.send("POST", path, headers, Some(body.to_string().into_bytes())).await
    }
    /// Any request.
    pub async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> Outcome<Answer> {
        let request = self.request(method, path, headers, body.as_deref());
        let limit = Duration::from_secs(SECONDS_MOST);
        // A kept connection may have been closed meanwhile: nothing of it was read, so a GET is
        // safe to send again; a write is sent on a connection of its own.
        let reuse = self.connection.take().filter(|_| method == "GET");
        if let Some(mut kept) = reuse
            && let Ok(Ok(answer)) = tokio::time::timeout(limit, exchange(&mut kept, &request)).await
        {
            self.connection = Some(kept);
            return Ok(answer);
        }
        let authority = self.authority.clone();
        let fresh = async {
            let stream = TcpStream::connect(&authority).await?;
            stream.set_nodelay(true)?;
            let mut connection = Connection { stream, buffer: Vec::new() };
            let answer = exchange(&mut connection, &request).await?;
            Ok::<_, std::io::Error>((connection, answer))
        };
        let (connection, answer) = tokio::time::timeout(limit, fresh)
            .await
            .context(format!("http://{} did not answer in {SECONDS_MOST} s", self.authority))?
            .context(format!(
                "http://{} cannot be asked (is the platform running there?)",
                self.authority
            ))?;
        self.connection = Some(connection);
        Ok(answer)
    }
    fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Vec<u8> {
        let mut head =
            format!("{method} {}{path} HTTP/1.1\r\nHost: {}\r\n", self.prefix, self.authority);
        let mut header = |name: &str, value: &str| {
            head.push_str(name);
            head.push_str(": ");
            head.push_str(value);
            head.push_str("\r\n");
        };
        if let Some(authorization) = &self.authorization {
            header("Authorization", authorization);
        }
        for (name, value) in headers {
            header(name, value);
        }
        if let Some(body) = body {
            header("Content-Type", "application/json");
            header("Content-Length", &body.len().to_string());
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body.unwrap_or_default());
        bytes
    }
}

/// The value of `Authorization` for `public:secret`.
pub fn basic(key: &str) -> String {
    format!("Basic {}", STANDARD.encode(key))
}

async fn exchange(connection: &mut Connection, request: &[u8]) -> std::io::Result<Answer> {
    connection.stream.write_all(request).await?;
    connection.buffer.clear();
    let head = loop {
        if let Some(head) = Head::parse(&connection.buffer)? {
            break head;
        }
        more(connection).await?;
    };
    let body = match head.length {
        Length::Bytes(length) if length > ANSWER_BYTES_MOST => {
            return Err(bad("too long an answer"));
        }
        Length::Bytes(length) => {
            while connection.buffer.len() < head.bytes + length {
                more(connection).await?;
            }
            connection.buffer[head.bytes..head.bytes + length].to_vec()
        }
        Length::Chunked => loop {
            if let Some(body) = unchunk(&connection.buffer[head.bytes..])? {
                break body;
            }
            more(connection).await?;
        },
    };
    Ok(Answer { status: head.status, body })
}

async fn more(connection: &mut Connection) -> std::io::Result<()> {
    if connection.buffer.len() > ANSWER_BYTES_MOST {
        return Err(bad("too long an answer"));
    }
    match connection.stream.read_buf(&mut connection.buffer).await? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

fn bad(what: &str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, what.to_owned())
}

enum Length {
    Bytes(usize),
    Chunked,
}

struct Head {
    status: u16,
    /// How long the head is, with its empty line.
    bytes: usize,
    length: Length,
}

impl Head {
    /// The head at the start of these bytes; `None` where it is not whole yet.
    fn parse(bytes: &[u8]) -> std::io::Result<Option<Self>> {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return if bytes.len() > 64 * 1024 { Err(bad("too long a head")) } else { Ok(None) };
        };
        let text = std::str::from_utf8(&bytes[..end]).map_err(|_| bad("no HTTP head"))?;
        let mut lines = text.split("\r\n");
        let status = lines
            .next()
            .filter(|line| line.starts_with("HTTP/1."))
            .and_then(|line| line.split(' ').nth(1))
            .and_then(|status| status.parse().ok())
            .ok_or_else(|| bad("no HTTP status"))?;
        let mut length = Length::Bytes(0);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                length = Length::Bytes(value.trim().parse().map_err(|_| bad("no length"))?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                length = Length::Chunked;
            }
        }
        Ok(Some(Self { status, bytes: end + 4, length }))
    }
}

/// The body of these chunks (RFC 9112 section 7.1); `None` where the last one is not there yet.
fn unchunk(mut bytes: &[u8]) -> std::io::Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    loop {
        let Some(line) = bytes.windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
        let size = std::str::from_utf8(&bytes[..line])
            .ok()
            .and_then(|text| usize::from_str_radix(text.split(';').next()?.trim(), 16).ok())
            .filter(|size| *size <= ANSWER_BYTES_MOST)
            .ok_or_else(|| bad("no chunk size"))?;
        let rest = &bytes[line + 2..];
        if rest.len() < size + 2 {
            return Ok(None);
        }
        if size == 0 {
            return Ok(Some(body));
        }
        body.extend_from_slice(&rest[..size]);
        bytes = &rest[size + 2..];
    }
}

#[cfg(test)]
mod tests {
    use super::{Client, Head, Length, unchunk};

    #[test]
    fn a_head_is_read_when_it_is_whole() {
        let bytes = b"HTTP/1.1 422 Unprocessable\r\nContent-Length: 12\r\nx: y\r\n\r\n{";
        assert!(Head::parse(&bytes[..40]).unwrap().is_none());
        let head = Head::parse(bytes).unwrap().unwrap();
        assert_eq!((head.status, head.bytes), (422, bytes.len() - 1));
        assert!(matches!(head.length, Length::Bytes(12)));
        assert!(Head::parse(b"SSH-2.0-x\r\n\r\n").is_err());
    }

    #[test]
    fn chunks_are_put_together() {
        let bytes = b"4\r\nWiki\r\n5;x=y\r\npedia\r\n0\r\n\r\n";
        assert_eq!(unchunk(bytes).unwrap().unwrap(), b"Wikipedia");
        assert!(unchunk(&bytes[..12]).unwrap().is_none());
        assert!(unchunk(b"zz\r\n").is_err());
    }

    #[test]
    fn an_address_has_a_port_and_no_slash_at_its_end() {
        let client = Client::new("http://localhost/base/", None).unwrap();
        assert_eq!((client.authority.as_str(), client.prefix.as_str()), ("localhost:80", "/base"));
        assert!(Client::new("https://localhost", None).is_err());
    }
}
