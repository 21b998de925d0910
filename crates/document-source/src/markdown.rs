//! Markdown: headings are headings, code stays as it is, what is about the file and not of it is left out.

use faq_source::SourceError;
use pulldown_cmark::{Event, HeadingLevel, MetadataBlockKind, Options, Parser, Tag, TagEnd};

use crate::decode::decode;
use crate::extracted::TextBuilder;
use crate::{DocumentLimits, Extracted, html};

pub(crate) fn extract(bytes: &[u8], limits: &DocumentLimits) -> Result<Extracted, SourceError> {
    let (text, notice) = decode(bytes, None)?;
    let mut builder = TextBuilder::new(limits);
    if let Some(notice) = notice {
        builder.notice(notice);
    }
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS
        | Options::ENABLE_PLUSES_DELIMITED_METADATA_BLOCKS;
    let mut reader = Reader {
        builder,
        text: String::new(),
        page: String::new(),
        verbatim: false,
        about: false,
        points: 0,
        row: false,
    };
    for event in Parser::new_ext(&text, options) {
        reader.event(event)?;
    }
    reader.end_block()?;
    reader.builder.finish()
}

struct Reader {
    builder: TextBuilder,
    /// The block that is being read.
    text: String,
    /// The part of a web page that is being read.
    page: String,
    /// Inside of code.
    verbatim: bool,
    /// Inside of the lines before the text that tell programs about it.
    about: bool,
    /// How many lists are around.
    points: usize,
    /// In a row of a table.
    row: bool,
}

impl Reader {
    fn event(&mut self, event: Event<'_>) -> Result<(), SourceError> {
        match event {
            Event::Text(text)
            | Event::Code(text)
            | Event::InlineMath(text)
            | Event::DisplayMath(text)
                if !self.about =>
            {
                self.text.push_str(&text)
            }
            // A break in the source is a space; a tag within a paragraph stands for nothing that is read.
            Event::SoftBreak | Event::HardBreak => self.text.push(' '),
            Event::Html(part) => self.page.push_str(&part),
            Event::End(TagEnd::HtmlBlock) => self.end_page()?,
            Event::Start(Tag::MetadataBlock(
                MetadataBlockKind::YamlStyle | MetadataBlockKind::PlusesStyle,
            )) => {
                self.about = true;
            }
            Event::End(TagEnd::MetadataBlock(_)) => self.about = false,
            Event::Start(Tag::CodeBlock(_)) => {
                self.end_block()?;
                self.verbatim = true;
            }
            Event::End(TagEnd::CodeBlock) => {
                self.end_block()?;
                self.verbatim = false;
            }
            Event::End(TagEnd::Heading(level)) => {
                let text = std::mem::take(&mut self.text);
                if level == HeadingLevel::H1 {
                    self.builder.title_once(&text);
                }
                self.builder.heading(level as u8, &text)?;
            }
            Event::Start(Tag::List(_)) => {
                self.end_block()?;
                self.points += 1;
            }
            Event::End(TagEnd::List(_)) => {
                self.end_block()?;
                self.points = self.points.saturating_sub(1);
            }
            Event::Start(Tag::Item) => {
                self.end_block()?;
                self.text.push_str("- ");
            }
            Event::Start(Tag::TableHead | Tag::TableRow) => {
                self.end_block()?;
                self.row = true;
            }
            Event::End(TagEnd::TableHead | TagEnd::TableRow) => {
                self.end_block()?;
                self.row = false;
            }
            Event::Start(Tag::TableCell) if !self.text.trim().is_empty() => {
                self.text.push_str(" | ")
            }
            Event::Start(Tag::Heading { .. } | Tag::BlockQuote(_) | Tag::HtmlBlock)
            | Event::End(
                TagEnd::Paragraph | TagEnd::Item | TagEnd::BlockQuote(_) | TagEnd::Table,
            )
            | Event::Rule => self.end_block()?,
            _ => {}
        }
        Ok(())
    }

    /// What a block of HTML says: questions and tables are written so too.
    fn end_page(&mut self) -> Result<(), SourceError> {
        let page = std::mem::take(&mut self.page);
        // Other blocks may stand between where an element opens and where it closes; they are read by themselves.
        if let Some(skipped) = html::read(&page, &mut self.builder)? {
            self.builder.notice(format!(
                "<{skipped}> is not closed before the next empty line: what follows it up to there is left out"
            ));
        }
        Ok(())
    }

    fn end_block(&mut self) -> Result<(), SourceError> {
        let text = std::mem::take(&mut self.text);
        if text.trim().is_empty() || text.trim() == "-" {
            return Ok(());
        }
        if self.verbatim {
            self.builder.block(text.trim_matches('\n'))
        } else if self.row || self.points > 0 {
            self.builder.line(&text)
        } else {
            self.builder.paragraph(&text)
        }
    }
}

#[cfg(test)]
mod tests;
