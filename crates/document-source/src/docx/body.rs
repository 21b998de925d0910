//! The text of a docx: `w:p` are paragraphs, `w:r` and `w:t` their text, `w:tbl` tables.

use std::collections::HashMap;

use faq_source::SourceError;
use quick_xml::events::{BytesStart, Event};

use super::{attribute, character, events, outline};
use crate::extracted::TextBuilder;

pub(super) fn read(
    document: &str,
    levels: &HashMap<String, u8>,
    builder: &mut TextBuilder,
) -> Result<(), SourceError> {
    let mut body = Body {
        levels,
        builder,
        text: String::new(),
        level: None,
        point: false,
        shown: false,
        rows: 0,
        left_out: 0,
    };
    events(document, |event| body.event(event))?;
    body.end_block()
}

struct Body<'a> {
    levels: &'a HashMap<String, u8>,
    builder: &'a mut TextBuilder,
    /// The paragraph, or the row of a table, that is being read.
    text: String,
    /// The level of the heading that it is.
    level: Option<u8>,
    /// Whether it is a point of a list.
    point: bool,
    /// Inside of an element whose characters are text.
    shown: bool,
    /// Rows of tables around.
    rows: u32,
    /// Elements around whose content is left out: what stands a second time for old programs.
    left_out: u32,
}

impl Body<'_> {
    fn event(&mut self, event: &Event<'_>) -> Result<(), SourceError> {
        match event {
            Event::Start(tag) => self.start(tag, false),
            Event::Empty(tag) => self.start(tag, true),
            Event::End(tag) => self.end(tag.local_name().as_ref()),
            Event::Text(text) if self.shown && self.left_out == 0 => {
                self.text.push_str(&text.xml10_content());
                Ok(())
            }
            Event::CData(text) if self.shown && self.left_out == 0 => {
                self.text.push_str(text);
                Ok(())
            }
            Event::GeneralRef(reference) if self.shown && self.left_out == 0 => {
                self.text.extend(character(reference)?);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn start(&mut self, tag: &BytesStart<'_>, empty: bool) -> Result<(), SourceError> {
        let name = tag.local_name();
        let name = name.as_ref();
        if matches!(name, "Fallback" | "del" | "moveFrom") && !empty {
            self.left_out += 1;
        }
        if self.left_out > 0 {
            return Ok(());
        }
        match name {
            "t" => self.shown = !empty,
            "tab" => self.text.push(' '),
            "br" | "cr" => self.text.push('\n'),
            "noBreakHyphen" => self.text.push('\u{2011}'),
            "pStyle" => {
                let style = attribute(tag, "val");
                let level = style.and_then(|style| self.levels.get(&style).copied());
                self.level = self.level.or(level);
            }
            "outlineLvl" => {
                let level = attribute(tag, "val").and_then(|level| outline(&level));
                self.level = level.or(self.level);
            }
            "numPr" => self.point = true,
            // A box with text stands within a paragraph.
            "p" if self.rows == 0 => self.end_block()?,
            "tr" => {
                if self.rows == 0 {
                    self.end_block()?;
                }
                self.rows += u32::from(!empty);
            }
            "tc" if self.rows > 0 && !self.text.trim().is_empty() => self.text.push_str(" | "),
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, name: &str) -> Result<(), SourceError> {
        if matches!(name, "Fallback" | "del" | "moveFrom") {
            self.left_out = self.left_out.saturating_sub(1);
            return Ok(());
        }
        if self.left_out > 0 {
            return Ok(());
        }
        match name {
            "t" => self.shown = false,
            "p" if self.rows > 0 => self.text.push(' '),
            "p" => self.end_block()?,
            "tr" => {
                // A table within a table is a part of its row.
                if self.rows == 1 {
                    self.end_block()?;
                }
                self.rows = self.rows.saturating_sub(1);
            }
            _ => {}
        }
        Ok(())
    }

    fn end_block(&mut self) -> Result<(), SourceError> {
        let text = std::mem::take(&mut self.text);
        let (level, point) = (self.level.take(), std::mem::take(&mut self.point));
        if text.trim().is_empty() {
            return Ok(());
        }
        match level {
            _ if self.rows > 0 => self.builder.line(&text),
            Some(level) => self.builder.heading(level, &text),
            None if point => self.builder.line(&format!("- {text}")),
            None => self.builder.paragraph(&text),
        }
    }
}
