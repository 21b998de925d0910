//! The embed-text recipe: which fields of a row become the text that is embedded, and how that text is normalised.

use std::fmt;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use crate::Document;

/// Version of [`normalise`]. A change of its rules changes every input, so it is part of a model's identity.
pub const NORMALISER: u16 = 1;

/// Normalises a text for embedding: Unicode NFC, every run of white space but line breaks folded to one space, lines
/// trimmed, empty lines at both ends dropped.
#[must_use]
pub fn normalise(text: &str) -> String {
    let composed = match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => std::borrow::Cow::Borrowed(text),
        IsNormalized::No | IsNormalized::Maybe => std::borrow::Cow::Owned(text.nfc().collect()),
    };
    let mut out = String::with_capacity(composed.len());
    for line in composed.lines() {
        if !out.is_empty() {
            out.push('\n');
        }
        let start = out.len();
        for word in line.split_whitespace() {
            if out.len() > start {
                out.push(' ');
            }
            out.push_str(word);
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// A recipe such as `{question}\n{answer}`: literal text and fields in braces.
///
/// Fields are `question`, `answer`, `category`, `subcategory`, or the name of any further column; `\n` and `\t` may
/// be written as escapes, `{{` and `}}` stand for braces. A field that a row lacks is empty. `name` and `description`
/// are what a catalogue calls question and answer, in a row that has no further column of that name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbedText {
    source: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Question,
    Answer,
    Category,
    Subcategory,
    Metadata(String),
    /// A further column, or in a row without it the question.
    Name(String),
    /// A further column, or in a row without it the answer.
    Description(String),
}

/// Why a recipe cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EmbedTextError {
    /// A `{` without its `}`, or the other way round.
    Brace,
    /// The recipe names no field, so every row would get the same text.
    NoField,
}

impl fmt::Display for EmbedTextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Brace => "the embed-text recipe has an unpaired brace; write {question}, or {{ for a literal one",
            Self::NoField => "the embed-text recipe names no field; try {question}\\n{answer}",
        })
    }
}

impl std::error::Error for EmbedTextError {}

impl Default for EmbedText {
    /// Question, line break, answer: what retrieves best. Leaving the answer out cost a quarter of top-1 on a
    /// Russian bank FAQ (0.36 against 0.62).
    fn default() -> Self {
        Self {
            source: r"{question}\n{answer}".to_owned(),
            parts: vec![Part::Question, Part::Literal("\n".to_owned()), Part::Answer],
        }
    }
}

impl EmbedText {
    /// Reads a recipe.
    ///
    /// # Errors
    /// An unpaired brace, or no field at all.
    pub fn parse(recipe: &str) -> Result<Self, EmbedTextError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut chars = recipe.chars().peekable();
        while let Some(char) = chars.next() {
            match char {
                '{' if chars.next_if_eq(&'{').is_some() => literal.push('{'),
                '}' if chars.next_if_eq(&'}').is_some() => literal.push('}'),
                '}' => return Err(EmbedTextError::Brace),
                '{' => {
                    let mut name = String::new();
                    loop {
                        match chars.next() {
                            Some('}') => break,
                            Some('{') | None => return Err(EmbedTextError::Brace),
                            Some(char) => name.push(char),
                        }
                    }
                    if !literal.is_empty() {
                        parts.push(Part::Literal(std::mem::take(&mut literal)));
                    }
                    parts.push(match name.trim() {
                        "question" | "title" => Part::Question,
                        "answer" | "body" => Part::Answer,
                        "category" => Part::Category,
                        "subcategory" => Part::Subcategory,
                        other @ "name" => Part::Name(other.to_owned()),
                        other @ "description" => Part::Description(other.to_owned()),
                        other => Part::Metadata(other.to_owned()),
                    });
                }
                '\\' => match chars.next() {
                    Some('n') => literal.push('\n'),
                    Some('t') => literal.push('\t'),
                    Some(other) => literal.push(other),
                    None => literal.push('\\'),
                },
                other => literal.push(other),
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        if parts.iter().all(|part| matches!(part, Part::Literal(_))) {
            return Err(EmbedTextError::NoField);
        }
        Ok(Self {
            source: recipe.to_owned(),
            parts,
        })
    }

    /// The recipe as it was written: what a collection stores.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// The columns a recipe needs beyond question, answer, category and subcategory.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Metadata(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The normalised text to embed for a row; empty when the row has nothing the recipe names.
    #[must_use]
    pub fn render(&self, document: &Document) -> String {
        let mut text = String::with_capacity(document.title.len() + document.body.len() + 16);
        let metadata = |name: &str, text: &mut String| {
            let value = document.metadata.get(name);
            value.is_some_and(|value| {
                text.push_str(&value.to_string());
                true
            })
        };
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Question => text.push_str(&document.title),
                Part::Answer => text.push_str(&document.body),
                Part::Category => text.push_str(document.category.as_deref().unwrap_or_default()),
                Part::Subcategory => {
                    text.push_str(document.subcategory.as_deref().unwrap_or_default())
                }
                Part::Metadata(name) => {
                    metadata(name, &mut text);
                }
                Part::Name(name) => {
                    if !metadata(name, &mut text) {
                        text.push_str(&document.title);
                    }
                }
                Part::Description(name) => {
                    if !metadata(name, &mut text) {
                        text.push_str(&document.body);
                    }
                }
            }
        }
        normalise(&text)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{CollectionName, DocumentKey, Locator, MetadataValue, SourceId};

