//! Metadata of Python's types, as JSON. Nothing is computed by Python: a time is read out of the bytes it is kept as.

use serde_json::{Map, Number, Value as Json};

use crate::pickle::{Node, Value};

/// What JSON has no word for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Dropped {
    Bytes,
    NotUnicode,
    Huge,
    Instance,
}

/// Why a value is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Odd {
    /// Metadata has no place for it.
    Dropped(Dropped),
    /// All values together are too much.
    Full,
}

impl From<Dropped> for Odd {
    fn from(dropped: Dropped) -> Self {
        Self::Dropped(dropped)
    }
}

/// Bytes that values may still take. A pickle may use one long list a thousand times; here each use is a list.
#[derive(Debug)]
pub(super) struct Room(u64);

impl Room {
    pub(super) fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Takes room for one value with so many bytes of text.
    pub(super) fn take(&mut self, text: usize) -> Result<(), Odd> {
        // A value takes 32 bytes, with its place in a list or a map up to a hundred.
        let bytes = 100 + text as u64;
        self.0 = self.0.checked_sub(bytes).ok_or(Odd::Full)?;
        Ok(())
    }
}

impl Dropped {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::NotUnicode => "texts that are not Unicode",
            Self::Huge => "whole numbers of hundreds of digits",
            Self::Instance => "objects of a class",
        }
    }
}

/// A key as `json.dumps` writes it.
pub(super) fn key(node: Node<'_, '_>) -> Option<String> {
    Some(match node.value() {
        Value::Text(text) => text.to_owned(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => format!("{number:?}"),
        Value::Bool(value) => value.to_string(),
        Value::None => "null".to_owned(),
        _ => return None,
    })
}

/// A value as JSON; how deep it nests is the pickle reader's business.
pub(super) fn json(node: Node<'_, '_>, room: &mut Room) -> Result<Json, Odd> {
    room.take(node.text().map_or(0, str::len))?;
    Ok(match node.value() {
        Value::None => Json::Null,
        Value::Bool(value) => Json::Bool(value),
        Value::Int(number) => Json::from(number),
        Value::Big(bytes) => Json::String(decimal(bytes).ok_or(Dropped::Huge)?),
        Value::Float(number) => match Number::from_f64(number) {
            Some(number) => Json::Number(number),
            None => Json::String(number.to_string()),
        },
        Value::Text(text) => Json::String(text.to_owned()),
        Value::NotText(_) => return Err(Dropped::NotUnicode.into()),
        Value::Bytes(_) => return Err(Dropped::Bytes.into()),
        Value::Object(_) => object(node, room)?,
    })
}

fn object(node: Node<'_, '_>, room: &mut Room) -> Result<Json, Odd> {
    if let Some(items) = node.items() {
        return items
            .map(|item| json(item, room))
            .collect::<Result<Vec<_>, _>>()
            .map(Json::Array);
    }
    if let Some(entries) = node.entries() {
        let mut object = Map::new();
        for (name, value) in entries {
            let name = key(name).ok_or(Dropped::Instance)?;
            room.take(name.len())?;
            object.insert(name, json(value, room)?);
        }
        return Ok(Json::Object(object));
    }
    let time = time(node).ok_or(Dropped::Instance)?;
    Ok(Json::String(time))
}

/// A date or a time, as `isoformat` writes it.
fn time(node: Node<'_, '_>) -> Option<String> {
    let mut arguments = node.arguments()?.items()?;
    let (first, zone) = (arguments.next()?, arguments.next());
    match (node.class()?, first.value()) {
        (("datetime", "date"), Value::Bytes(&[y0, y1, month, day])) => {
            Some(date([y0, y1, month, day]))
        }
        (("datetime", "datetime"), Value::Bytes(bytes)) => {
            let [y0, y1, month, day, hour, minute, second, u0, u1, u2] = *bytes else {
                return None;
            };
            let date = date([y0, y1, month & 0x7f, day]);
            let mut text = format!("{date}T{hour:02}:{minute:02}:{second:02}");
            let micros = u32::from_be_bytes([0, u0, u1, u2]);
            if micros > 0 {
                text.push_str(&format!(".{micros:06}"));
            }
            if let Some(zone) = zone.filter(|zone| !zone.is_none()) {
                text.push_str(&offset(zone)?);
            }
            Some(text)
        }
        _ => None,
    }
}

fn date([y0, y1, month, day]: [u8; 4]) -> String {
    let year = u16::from_be_bytes([y0, y1]);
    format!("{year:04}-{month:02}-{day:02}")
}

/// `timezone(timedelta(days, seconds, microseconds))`, in whole minutes as all zones in use are.
fn offset(zone: Node<'_, '_>) -> Option<String> {
    if zone.class()? != ("datetime", "timezone") {
        return None;
    }
    let delta = zone.arguments()?.items()?.next()?;
    if delta.class()? != ("datetime", "timedelta") {
        return None;
    }
    let mut numbers = delta.arguments()?.items()?.map(Node::int);
    let (days, seconds, micros) = (numbers.next()??, numbers.next()??, numbers.next()??);
    let seconds = days.checked_mul(86_400)?.checked_add(seconds)?;
    if seconds % 60 != 0 || micros != 0 || !(-86_400..86_400).contains(&seconds) {
        return None;
    }
    let sign = if seconds < 0 { '-' } else { '+' };
    let minutes = seconds.abs() / 60;
    Some(format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60))
}

/// A little-endian two's complement in decimal. Longer ones than this are no metadata of anybody.
fn decimal(bytes: &[u8]) -> Option<String> {
    const LONGEST: usize = 128;
    if bytes.len() > LONGEST {
        return None;
    }
    let negative = bytes.last().is_some_and(|last| last & 0x80 != 0);
    let mut magnitude = bytes.to_vec();
    if negative {
        let mut carry = true;
        for byte in &mut magnitude {
            let (sum, over) = (!*byte).overflowing_add(u8::from(carry));
            (*byte, carry) = (sum, over);
        }
    }
    let mut digits = Vec::new();
    while magnitude.iter().any(|byte| *byte != 0) {
        let mut rest = 0_u16;
        for byte in magnitude.iter_mut().rev() {
            let number = rest << 8 | u16::from(*byte);
            let [quotient, _] = (number / 10).to_le_bytes();
            *byte = quotient;
            rest = number % 10;
        }
        let [digit, _] = rest.to_le_bytes();
        digits.push(b'0' + digit);
    }
    if digits.is_empty() {
        digits.push(b'0');
    }
    if negative {
        digits.push(b'-');
    }
    digits.reverse();
    String::from_utf8(digits).ok()
}
