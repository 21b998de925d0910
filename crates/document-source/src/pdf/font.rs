//! What a font tells of its strings: which characters they are, and how wide.

use std::collections::HashMap;

use lopdf::{Dictionary, Document, Encoding, Object};

use crate::DocumentLimits;

/// Ranges of widths that one font may list.
const RANGES: usize = 100_000;
/// Of an em, where a font does not say.
const USUAL: f32 = 0.5;

/// The fonts that were met so far: pages share them, and reading one takes longer than reading a page.
pub(super) struct Fonts<'a> {
    document: &'a Document,
    limit: usize,
    known: HashMap<*const Dictionary, Option<Font<'a>>>,
}

impl<'a> Fonts<'a> {
    pub(super) fn new(document: &'a Document, limits: &DocumentLimits) -> Self {
        Self {
            document,
            limit: usize::try_from(limits.part_bytes).unwrap_or(usize::MAX),
            known: HashMap::new(),
        }
    }

    /// The font of a dictionary; `None` where what its strings say cannot be found out.
    pub(super) fn get(&mut self, dictionary: &'a Dictionary) -> Option<&Font<'a>> {
        let (document, limit) = (self.document, self.limit);
        self.known
            .entry(std::ptr::from_ref(dictionary))
            .or_insert_with(|| {
                let encoding = dictionary
                    .get_font_encoding_with_limit(document, limit)
                    .ok()?;
                let composite = dictionary
                    .get(b"Subtype")
                    .and_then(Object::as_name)
                    .is_ok_and(|name| name == b"Type0");
                // What the parser falls back to when it cannot tell the characters: noise, and worse than nothing.
                if composite && matches!(encoding, Encoding::OneByteEncoding(_)) {
                    return None;
                }
                Some(Font {
                    encoding,
                    composite,
                    widths: Widths::of(document, dictionary, composite).unwrap_or_default(),
                })
            })
            .as_ref()
    }
}

pub(super) struct Font<'a> {
    encoding: Encoding<'a>,
    /// Whether a character takes two bytes.
    composite: bool,
    widths: Widths,
}

impl Font<'_> {
    /// The characters of a string.
    pub(super) fn text(&self, bytes: &[u8]) -> Option<String> {
        Document::decode_text(&self.encoding, bytes).ok()
    }

    /// How many characters a string draws, how many of them are spaces, and how wide they are together, in ems.
    pub(super) fn extent(&self, bytes: &[u8]) -> (usize, usize, f32) {
        if self.composite {
            let codes = bytes
                .chunks_exact(2)
                .map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            let width = codes
                .clone()
                .map(|code| self.widths.get(u32::from(code)))
                .sum();
            (codes.count(), 0, width)
        } else {
            let width = bytes
                .iter()
                .map(|code| self.widths.get(u32::from(*code)))
                .sum();
            let spaces = bytes.iter().filter(|code| **code == b' ').count();
            (bytes.len(), spaces, width)
        }
    }
}

/// Widths by ranges of codes, sorted.
#[derive(Default)]
struct Widths {
    ranges: Vec<Range>,
    other: Option<f32>,
}

struct Range {
    first: u32,
    last: u32,
    width: f32,
}

impl Widths {
    fn of(document: &Document, font: &Dictionary, composite: bool) -> Option<Self> {
        let mut widths = if composite {
            let descendants = font
                .get_deref(b"DescendantFonts", document)
                .ok()?
                .as_array()
                .ok()?;
            let (_, first) = document.dereference(descendants.first()?).ok()?;
            Self::of_composite(document, first.as_dict().ok()?)
        } else {
            Self::of_simple(document, font)?
        };
        widths.ranges.sort_by_key(|range| range.first);
        Some(widths)
    }

    fn of_simple(document: &Document, font: &Dictionary) -> Option<Self> {
        let first = font.get_deref(b"FirstChar", document).ok()?.as_i64().ok()?;
        let first = u32::try_from(first).ok()?;
        let list = font.get_deref(b"Widths", document).ok()?.as_array().ok()?;
        let ranges = (first..).zip(list.iter().take(256));
        let ranges = ranges.filter_map(|(code, width)| {
            Some(Range {
                first: code,
                last: code,
                width: number(document, width)? / 1000.0,
            })
        });
        Some(Self {
            ranges: ranges.collect(),
            other: None,
        })
    }

    /// `first [width width …]` and `first last width`, in any order.
    fn of_composite(document: &Document, font: &Dictionary) -> Self {
        let other = font
            .get(b"DW")
            .ok()
            .and_then(|width| number(document, width));
        let mut widths = Self {
            ranges: Vec::new(),
            other: Some(other.unwrap_or(1000.0) / 1000.0),
        };
        let Ok(list) = font.get_deref(b"W", document).and_then(Object::as_array) else {
            return widths;
        };
        let code = |object: &Object| u32::try_from(object.as_i64().ok()?).ok();
        let mut rest = list.iter();
        while let (Some(first), Some(second)) = (rest.next().and_then(code), rest.next()) {
            if widths.ranges.len() > RANGES {
                break;
            }
            let Ok((_, second)) = document.dereference(second) else {
                break;
            };
            if let Ok(list) = second.as_array() {
                for (code, width) in (first..).zip(list.iter().take(RANGES)) {
                    if let Some(width) = number(document, width) {
                        widths.ranges.push(Range {
                            first: code,
                            last: code,
                            width: width / 1000.0,
                        });
                    }
                }
            } else if let (Some(last), Some(width)) = (
                code(second),
                rest.next().and_then(|width| number(document, width)),
            ) {
                widths.ranges.push(Range {
                    first,
                    last,
                    width: width / 1000.0,
                });
            } else {
                break;
            }
        }
        widths
    }

    fn get(&self, code: u32) -> f32 {
        let after = self.ranges.partition_point(|range| range.first <= code);
        let found = after.checked_sub(1).map(|at| &self.ranges[at]);
        found
            .filter(|range| code <= range.last)
            .map(|range| range.width)
            .or(self.other)
            .unwrap_or(USUAL)
    }
}

fn number(document: &Document, object: &Object) -> Option<f32> {
    let (_, object) = document.dereference(object).ok()?;
    object.as_float().ok().filter(|number| number.is_finite())
}