    fn document() -> Document {
        Document {
            key: DocumentKey {
                collection: CollectionName::new("faq").unwrap(),
                document: "a".into(),
                chunk: 0,
            },
            source: SourceId::new("s").unwrap(),
            title: " Как  открыть\u{a0}счёт? ".into(),
            body: "Придите.\r\n\r\nС паспортом. ".into(),
            category: Some("Счета".into()),
            subcategory: None,
            metadata: BTreeMap::from([("brand".to_owned(), MetadataValue::I64(7))]),
            locator: Locator::default(),
        }
    }

    #[test]
    fn the_default_is_question_line_break_answer() {
        assert_eq!(
            EmbedText::default().render(&document()),
            "Как открыть счёт?\nПридите.\n\nС паспортом."
        );
        assert_eq!(
            EmbedText::parse(r"{question}\n{answer}").unwrap(),
            EmbedText::default()
        );
    }

    #[test]
    fn any_field_may_be_named() {
        let recipe = EmbedText::parse("{{{category}}} {brand}{subcategory}: {question}").unwrap();
        assert_eq!(recipe.render(&document()), "{Счета} 7: Как открыть счёт?");
        assert_eq!(recipe.columns().collect::<Vec<_>>(), ["brand"]);
    }

    #[test]
    fn a_catalogue_has_other_words_for_question_and_answer() {
        let recipe = EmbedText::parse("{name} {brand} {category} {description}").unwrap();
        assert_eq!(recipe.columns().collect::<Vec<_>>(), ["brand"]);
        let mut document = document();
        document.title = "Cup".into();
        document.body = "Holds tea.".into();
        assert_eq!(recipe.render(&document), "Cup 7 Счета Holds tea.");
        // What a row lacks leaves no gap.
        document.metadata.clear();
        document.category = None;
        assert_eq!(recipe.render(&document), "Cup Holds tea.");
        // A column of that name is meant first.
        let named = MetadataValue::String("Mug".to_owned());
        document.metadata.insert("name".to_owned(), named);
        assert_eq!(recipe.render(&document), "Mug Holds tea.");
    }

    #[test]
    fn a_row_with_an_answer_only_has_no_leading_break() {
        let mut document = document();
        document.title.clear();
        assert_eq!(
            EmbedText::default().render(&document),
            "Придите.\n\nС паспортом."
        );
    }

    #[test]
    fn broken_recipes_are_refused() {
        assert_eq!(EmbedText::parse("{question"), Err(EmbedTextError::Brace));
        assert_eq!(EmbedText::parse("question}"), Err(EmbedTextError::Brace));
        assert_eq!(EmbedText::parse("hello"), Err(EmbedTextError::NoField));
    }

    #[test]
    fn two_spellings_of_a_letter_are_one_text() {
        assert_eq!(normalise("и\u{306}"), normalise("й"));
    }
}
