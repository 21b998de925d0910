//! HTML, by the tokenizer of browsers. No tree is built: what nests a million deep costs no more than what does not.

use std::cell::RefCell;

use encoding_rs::Encoding;
use faq_source::{SourceError, SourceErrorKind};
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};

use crate::decode::decode;
use crate::extracted::TextBuilder;
use crate::{DocumentLimits, Extracted};

/// How many bytes are looked through for the encoding that the page names.
const HEAD: usize = 4096;

pub(crate) fn extract(bytes: &[u8], limits: &DocumentLimits) -> Result<Extracted, SourceError> {
    let (text, notice) = decode(bytes, declared(bytes))?;
    let mut builder = TextBuilder::new(limits);
    if let Some(notice) = notice {
        builder.notice(notice);
    }
    if let Some(skipped) = read(&text, &mut builder)? {
        return Err(SourceError::new(
            SourceErrorKind::Format,
            format!("<{skipped}> is not closed, and what follows it would be left out; close it"),
        ));
    }
    builder.finish()
}

/// Adds what a page, or a part of one, says. Yields the element that nobody sees the content of, where one is not closed:
/// what follows it was left out.
pub(crate) fn read(text: &str, builder: &mut TextBuilder) -> Result<Option<String>, SourceError> {
    let sink = Sink(RefCell::new(Reader {
        builder,
        text: String::new(),
        seen: false,
        heading: None,
        skipped: None,
        title: None,
        verbatim: 0,
        rows: 0,
        fault: None,
    }));
    let tokenizer = Tokenizer::new(sink, TokenizerOpts::default());
    let input = BufferQueue::default();
    input.push_back(StrTendril::from_slice(text));
    // A tokenizer stops at scripts that nobody runs here, and goes on when it is asked.
    while !input.is_empty() {
        let _ = tokenizer.feed(&input);
    }
    tokenizer.end();
    let Sink(reader) = tokenizer.sink;
    let mut reader = reader.into_inner();
    reader.end_block();
    match reader.fault {
        Some(fault) => Err(fault),
        // A title that goes on for ever swallows the page like any other of them.
        None => Ok(reader
            .skipped
            .or_else(|| reader.title.map(|_| "title".to_owned()))),
    }
}

/// The encoding of `<meta charset=…>`, in any of its forms.
fn declared(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(HEAD)]).to_ascii_lowercase();
    let (_, after) = head.split_once("charset=")?;
    let label = after.trim_start_matches(['"', '\'', ' ']);
    let end = label.find(|char: char| !(char.is_ascii_alphanumeric() || matches!(char, '-' | '_')));
    Encoding::for_label(&label.as_bytes()[..end.unwrap_or(label.len())])
}

struct Sink<'a>(RefCell<Reader<'a>>);

struct Reader<'a> {
    builder: &'a mut TextBuilder,
    /// The block that is being read.
    text: String,
    /// Whether there is anything in it but white space.
    seen: bool,
    /// The level of the heading that is being read.
    heading: Option<u8>,
    /// The element whose content nobody sees.
    skipped: Option<String>,
    /// The title, while it is read.
    title: Option<String>,
    /// Elements around that keep their lines.
    verbatim: u32,
    /// Rows of tables around.
    rows: u32,
    fault: Option<SourceError>,
}

impl TokenSink for Sink<'_> {
    type Handle = ();

    fn process_token(&self, token: Token, _: u64) -> TokenSinkResult<()> {
        let mut reader = self.0.borrow_mut();
        if reader.fault.is_some() {
            return TokenSinkResult::Continue;
        }
        match token {
            Token::TagToken(tag) => return reader.tag(&tag),
            Token::CharacterTokens(text) => reader.characters(&text),
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

impl Reader<'_> {
    fn characters(&mut self, text: &str) {
        if let Some(title) = &mut self.title {
            title.push_str(text);
        } else if self.skipped.is_none() {
            self.text.push_str(text);
            self.seen |= !text.trim().is_empty();
        }
    }

    fn tag(&mut self, tag: &Tag) -> TokenSinkResult<()> {
        let name: &str = &tag.name;
        let start = tag.kind == TagKind::StartTag;
        if let Some(skipped) = &self.skipped {
            if !start && name == skipped {
                self.skipped = None;
            }
            return TokenSinkResult::Continue;
        }
        match name {
            "script" | "style" | "noscript" | "template" | "svg" | "iframe" | "noembed"
            | "noframes" | "select" | "nav"
                if start && !tag.self_closing =>
            {
                self.end_block();
                self.skipped = Some(name.to_owned());
                return match name {
                    "script" => TokenSinkResult::RawData(RawKind::ScriptData),
                    "style" | "iframe" | "noembed" | "noframes" => {
                        TokenSinkResult::RawData(RawKind::Rawtext)
                    }
                    _ => TokenSinkResult::Continue,
                };
            }
            "title" if start => {
                self.title = Some(String::new());
                return TokenSinkResult::RawData(RawKind::Rcdata);
            }
            "textarea" if start => return TokenSinkResult::RawData(RawKind::Rcdata),
            "title" => {
                if let Some(title) = self.title.take() {
                    self.builder.title(&title);
                }
            }
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.end_block();
                self.heading = start.then(|| name.as_bytes()[1] - b'0');
            }
            "pre" => {
                self.end_block();
                self.verbatim = if start {
                    self.verbatim + 1
                } else {
                    self.verbatim.saturating_sub(1)
                };
            }
            "br" if self.verbatim > 0 || self.rows == 0 => self.text.push('\n'),
            "td" | "th" if self.rows > 0 => {
                if start && self.seen {
                    self.text.push_str(" | ");
                }
            }
            "tr" => {
                self.end_block();
                self.rows = u32::from(start);
            }
            "table" => {
                self.end_block();
                self.rows = 0;
            }
            "li" | "dt" | "dd" => {
                self.end_block();
                if start && name == "li" {
                    self.text.push_str("- ");
                    self.seen = true;
                }
            }
            _ if self.rows > 0 => self.text.push(' '),
            _ if INLINE.contains(&name) => {}
            _ => self.end_block(),
        }
        TokenSinkResult::Continue
    }

    fn end_block(&mut self) {
        let text = std::mem::take(&mut self.text);
        self.seen = false;
        if self.fault.is_some() || text.trim().is_empty() {
            return;
        }
        let written = if let Some(level) = self.heading.take() {
            self.builder.heading(level, &text)
        } else if self.verbatim > 0 {
            self.builder.block(text.trim_matches('\n'))
        } else if self.rows > 0 || text.starts_with("- ") {
            match text.trim() {
                // A point of a list with blocks in it: they come after it.
                "-" => Ok(()),
                text => self.builder.line(text),
            }
        } else {
            let lines = text.split('\n').map(crate::extracted::words);
            let lines = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>();
            self.builder.paragraph(&lines.join(" "))
        };
        self.fault = written.err();
    }
}

/// Elements that do not end a paragraph.
const INLINE: [&str; 32] = [
    "a", "abbr", "b", "bdi", "bdo", "button", "cite", "code", "data", "del", "dfn", "em", "font",
    "i", "img", "ins", "kbd", "label", "mark", "object", "q", "s", "samp", "small", "span",
    "strong", "sub", "sup", "time", "u", "var", "wbr",
];

#[cfg(test)]
mod tests;
