//! JSON lines: one object a line, its keys being columns; and a `.json` file that is one array of such objects.

mod split;

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};
use storage_core::{Locator, MetadataValue};

use crate::collect::{Collector, Draft, Target, Value, checked};
use crate::columns::{Field, Mapping};
use crate::input::SourceFile;
use crate::{
    FaqSource, IssueKind, SourceError, SourceErrorKind, SourceLimits, SourceOptions,
    SourceSnapshot, limits,
};

use split::Piece;

/// Prepares the reader; nothing is read yet.
pub(crate) fn open(
    file: SourceFile,
    options: SourceOptions,
) -> Result<Box<dyn FaqSource>, SourceError> {
    Ok(Box::new(JsonLines {
        mapping: Mapping::new(&options)?,
        file,
    }))
}

#[derive(Debug)]
struct JsonLines {
    file: SourceFile,
    mapping: Mapping,
}

impl FaqSource for JsonLines {
    fn describe(&self) -> String {
        format!("records {}", self.file.location)
    }

    fn read(&mut self, limits: &SourceLimits) -> Result<SourceSnapshot, SourceError> {
        let bytes = self.file.load(limits)?;
        self.read_bytes(&bytes, limits)
            .map_err(|error| error.located(&self.file.location))
    }
}

const PLACE: &str = "in the records";

impl JsonLines {
    fn read_bytes(
        &self,
        bytes: &[u8],
        limits: &SourceLimits,
    ) -> Result<SourceSnapshot, SourceError> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        match self.pass(bytes, limits, false)? {
            Pass::Read(snapshot) => Ok(*snapshot),
            // Only the last record tells that none has a question, so a data set is read twice.
            Pass::NoQuestion(_) if self.mapping.takes_data_sets() => {
                match self.pass(bytes, limits, true)? {
                    Pass::Read(snapshot) => Ok(*snapshot),
                    Pass::NoQuestion(error) => Err(error),
                }
            }
            Pass::NoQuestion(error) => Err(error),
        }
    }

    fn pass(
        &self,
        bytes: &[u8],
        limits: &SourceLimits,
        data_set: bool,
    ) -> Result<Pass, SourceError> {
        let mut collector = Collector::new("jsonl", &self.file, limits);
        collector.hold(bytes.len() as u64)?;
        if data_set {
            collector.is_data_set();
        }
        let mut reader = Records {
            data_set,
            mapping: &self.mapping,
            limits,
            collector,
            keys: BTreeSet::new(),
            refused: BTreeSet::new(),
            objects: 0,
            first_fault: None,
        };
        if bytes.trim_ascii_start().starts_with(b"[") {
            split::elements(bytes, limits.record_bytes, |piece| {
                reader.piece(piece)?;
                // Where an element is no JSON, the borders of those behind it are guesses.
                match &reader.first_fault {
                    Some((line, problem)) => Err(SourceError::new(
                        SourceErrorKind::Format,
                        format!("the array cannot be read at line {line}: {problem}"),
                    )),
                    None => Ok(()),
                }
            })?;
        } else {
            split::lines(bytes, limits.record_bytes, |piece| reader.piece(piece))?;
        }
        reader.finish()
    }
}

/// How reading all records ended.
enum Pass {
    Read(Box<SourceSnapshot>),
    /// No record has a question or an answer.
    NoQuestion(SourceError),
}

struct Records<'a> {
    data_set: bool,
    mapping: &'a Mapping,
    limits: &'a SourceLimits,
    collector: Collector,
    keys: BTreeSet<String>,
    /// Keys whose values metadata cannot hold.
    refused: BTreeSet<String>,
    objects: u64,
    first_fault: Option<(u64, String)>,
}

