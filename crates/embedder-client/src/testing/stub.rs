//! A server on loopback that speaks `/v1/embeddings` and `/api/embed`, keeps a ledger, and misbehaves on request.
//!
//! Plain threads and sockets: it must be able to send what no HTTP library would.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use socket2::{Domain, SockRef, Socket, Type};

/// What one request is answered with.
#[derive(Debug, Clone)]
pub enum Reply {
    /// The vectors asked for.
    Vectors,
    /// A status, headers as `Name: value` lines, and a body.
    Status(u16, Vec<String>, String),
    /// A 200 with this body.
    Body(String),
    /// Bytes as they stand, then the connection is closed: what is cut off, or no HTTP at all.
    Raw(Vec<u8>),
    /// Bytes as they are made, then the connection is closed: what is too long to be held.
    Stream(Stream),
    /// Nothing, until the client goes away.
    Silence,
    /// A reset of the connection, as from a machine that went down.
    Reset,
    /// The vectors, computed and counted as paid for, but the connection breaks before the answer.
    PaidThenBroken,
}

/// Writes an answer piece by piece until it is done or the client goes away, which is an error of the writer's.
#[derive(Clone)]
pub struct Stream(Arc<Writing>);

type Writing = dyn Fn(&mut dyn Write) -> io::Result<()> + Send + Sync;

impl Stream {
    /// What `write` writes.
    #[must_use]
    pub fn new(write: impl Fn(&mut dyn Write) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self(Arc::new(write))
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

/// One request as it came.
#[derive(Debug, Clone)]
pub struct StubRequest {
    /// When it had been read to its end.
    pub at: Instant,
    /// `/v1/embeddings`, `/api/embed`, or what was asked.
    pub path: String,
    /// The texts, in order.
    pub texts: Vec<String>,
    /// The body as it came.
    pub body: String,
    /// The `authorization` header.
    pub authorization: Option<String>,
    /// Whether vectors were computed for it: what a provider would bill.
    pub billed: bool,
}

/// What the server does with the field `dimensions` of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortening {
    /// Gives vectors of its own width, as a server that does not know the field.
    Ignored,
    /// Gives the first numbers of its own vectors, up to its own width; more than that is refused.
    Honoured,
    /// Refuses the call with 400 and these words.
    Refused(&'static str),
}

/// How the server behaves, besides what its script says.
#[derive(Debug, Clone, Copy)]
struct Manners {
    shortening: Shortening,
    /// Tokens billed for one text.
    tokens: fn(&str) -> u64,
    /// Whether vectors of `/v1/embeddings` are strings of base64, whatever was asked for.
    base64: bool,
}

type Script = dyn Fn(usize, &[String]) -> Reply + Send + Sync;

struct Shared {
    dimensions: usize,
    latency: Duration,
    script: Box<Script>,
    manners: Mutex<Manners>,
    ledger: Mutex<Vec<StubRequest>>,
    /// The socket, as long as nobody listens on it.
    closed: Mutex<Option<Socket>>,
}

/// The server. It stops answering when the process ends; each test has its own.
pub struct StubApi {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl StubApi {
    /// A server that answers every request with vectors of that many dimensions, after `latency`.
    ///
    /// # Panics
    /// When no port can be had.
    #[must_use]
    pub fn start(dimensions: usize, latency: Duration) -> Self {
        Self::scripted(dimensions, latency, |_, _| Reply::Vectors)
    }

    /// A server that asks `script` what to answer: request number from 0, and its texts.
    ///
    /// # Panics
    /// When no port can be had.
    #[must_use]
    pub fn scripted(
        dimensions: usize,
        latency: Duration,
        script: impl Fn(usize, &[String]) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let api = Self::closed(dimensions, latency, script);
        api.open();
        api
    }

    /// A server that is down: it has its address, so nobody else gets it, and refuses every connection until it is
    /// opened.
    ///
    /// # Panics
    /// When no port can be had.
    #[must_use]
    pub fn closed(
        dimensions: usize,
        latency: Duration,
        script: impl Fn(usize, &[String]) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket
            .bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
            .expect("a free port on loopback");
        let address = socket
            .local_addr()
            .ok()
            .and_then(|address| address.as_socket());
        Self {
            address: address.expect("a bound socket has an address"),
            shared: Arc::new(Shared {
                dimensions,
                latency,
                script: Box::new(script),
                manners: Mutex::new(Manners {
                    shortening: Shortening::Ignored,
                    tokens: |_| 10,
                    base64: false,
                }),
                ledger: Mutex::default(),
                closed: Mutex::new(Some(socket)),
            }),
        }
    }

    /// Accepts connections from now on.
    ///
    /// # Panics
    /// When the system refuses to listen.
    pub fn open(&self) {
        let closed = self
            .shared
            .closed
            .lock()
            .expect("nobody panics with it")
            .take();
        let Some(socket) = closed else { return };
        socket.listen(128).expect("a bound socket can listen");
        let listener = TcpListener::from(socket);
        let serving = Arc::clone(&self.shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&serving);
                std::thread::spawn(move || serve(&shared, stream));
            }
        });
    }

