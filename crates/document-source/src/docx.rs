//! Docx: paragraphs with their styles, out of a zip container. Sizes are counted while parts are inflated: what the
//! container declares is never believed.

mod body;
mod container;

use std::collections::HashMap;

use faq_source::{SourceError, SourceErrorKind};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::extracted::TextBuilder;
use crate::{DocumentLimits, Extracted};
use container::Container;

pub(crate) fn extract(bytes: &[u8], limits: &DocumentLimits) -> Result<Extracted, SourceError> {
    if bytes.starts_with(b"\xd0\xcf\x11\xe0") {
        return Err(SourceError::new(
            SourceErrorKind::Format,
            "it is protected by a password, or has the format of Word 97-2003 (.doc); open it, take the password off, \
             and save it as .docx",
        ));
    }
    let mut container = Container::open(bytes, limits)?;
    let name = main_part(&mut container)?;
    let Some(document) = container.part(&name)? else {
        return Err(SourceError::new(
            SourceErrorKind::Format,
            "it is a zip archive but no docx: no word/document.xml is in it",
        ));
    };
    let directory = name.rsplit_once('/').map_or("", |(directory, _)| directory);
    let styles = container.part(&format!("{directory}/styles.xml"))?;
    let levels = match &styles {
        Some(styles) => heading_styles(styles)?,
        None => HashMap::new(),
    };
    let mut builder = TextBuilder::new(limits);
    if let Some(properties) = container.part("docProps/core.xml")?
        && let Some(title) = title(&properties)?
    {
        builder.title(&title);
    }
    body::read(&document, &levels, &mut builder)?;
    builder.finish()
}

/// The part that holds the text: some programs call it `word/document2.xml`.
fn main_part(container: &mut Container<'_>) -> Result<String, SourceError> {
    const USUAL: &str = "word/document.xml";
    let Some(relations) = container.part("_rels/.rels")? else {
        return Ok(USUAL.to_owned());
    };
    let mut found = None;
    events(&relations, |event| {
        if let Event::Start(tag) | Event::Empty(tag) = event
            && tag.local_name().as_ref() == "Relationship"
            && attribute(tag, "Type").is_some_and(|kind| kind.ends_with("/officeDocument"))
        {
            found = attribute(tag, "Target");
        }
        Ok(())
    })?;
    Ok(found.map_or_else(
        || USUAL.to_owned(),
        |target| target.trim_start_matches('/').to_owned(),
    ))
}

/// Styles that make headings, and their levels: by the outline level, or by the name that every language's Word writes.
fn heading_styles(styles: &str) -> Result<HashMap<String, u8>, SourceError> {
    const STYLES: usize = 20_000;
    let mut levels = HashMap::new();
    let mut style = None;
    events(styles, |event| {
        match event {
            Event::Start(tag) if tag.local_name().as_ref() == "style" => {
                style = attribute(tag, "styleId");
            }
            Event::Start(tag) | Event::Empty(tag) if levels.len() < STYLES => {
                let level = match tag.local_name().as_ref() {
                    "outlineLvl" => attribute(tag, "val").and_then(|level| outline(&level)),
                    "name" => attribute(tag, "val").and_then(|name| heading_name(&name)),
                    _ => None,
                };
                if let (Some(level), Some(style)) = (level, &style) {
                    levels.insert(style.clone(), level);
                }
            }
            Event::End(tag) if tag.local_name().as_ref() == "style" => style = None,
            _ => {}
        }
        Ok(())
    })?;
    Ok(levels)
}

/// Level 9 of an outline is text.
fn outline(level: &str) -> Option<u8> {
    level
        .parse::<u8>()
        .ok()
        .filter(|level| *level < 9)
        .map(|level| level + 1)
}

fn heading_name(name: &str) -> Option<u8> {
    let name = name.to_lowercase();
    if name == "title" {
        return Some(1);
    }
    let number = name
        .strip_prefix("heading ")
        .or_else(|| name.strip_prefix("heading"))?;
    number.parse().ok().filter(|level| (1..=9).contains(level))
}

fn title(properties: &str) -> Result<Option<String>, SourceError> {
    let (mut within, mut title) = (false, String::new());
    events(properties, |event| {
        match event {
            Event::Start(tag) => within = tag.local_name().as_ref() == "title",
            Event::End(_) => within = false,
            Event::Text(text) if within => title.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) if within => title.extend(character(reference)?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(Some(title).filter(|title| !title.trim().is_empty()))
}

/// Hands every event of a part on. What declares a document type is refused: it could define entities.
fn events(
    xml: &str,
    mut each: impl FnMut(&Event<'_>) -> Result<(), SourceError>,
) -> Result<(), SourceError> {
    let mut reader = Reader::from_str(xml);
    loop {
        match reader.read_event() {
            Ok(Event::Eof) => return Ok(()),
            Ok(Event::DocType(_)) => {
                return Err(SourceError::new(
                    SourceErrorKind::Limit,
                    "the docx is refused: a part of it holds a DOCTYPE; open it and save it again",
                ));
            }
            Ok(event) => each(&event)?,
            Err(error) => {
                return Err(SourceError::new(
                    SourceErrorKind::Format,
                    "the docx is damaged: a part of it is no XML; open it and save it again",
                )
                .with_source(error));
            }
        }
    }
}

/// An attribute by its name without its prefix.
fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    // Whether one is there twice is not asked: of very many that would take very long.
    let found = tag
        .attributes()
        .with_checks(false)
        .filter_map(Result::ok)
        .find(|attribute| attribute.key.local_name().as_ref() == name)?;
    Some(found.value.into_owned())
}

/// What `&amp;` stands for.
fn character(reference: &quick_xml::events::BytesRef<'_>) -> Result<Option<char>, SourceError> {
    let name: &str = reference;
    Ok(Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            return reference.resolve_char_ref().map_err(|error| {
                SourceError::new(
                    SourceErrorKind::Format,
                    "the docx is damaged: it names a character that there is not; open it and save it again",
                )
                .with_source(error)
            });
        }
    }))
}

#[cfg(test)]
mod tests;