impl Records<'_> {
    fn piece(&mut self, piece: Piece<'_>) -> Result<(), SourceError> {
        let locator = Locator {
            row: Some(piece.line),
            ..Locator::default()
        };
        let mut draft = Draft::default();
        match parse(&piece, self.limits) {
            Ok(object) => {
                self.objects += 1;
                self.object(object, &mut draft)?;
            }
            Err((kind, problem)) => {
                if kind == IssueKind::Malformed && self.first_fault.is_none() {
                    self.first_fault = Some((piece.line, problem.clone()));
                }
                draft.issue(kind, None, problem);
            }
        }
        self.collector.push(draft, locator)
    }

    fn object(
        &mut self,
        mut object: Map<String, Json>,
        draft: &mut Draft,
    ) -> Result<(), SourceError> {
        let variants = match self.data_set {
            true => None,
            false => object.remove("variants"),
        };
        let metadata = match object.remove("metadata") {
            Some(Json::Object(metadata)) => metadata,
            Some(other) => {
                object.insert("metadata".to_owned(), other);
                Map::new()
            }
            None => Map::new(),
        };
        let mut room = self.limits.record_bytes;
        let mut values = Vec::with_capacity(object.len());
        let mut further = Vec::with_capacity(metadata.len());
        if !(flatten("", object, &mut values, &mut room)
            && flatten("", metadata, &mut further, &mut room))
        {
            let problem = format!(
                "the keys of the record take more than {} with those they are nested in",
                limits::bytes(self.limits.record_bytes as u64)
            );
            draft.issue(IssueKind::TooLong, None, problem);
            return Ok(());
        }
        let names = values
            .iter()
            .map(|(key, _)| key.as_str())
            .collect::<Vec<_>>();
        let assignment = match self.data_set {
            true => self.mapping.assign_data_set(&names),
            false => self.mapping.assign(&names),
        };
        for (position, (key, value)) in values.into_iter().enumerate() {
            let target = match assignment.field(position) {
                Some(field) => Target::Field(field),
                None => self.further(&key),
            };
            self.put(key, target, value, draft)?;
        }
        for (key, value) in further {
            let target = self.further(&key);
            self.put(key, target, value, draft)?;
        }
        self.variants(variants, draft);
        Ok(())
    }

    fn further(&self, key: &str) -> Target {
        Target::Metadata {
            key: key.into(),
            required: self.mapping.requires(key),
        }
    }

    fn put(
        &mut self,
        key: String,
        target: Target,
        value: Json,
        draft: &mut Draft,
    ) -> Result<(), SourceError> {
        match value {
            Json::Null => {}
            Json::String(text) => self.value(&target, &key, Value::Text(text), draft),
            other => match MetadataValue::from_json(&other) {
                Some(value) => self.value(&target, &key, typed(value), draft),
                None if matches!(target, Target::Metadata { .. }) => {
                    self.refused.insert(key.clone());
                }
                None => {
                    let fault = Value::Fault(
                        IssueKind::Malformed,
                        "a list of objects is no text".to_owned(),
                    );
                    draft.put(&target, &key, fault, self.limits);
                }
            },
        }
        if !self.keys.contains(&key) {
            self.collector.hold(key.len() as u64)?;
            self.keys.insert(key);
            if self.keys.len() > self.limits.columns as usize {
                return Err(SourceError::new(
                    SourceErrorKind::Limit,
                    format!(
                        "the records have more than {} different keys",
                        self.limits.columns
                    ),
                ));
            }
        }
        Ok(())
    }

    fn value(&self, target: &Target, key: &str, value: Value, draft: &mut Draft) {
        if self.data_set {
            draft.put_data(target, &key.into(), key, value, false, self.limits);
        } else {
            draft.put(target, key, value, self.limits);
        }
    }

    fn variants(&self, variants: Option<Json>, draft: &mut Draft) {
        let wordings = match variants {
            None | Some(Json::Null) => return,
            Some(Json::Array(wordings)) => wordings,
            Some(_) => {
                let problem = "variants is no list of texts".to_owned();
                return draft.issue(IssueKind::Malformed, Some("variants"), problem);
            }
        };
        for wording in wordings {
            let Json::String(wording) = wording else {
                let problem = "variants is no list of texts".to_owned();
                return draft.issue(IssueKind::Malformed, Some("variants"), problem);
            };
            match checked(wording, self.limits) {
                Ok(wording) if wording.is_empty() => {}
                Ok(wording) => draft.variants.push(wording),
                Err((kind, problem)) => draft.issue(kind, Some("variants"), problem),
            }
        }
    }

    fn finish(mut self) -> Result<Pass, SourceError> {
        if self.objects == 0 {
            return Err(match self.first_fault {
                Some((line, problem)) => SourceError::new(
                    SourceErrorKind::Format,
                    format!(
                        "not one line is a JSON object (line {line}: {problem}); write one object a line, or a .json array of objects"
                    ),
                ),
                None => SourceError::new(SourceErrorKind::Empty, "there is no record in the file"),
            });
        }
        let keys = self.keys.iter().map(String::as_str).collect::<Vec<_>>();
        self.mapping.check(&keys, PLACE)?;
        let assignment = match self.data_set {
            true => self.mapping.assign_data_set(&keys),
            false => self.mapping.assign(&keys),
        };
        let fields = [Field::Question, Field::Answer];
        if !self.data_set
            && fields
                .iter()
                .all(|field| assignment.position(*field).is_none())
        {
            return Ok(Pass::NoQuestion(self.mapping.no_faq(&keys, PLACE)));
        }
        if !self.refused.is_empty() {
            let keys = crate::suggest::list(self.refused.iter().map(String::as_str));
            self.collector
                .notice(format!("lists of objects are left out: {keys}"));
        }
        let id = assignment
            .position(Field::Id)
            .map(|position| keys[position]);
        Ok(Pass::Read(Box::new(self.collector.finish(id))))
    }
}