    /// Treats the field `dimensions` in this way from now on; at first it is ignored.
    ///
    /// # Panics
    /// When a serving thread panicked.
    pub fn shorten(&self, shortening: Shortening) {
        self.manners().shortening = shortening;
    }

    /// Bills a text with so many tokens from now on; at first with ten.
    ///
    /// # Panics
    /// When a serving thread panicked.
    pub fn bill(&self, tokens: fn(&str) -> u64) {
        self.manners().tokens = tokens;
    }

    /// Encodes vectors as base64 from now on, though numbers are asked for.
    ///
    /// # Panics
    /// When a serving thread panicked.
    pub fn encode(&self) {
        self.manners().base64 = true;
    }

    fn manners(&self) -> std::sync::MutexGuard<'_, Manners> {
        let manners = self.shared.manners.lock();
        manners.expect("no serving thread panics")
    }

    /// The address to set as base URL; has no path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request so far, in the order in which they came.
    ///
    /// # Panics
    /// When a serving thread panicked.
    #[must_use]
    pub fn ledger(&self) -> Vec<StubRequest> {
        self.shared
            .ledger
            .lock()
            .expect("no serving thread panics")
            .clone()
    }

    /// How many requests came.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.ledger().len()
    }

    /// Texts that a provider would bill, in order.
    #[must_use]
    pub fn billed(&self) -> Vec<String> {
        let ledger = self.ledger().into_iter();
        ledger
            .filter(|request| request.billed)
            .flat_map(|request| request.texts)
            .collect()
    }
}

fn serve(shared: &Shared, stream: TcpStream) {
    let mut writer = match stream.try_clone() {
        Ok(writer) => writer,
        Err(_) => return,
    };
    let mut reader = BufReader::new(stream);
    while let Some((path, authorization, body)) = read_request(&mut reader) {
        let (model, texts) = model_and_texts(&body);
        let ledger = || shared.ledger.lock().expect("no serving thread panics");
        let number = {
            let mut ledger = ledger();
            ledger.push(StubRequest {
                at: Instant::now(),
                path: path.clone(),
                texts: texts.clone(),
                body: String::from_utf8_lossy(&body).into_owned(),
                authorization,
                billed: false,
            });
            ledger.len() - 1
        };
        // A script may hold a request up; the others go on meanwhile.
        let reply = (shared.script)(number, &texts);
        let manners = *shared.manners.lock().expect("no serving thread panics");
        let asked =
            serde_json::from_slice::<Value>(&body).unwrap_or_default()["dimensions"].as_u64();
        let (reply, dimensions) = match (reply, asked, manners.shortening) {
            (Reply::Vectors, Some(_), Shortening::Refused(words)) => (refusal(words), 0),
            (Reply::Vectors, Some(asked), Shortening::Honoured) => {
                match usize::try_from(asked)
                    .ok()
                    .filter(|asked| (1..=shared.dimensions).contains(asked))
                {
                    Some(asked) => (Reply::Vectors, asked),
                    None => (refusal("Invalid value for 'dimensions'"), 0),
                }
            }
            (reply, _, _) => (reply, shared.dimensions),
        };
        ledger()[number].billed = matches!(reply, Reply::Vectors | Reply::PaidThenBroken);
        std::thread::sleep(shared.latency);
        let bytes = match reply {
            Reply::Vectors => {
                let answer = vectors(
                    (shared.dimensions, dimensions),
                    &path,
                    &model,
                    &texts,
                    manners,
                );
                http(200, &[], &answer)
            }
            Reply::Body(body) => http(200, &[], &body),
            Reply::Status(status, headers, body) => http(status, &headers, &body),
            Reply::Raw(bytes) => {
                let _ = writer.write_all(&bytes);
                return;
            }
            Reply::Stream(Stream(write)) => {
                let _ = write(&mut writer);
                return;
            }
            Reply::Reset => {
                // Closing without lingering is a reset.
                let _ = SockRef::from(&writer).set_linger(Some(Duration::ZERO));
                return;
            }
            Reply::Silence => {
                let _ = reader.read(&mut [0]);
                return;
            }
            Reply::PaidThenBroken => return,
        };
        if writer.write_all(&bytes).is_err() {
            return;
        }
    }
}

