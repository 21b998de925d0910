//! What a page draws: runs of text with their places.

use std::collections::BTreeMap;

use lopdf::content::{Content, Operation};
use lopdf::{Dictionary, Document, Error, Object, ObjectId};

use super::font::{Font, Fonts};
use super::lines::{Line, Lines, Run};
use super::stream;
use crate::DocumentLimits;
use crate::limits::bytes;

/// How deep drawings may be within drawings.
const DEPTH: usize = 4;
/// What a drawing within the drawing costs of the bytes that a page may inflate to, however short it is: one that draws
/// itself over and over is short.
const CALL: usize = 64 << 10;
/// How often the state of drawing may be saved without being restored.
const SAVED: usize = 256;

/// The lines of a page, or why there are none.
pub(super) fn lines<'a>(
    document: &'a Document,
    page: ObjectId,
    fonts: &mut Fonts<'a>,
    limits: &DocumentLimits,
) -> Result<Vec<Line>, String> {
    let most = usize::try_from(limits.part_bytes).unwrap_or(usize::MAX);
    let content = stream::of_page(document, page, most).map_err(|error| problem(&error, limits))?;
    let by_name = document
        .get_page_fonts(page)
        .map_err(|error| problem(&error, limits))?;
    let (own, shared) = document
        .get_page_resources(page)
        .map_err(|error| problem(&error, limits))?;
    let shared = shared
        .iter()
        .filter_map(|id| document.get_dictionary(*id).ok());
    let mut drawing = Drawing {
        document,
        fonts,
        lines: Lines::default(),
        left: most.saturating_sub(content.len()),
        text_left: limits.text_bytes,
    };
    let resources = own.into_iter().chain(shared).collect::<Vec<_>>();
    drawing
        .draw(&content, &by_name, &resources, Matrix::ONE, 0)
        .map_err(|error| match error {
            Stop::Lopdf(error) => problem(&error, limits),
            Stop::Text => format!("its text takes more than {}", bytes(limits.text_bytes)),
        })?;
    Ok(drawing.lines.finish())
}

fn problem(error: &Error, limits: &DocumentLimits) -> String {
    match error {
        Error::Decompress(lopdf::DecompressError::MemoryLimitExceeded { .. }) => {
            format!("it inflates to more than {}", bytes(limits.part_bytes))
        }
        other => format!("it is damaged ({other})"),
    }
}

enum Stop {
    Lopdf(Error),
    Text,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Lopdf(error)
    }
}

/// Where drawing goes: `x' = a·x + c·y + e`, `y' = b·x + d·y + f`.
#[derive(Debug, Clone, Copy)]
struct Matrix([f32; 6]);

impl Matrix {
    const ONE: Self = Self([1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);

    fn shift(x: f32, y: f32) -> Self {
        Self([1.0, 0.0, 0.0, 1.0, x, y])
    }

    fn of(operands: &[Object]) -> Option<Self> {
        let mut numbers = [0.0; 6];
        for (number, operand) in numbers.iter_mut().zip(operands.get(..6)?) {
            *number = operand.as_float().ok()?;
        }
        Some(Self(numbers))
    }

    /// First this one, then the other.
    fn then(self, other: Self) -> Self {
        let ([a, b, c, d, e, f], [g, h, i, j, k, l]) = (self.0, other.0);
        Self([
            a * g + b * i,
            a * h + b * j,
            c * g + d * i,
            c * h + d * j,
            e * g + f * i + k,
            e * h + f * j + l,
        ])
    }
}

/// What `q` saves and `Q` brings back, as far as it matters to text.
#[derive(Clone, Copy)]
struct State<'a> {
    place: Matrix,
    font: Option<&'a Dictionary>,
    size: f32,
    leading: f32,
    character_space: f32,
    word_space: f32,
    stretch: f32,
}

struct Drawing<'a, 'f> {
    document: &'a Document,
    fonts: &'f mut Fonts<'a>,
    lines: Lines,
    /// Bytes that may still be inflated.
    left: usize,
    /// Bytes of text that may still come.
    text_left: u64,
}