fn parse(
    piece: &Piece<'_>,
    limits: &SourceLimits,
) -> Result<Map<String, Json>, (IssueKind, String)> {
    let longest = limits::bytes(limits.record_bytes as u64);
    let Some(bytes) = piece.bytes else {
        let problem = format!("the record is longer than {longest}");
        return Err((IssueKind::TooLong, problem));
    };
    if std::str::from_utf8(bytes).is_err() {
        return Err((
            IssueKind::BadText,
            "the record is not valid UTF-8".to_owned(),
        ));
    }
    match serde_json::from_slice(bytes) {
        Ok(Json::Object(object)) => Ok(object),
        Ok(_) => Err((
            IssueKind::Malformed,
            "the record is no JSON object".to_owned(),
        )),
        Err(error) => Err((
            IssueKind::Malformed,
            format!("the record is no JSON: {error}"),
        )),
    }
}

/// Nested objects become dotted keys: `{"a": {"b": 1}}` is `a.b`. A long key is copied for each that is nested in it,
/// so `room` is for so many bytes of keys; `false` when that is not enough.
fn flatten(
    prefix: &str,
    object: Map<String, Json>,
    into: &mut Vec<(String, Json)>,
    room: &mut usize,
) -> bool {
    for (key, value) in object {
        match room.checked_sub(prefix.len() + key.len()) {
            Some(left) => *room = left,
            None => return false,
        }
        let key = if prefix.is_empty() {
            key
        } else {
            format!("{prefix}.{key}")
        };
        match value {
            Json::Object(inner) => {
                if !flatten(&key, inner, into, room) {
                    return false;
                }
            }
            other => into.push((key, other)),
        }
    }
    true
}

fn typed(value: MetadataValue) -> Value {
    match value {
        MetadataValue::String(text) => Value::Text(text),
        MetadataValue::I64(number) => Value::Whole(number),
        MetadataValue::F64(number) => Value::Real(number),
        MetadataValue::Bool(value) => Value::Bool(value),
        MetadataValue::List(values) => Value::List(values),
    }
}

#[cfg(test)]
mod tests;
