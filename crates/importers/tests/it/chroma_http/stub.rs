//! A server of tests: it answers by a rule, and keeps what it was asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A question as it arrived.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) method: String,
    /// Path with query.
    pub(super) target: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Value,
}

pub(super) type Answer = (u16, String);
type Rule = dyn FnMut(&Asked) -> Answer + Send;

/// A server on a port of its own, in a runtime of its own.
pub(super) struct Stub {
    pub(super) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    _runtime: tokio::runtime::Runtime,
}

impl Stub {
    pub(super) fn new(rule: impl FnMut(&Asked) -> Answer + Send + 'static) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let rule: Arc<Mutex<Box<Rule>>> = Arc::new(Mutex::new(Box::new(rule)));
        let ledger = Arc::clone(&asked);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&rule), Arc::clone(&ledger)));
            }
        });
        Self {
            url,
            asked,
            _runtime: runtime,
        }
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

/// One question a connection: then it is closed, and nothing is left over.
async fn serve(
    mut stream: TcpStream,
    rule: Arc<Mutex<Box<Rule>>>,
    ledger: Arc<Mutex<Vec<Asked>>>,
) -> Option<()> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
    let mut lines = head.lines();
    let mut words = lines.next()?.split(' ').map(str::to_owned);
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    while bytes.len() < end + 4 + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let asked = Asked {
        method: words.next()?,
        target: words.next()?,
        headers,
        body: serde_json::from_slice(&bytes[end + 4..]).unwrap_or(Value::Null),
    };
    let (status, body) = (rule.lock().unwrap())(&asked);
    ledger.lock().unwrap().push(asked);
    let answer = format!(
        "HTTP/1.1 {status} Words\r\ncontent-length: {}\r\nlocation: https://elsewhere.example/x\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await.ok()?;
    stream.shutdown().await.ok()
}

pub(super) fn ok(body: Value) -> Answer {
    (200, body.to_string())
}

pub(super) fn not_found() -> Answer {
    (404, r#"{"detail":"Not Found"}"#.to_owned())
}