impl<'a> Drawing<'a, '_> {
    fn draw(
        &mut self,
        content: &[u8],
        fonts: &BTreeMap<Vec<u8>, &'a Dictionary>,
        resources: &[&'a Dictionary],
        place: Matrix,
        depth: usize,
    ) -> Result<(), Stop> {
        let mut state = State {
            place,
            font: None,
            size: 1.0,
            leading: 0.0,
            character_space: 0.0,
            word_space: 0.0,
            stretch: 1.0,
        };
        let mut saved = Vec::new();
        let (mut text, mut line) = (Matrix::ONE, Matrix::ONE);
        for Operation { operator, operands } in Content::decode(content)?.operations {
            let number = |at: usize| operands.get(at).and_then(|object| object.as_float().ok());
            match operator.as_str() {
                "q" if saved.len() < SAVED => saved.push(state),
                "Q" => state = saved.pop().unwrap_or(state),
                "cm" => {
                    if let Some(matrix) = Matrix::of(&operands) {
                        state.place = matrix.then(state.place);
                    }
                }
                "BT" => (text, line) = (Matrix::ONE, Matrix::ONE),
                "Tf" => {
                    let name = operands.first().and_then(|name| name.as_name().ok());
                    state.font = name.and_then(|name| fonts.get(name).copied());
                    state.size = number(1).unwrap_or(state.size);
                }
                "TL" => state.leading = number(0).unwrap_or_default(),
                "Tc" => state.character_space = number(0).unwrap_or_default(),
                "Tw" => state.word_space = number(0).unwrap_or_default(),
                "Tz" => state.stretch = number(0).unwrap_or(100.0) / 100.0,
                "Td" | "TD" => {
                    let (x, y) = (number(0).unwrap_or_default(), number(1).unwrap_or_default());
                    if operator == "TD" {
                        state.leading = -y;
                    }
                    line = Matrix::shift(x, y).then(line);
                    text = line;
                }
                "Tm" => {
                    line = Matrix::of(&operands).unwrap_or(line);
                    text = line;
                }
                "T*" | "'" | "\"" => {
                    line = Matrix::shift(0.0, -state.leading).then(line);
                    text = line;
                    if operator == "\"" {
                        state.word_space = number(0).unwrap_or_default();
                        state.character_space = number(1).unwrap_or_default();
                    }
                    if let Some(shown) = operands.last().filter(|_| operator != "T*") {
                        self.show(std::slice::from_ref(shown), &state, &mut text)?;
                    }
                }
                "Tj" => self.show(&operands, &state, &mut text)?,
                "TJ" => {
                    if let Some(Object::Array(shown)) = operands.first() {
                        self.show(shown, &state, &mut text)?;
                    }
                }
                "Do" if depth < DEPTH => {
                    let name = operands.first().and_then(|name| name.as_name().ok());
                    if let Some(name) = name {
                        self.form(name, fonts, resources, state.place, depth)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Shows strings, with numbers between them that move the next one back by thousandths of an em.
    fn show(&mut self, shown: &[Object], state: &State<'a>, text: &mut Matrix) -> Result<(), Stop> {
        let Some(font) = state.font.and_then(|font| self.fonts.get(font)) else {
            return Ok(());
        };
        for object in shown {
            match object {
                Object::String(bytes, _) => {
                    let place = text.then(state.place);
                    let advance = advance(font, bytes, state);
                    if let Some(words) = font.text(bytes) {
                        self.text_left = self
                            .text_left
                            .checked_sub(words.len() as u64)
                            .ok_or(Stop::Text)?;
                        let end = Matrix::shift(advance, 0.0).then(*text).then(state.place);
                        let em = Matrix::shift(0.0, state.size).then(*text).then(state.place);
                        self.lines.push(Run {
                            text: words,
                            start: (place.0[4], place.0[5]),
                            end: (end.0[4], end.0[5]),
                            size: (em.0[4] - place.0[4]).hypot(em.0[5] - place.0[5]),
                        });
                    }
                    *text = Matrix::shift(advance, 0.0).then(*text);
                }
                number => {
                    if let Ok(back) = number.as_float() {
                        let forward = -back / 1000.0 * state.size * state.stretch;
                        *text = Matrix::shift(forward, 0.0).then(*text);
                    }
                }
            }
        }
        Ok(())
    }

    /// A drawing within the drawing, with resources of its own.
    fn form(
        &mut self,
        name: &[u8],
        fonts: &BTreeMap<Vec<u8>, &'a Dictionary>,
        resources: &[&'a Dictionary],
        place: Matrix,
        depth: usize,
    ) -> Result<(), Stop> {
        let document = self.document;
        let found = resources.iter().find_map(|resources| {
            let objects = resources
                .get_deref(b"XObject", document)
                .ok()?
                .as_dict()
                .ok()?;
            objects.get_deref(name, document).ok()?.as_stream().ok()
        });
        let Some(stream) = found else {
            return Ok(());
        };
        let kind = stream.dict.get(b"Subtype").and_then(Object::as_name);
        if !kind.is_ok_and(|kind| kind == b"Form") {
            return Ok(());
        }
        // What is left out of a page goes unseen: then the page has failed.
        let content = stream::whole(stream, self.left)?;
        self.left = self.left.saturating_sub(content.len().max(CALL));
        let matrix = stream.dict.get_deref(b"Matrix", document).ok();
        let matrix = matrix.and_then(|matrix| Matrix::of(matrix.as_array().ok()?));
        let place = matrix.unwrap_or(Matrix::ONE).then(place);
        let own = stream.dict.get_deref(b"Resources", document).ok();
        match own.and_then(|own| own.as_dict().ok()) {
            Some(own) => {
                let mut by_name = BTreeMap::new();
                let named = own.get_deref(b"Font", document).ok();
                for (name, font) in named
                    .and_then(|named| named.as_dict().ok())
                    .into_iter()
                    .flatten()
                {
                    if let Ok((_, Object::Dictionary(font))) = document.dereference(font) {
                        by_name.insert(name.clone(), font);
                    }
                }
                self.draw(&content, &by_name, &[own], place, depth + 1)
            }
            None => self.draw(&content, fonts, resources, place, depth + 1),
        }
    }
}

/// How far a string moves what follows it.
#[allow(
    clippy::cast_precision_loss,
    reason = "a string is far shorter than 2^24"
)]
fn advance(font: &Font<'_>, bytes: &[u8], state: &State<'_>) -> f32 {
    let (characters, spaces, ems) = font.extent(bytes);
    let spaced = characters as f32 * state.character_space + spaces as f32 * state.word_space;
    (ems * state.size + spaced) * state.stretch
}