fn refusal(words: &str) -> Reply {
    let body = json!({ "error": { "message": words, "type": "invalid_request_error" } });
    Reply::Status(400, Vec::new(), body.to_string())
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<(String, Option<String>, Vec<u8>)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let path = line.split_whitespace().nth(1)?.to_owned();
    let (mut length, mut authorization) = (0, None);
    loop {
        let mut header = String::new();
        reader
            .read_line(&mut header)
            .ok()
            .filter(|read| *read > 0)?;
        let Some((name, value)) = header.trim_end().split_once(':') else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "authorization" => authorization = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((path, authorization, body))
}

fn model_and_texts(body: &[u8]) -> (String, Vec<String>) {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let model = body["model"].as_str().unwrap_or_default().to_owned();
    let texts = body["input"].as_array().into_iter().flatten();
    let texts = texts.filter_map(|text| text.as_str().map(ToOwned::to_owned));
    (model, texts.collect())
}

/// Vectors that depend on the text and nothing else: seeded by its hash, so equal texts agree across requests.
/// Shorter vectors are the beginnings of the full ones, as models that can be shortened make them.
fn vectors(
    (full, wanted): (usize, usize),
    path: &str,
    model: &str,
    texts: &[String],
    manners: Manners,
) -> String {
    let vector = |text: &String| -> Vec<f32> {
        let mut output = vec![0u8; full * 2];
        // Every model has vectors of its own; those of the usual one lie in stores that are kept.
        match model {
            "stub-model" => fill(text, &mut output),
            _ => fill(&format!("{model}: {text}"), &mut output),
        }
        output
            .chunks_exact(2)
            .take(wanted)
            .map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / 32768.0)
            .collect()
    };
    let tokens: u64 = texts.iter().map(|text| (manners.tokens)(text)).sum();
    let shown = |text: &String| -> Value {
        let numbers = vector(text);
        if manners.base64 {
            let bytes: Vec<u8> = numbers
                .iter()
                .flat_map(|number| number.to_le_bytes())
                .collect();
            return base64(&bytes).into();
        }
        numbers.into()
    };
    let answer = if path.ends_with("/api/embed") {
        let vectors: Vec<_> = texts.iter().map(vector).collect();
        json!({ "model": model, "embeddings": vectors, "prompt_eval_count": tokens })
    } else {
        let data: Vec<Value> = texts
            .iter()
            .enumerate()
            .map(|(index, text)| json!({ "object": "embedding", "index": index, "embedding": shown(text) }))
            .collect();
        json!({ "object": "list", "data": data, "model": model, "usage": { "total_tokens": tokens } })
    };
    answer.to_string()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let all = chunk
            .iter()
            .fold(0u32, |all, byte| all << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = DIGITS[(all >> (18 - 6 * place)) as usize & 63];
            text.push(if place > chunk.len() {
                '='
            } else {
                char::from(digit)
            });
        }
    }
    text
}

fn fill(text: &str, output: &mut [u8]) {
    for (block, chunk) in output.chunks_mut(32).enumerate() {
        let hash = storage_core::ContentHash::of(format!("{block} {text}").as_bytes());
        chunk.copy_from_slice(&hash.as_bytes()[..chunk.len()]);
    }
}

fn http(status: u16, headers: &[String], body: &str) -> Vec<u8> {
    let headers: String = headers
        .iter()
        .map(|header| format!("{header}\r\n"))
        .collect();
    format!(
        "HTTP/1.1 {status} Stub\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
