//! A client of HTTP that says what it is told to, well-formed or not.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// Nothing that is answered at all takes longer, on the busiest machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// One connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// Read, and not yet part of an answer.
    kept: Vec<u8>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON, which it must be.
    #[track_caller]
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no JSON: {error}: {}", self.text()))
    }

    /// Checks the status.
    #[track_caller]
    #[must_use]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// Checks that it says what went wrong, in the one form of errors, and yields the stable code.
    #[track_caller]
    #[must_use]
    pub fn problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{}",
            self.text()
        );
        let body = self.json();
        assert_eq!(body["status"], status);
        assert_eq!(
            body["request_id"].as_str(),
            self.header("x-request-id"),
            "{body}"
        );
        let code = body["code"].as_str().unwrap_or_default().to_owned();
        assert_eq!(body["type"], format!("urn:smart-support:{code}"));
        assert!(!body["detail"].as_str().unwrap_or_default().is_empty());
        if status == 503 {
            assert!(self.header("retry-after").is_some(), "{body}");
        }
        code
    }
}

/// A request as a well-behaved client writes it.
#[must_use]
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(body) = body {
        if !headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        {
            text.push_str("Content-Type: application/json\r\n");
        }
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body.unwrap_or_default());
    bytes
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// If nobody listens.
    pub fn to(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream,
            kept: Vec::new(),
        })
    }

    /// Sends these bytes.
    ///
    /// # Errors
    /// If the other side has gone.
    pub fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next answer.
    ///
    /// # Errors
    /// If the connection ends before it does, or what comes is no HTTP.
    pub fn answer(&mut self) -> io::Result<Answer> {
        loop {
            let head = self.until(b"\r\n\r\n")?;
            let head = String::from_utf8(head).map_err(|_| wrong("the headers are no text"))?;
            let mut lines = head.split("\r\n");
            let status = lines.next().unwrap_or_default();
            let status = status.strip_prefix("HTTP/1.1 ").and_then(|rest| {
                let digits = rest.get(..3)?;
                digits.parse::<u16>().ok()
            });
            let status = status.ok_or_else(|| wrong("no status line"))?;
            // "Go on" is no answer.
            if status == 100 {
                continue;
            }
            let headers: Vec<(String, String)> = lines
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect();
            let find = |name: &str| {
                let found = headers.iter().find(|(known, _)| known == name);
                found.map(|(_, value)| value.as_str())
            };
            let body = if find("transfer-encoding") == Some("chunked") {
                self.chunks()?
            } else {
                let length = find("content-length").and_then(|length| length.parse().ok());
                self.exactly(length.unwrap_or(0))?
            };
            return Ok(Answer {
                status,
                headers,
                body,
            });
        }
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// If the connection ends before.
    pub fn ask(&mut self, bytes: &[u8]) -> io::Result<Answer> {
        self.say(bytes)?;
        self.answer()
    }

    /// Reads whatever comes until the other side ends the connection, in whichever way.
    #[must_use]
    pub fn rest(mut self) -> Vec<u8> {
        drop(self.stream.read_to_end(&mut self.kept));
        self.kept
    }

    fn until(&mut self, end: &[u8]) -> io::Result<Vec<u8>> {
        let mut looked = 0;
        loop {
            let found = self.kept[looked..]
                .windows(end.len())
                .position(|part| part == end);
            if let Some(at) = found {
                let rest = self.kept.split_off(looked + at + end.len());
                let mut head = std::mem::replace(&mut self.kept, rest);
                head.truncate(looked + at);
                return Ok(head);
            }
            looked = self.kept.len().saturating_sub(end.len());
            self.more()?;
        }
    }

    fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.kept.len() < length {
            self.more()?;
        }
        let rest = self.kept.split_off(length);
        Ok(std::mem::replace(&mut self.kept, rest))
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let length = String::from_utf8_lossy(&self.until(b"\r\n")?).into_owned();
            let length = usize::from_str_radix(length.trim(), 16)
                .map_err(|_| wrong("a chunk without a length"))?;
            let chunk = self.exactly(length)?;
            self.until(b"\r\n")?;
            if length == 0 {
                return Ok(body);
            }
            body.extend(chunk);
        }
    }

    fn more(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16 << 10];
        let count = self.stream.read(&mut buffer)?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.kept.extend_from_slice(&buffer[..count]);
        Ok(())
    }
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}
