//! Decides which column is which: names given with `--map` first, then the headers people write in Russian and
//! English. What no field claims is metadata under its own header.

use crate::suggest::{list, nearest, shorten};
use crate::{SourceError, SourceErrorKind, SourceOptions};

/// The columns that mean something to every part of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Id,
    Question,
    Answer,
    Category,
    Subcategory,
}

impl Field {
    pub(crate) const ALL: [Self; 5] = [
        Self::Id,
        Self::Question,
        Self::Answer,
        Self::Category,
        Self::Subcategory,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Question => "question",
            Self::Answer => "answer",
            Self::Category => "category",
            Self::Subcategory => "subcategory",
        }
    }

    /// Headers that mean this field, as [`fold`] leaves them, the surest first: where a table has two of them, the
    /// surer one is the field and the other is metadata. A bare row number ("№") is no id on purpose: it moves.
    fn headers(self) -> &'static [&'static str] {
        match self {
            Self::Id => &[
                "id",
                "faqid",
                "templateid",
                "questionid",
                "идентификатор",
                "ид",
                "idшаблона",
                "idвопроса",
                "key",
                "ключ",
                "code",
                "код",
            ],
            Self::Question => &[
                "question",
                "вопрос",
                "примервопроса",
                "примервопросаклиента",
                "вопросклиента",
                "вопроспользователя",
                "типовойвопрос",
                "формулировкавопроса",
                "текствопроса",
                "examplequestion",
                "samplequestion",
                "customerquestion",
                "clientquestion",
                "userquestion",
                "questiontext",
                "вопросы",
                "questions",
                "query",
                "запрос",
                "title",
                "заголовок",
                "prompt",
            ],
            Self::Answer => &[
                "answer",
                "ответ",
                "шаблонныйответ",
                "шаблонответа",
                "типовойответ",
                "готовыйответ",
                "текстответа",
                "templateanswer",
                "answertemplate",
                "answertext",
                "ответы",
                "answers",
                "response",
                "reply",
                "completion",
                "content",
                "содержание",
                "body",
                "text",
                "текст",
            ],
            Self::Category => &[
                "основнаякатегория",
                "maincategory",
                "категория",
                "category",
                "категориявопроса",
            ],
            Self::Subcategory => &[
                "подкатегория",
                "subcategory",
                "подкатегориявопроса",
                "дополнительнаякатегория",
            ],
        }
    }

    fn parse(name: &str) -> Option<Self> {
        let name = fold(name);
        Self::ALL.into_iter().find(|field| field.name() == name)
    }
}

/// Which header each field has: positions by `Field as usize`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Assignment([Option<usize>; Field::ALL.len()]);

impl Assignment {
    pub(crate) fn position(&self, field: Field) -> Option<usize> {
        self.0[field as usize]
    }

    /// The field at a position.
    pub(crate) fn field(&self, position: usize) -> Option<Field> {
        Field::ALL
            .into_iter()
            .find(|field| self.position(*field) == Some(position))
    }
}

/// What the user said about columns.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mapping {
    /// A field and its column; no column switches the field off (`--map id=`).
    given: Vec<(Field, Option<String>)>,
    required: Vec<String>,
    data_sets: bool,
}

impl Mapping {
    /// Reads the options.
    pub(crate) fn new(options: &SourceOptions) -> Result<Self, SourceError> {
        let mut given: Vec<(Field, Option<String>)> = Vec::new();
        for (name, column) in &options.mapping {
            let Some(field) = Field::parse(name) else {
                let names = Field::ALL.map(Field::name);
                let hint = match nearest(name, names) {
                    Some(near) => format!("did you mean --map {near}={column:?}"),
                    None => "further columns become metadata without being named".to_owned(),
                };
                return Err(SourceError::new(
                    SourceErrorKind::Columns,
                    format!("no field {name:?} (fields: {}); {hint}", names.join(", ")),
                ));
            };
            if given.iter().any(|(other, _)| *other == field) {
                return Err(SourceError::new(
                    SourceErrorKind::Columns,
                    format!("--map names the field {} twice", field.name()),
                ));
            }
            let column = column.trim();
            given.push((field, (!column.is_empty()).then(|| column.to_owned())));
        }
        Ok(Self {
            given,
            required: options.required_columns.clone(),
            data_sets: options.data_set,
        })
    }

    /// Gives each field its header.
    pub(crate) fn assign(&self, headers: &[impl AsRef<str>]) -> Assignment {
        let folded = headers
            .iter()
            .map(|header| fold(header.as_ref()))
            .collect::<Vec<_>>();
        let mut assignment = Assignment::default();
        for (field, column) in &self.given {
            if let Some(column) = column {
                assignment.0[*field as usize] = find(column, headers, &folded);
            }
        }
        for field in Field::ALL {
            if self.given.iter().any(|(given, _)| *given == field) {
                continue;
            }
            let best = folded
                .iter()
                .enumerate()
                .filter(|(position, _)| assignment.field(*position).is_none())
                .filter_map(|(position, header)| {
                    let rank = field.headers().iter().position(|known| known == header)?;
                    Some((rank, position))
                })
                .min();
            assignment.0[field as usize] = best.map(|(_, position)| position);
        }
        assignment
    }

    /// Whether a table without questions and answers will do.
    pub(crate) fn takes_data_sets(&self) -> bool {
        self.data_sets
    }

    /// Gives a data set the fields it can have. Other columns than `id` often look like one, and name no single row
    /// there: the code of a country, the key of a measure.
    pub(crate) fn assign_data_set(&self, headers: &[impl AsRef<str>]) -> Assignment {
        let mut assignment = self.assign(headers);
        let given = |field| self.given.iter().any(|(given, _)| *given == field);
        if let Some(position) = assignment.position(Field::Id)
            && !given(Field::Id)
            && !matches!(
                &*fold(headers[position].as_ref()),
                "id" | "ид" | "идентификатор"
            )
        {
            assignment.0[Field::Id as usize] = None;
        }
        assignment
    }

    /// Whether an embed-text recipe names this column, so that a fault in it is a fault of the row.
    pub(crate) fn requires(&self, header: &str) -> bool {
        self.required.iter().any(|name| name == header)
    }

    /// What was asked for and is not among the headers. `place` is where: `in sheet "FAQ"`.
    pub(crate) fn check(
        &self,
        headers: &[impl AsRef<str>],
        place: &str,
    ) -> Result<(), SourceError> {
        let folded = headers
            .iter()
            .map(|header| fold(header.as_ref()))
            .collect::<Vec<_>>();
        let names = || {
            headers
                .iter()
                .map(AsRef::as_ref)
                .filter(|name| !name.is_empty())
        };
        for (field, column) in &self.given {
            let Some(column) = column else { continue };
            if find(column, headers, &folded).is_none() {
                let hint = nearest(column, names()).map_or_else(String::new, |near| {
                    format!("; did you mean --map {}={near:?}", field.name())
                });
                return Err(SourceError::new(
                    SourceErrorKind::Columns,
                    format!(
                        "no column {column:?} {place} (columns: {}){hint}",
                        list(names())
                    ),
                ));
            }
        }
        let assignment = self.assign(headers);
        for required in &self.required {
            let position = headers
                .iter()
                .position(|header| header.as_ref() == required);
            let hint = match position.map(|position| assignment.field(position)) {
                Some(None) => continue,
                Some(Some(field)) => format!("it is the {0}; write {{{0}}}", field.name()),
                None => match nearest(required, names()) {
                    Some(near) => format!("did you mean {{{near}}}"),
                    None => format!("columns: {}", list(names())),
                },
            };
            return Err(SourceError::new(
                SourceErrorKind::Columns,
                format!(
                    "the embed-text recipe names {{{required}}}, which is no further column {place}; {hint}"
                ),
            ));
        }
        Ok(())
    }

    /// The error for a file without a question and without an answer.
    pub(crate) fn no_faq(&self, headers: &[impl AsRef<str>], place: &str) -> SourceError {
        let error = self.no_question(headers, place);
        if self.given.is_empty() && !self.data_sets && resembling(headers).is_none() {
            error.with_hint("; a table without questions is read as a data set with --input FILE")
        } else {
            error
        }
    }

    /// The error for a table without a question and without an answer.
    pub(crate) fn no_question(&self, headers: &[impl AsRef<str>], place: &str) -> SourceError {
        let names = || {
            headers
                .iter()
                .map(AsRef::as_ref)
                .filter(|name| !name.is_empty())
        };
        let hint = match resembling(headers) {
            Some(name) => format!("did you mean --map question={:?}", shorten(name)),
            None => "name it with --map question=COLUMN".to_owned(),
        };
        SourceError::new(
            SourceErrorKind::Columns,
            format!(
                "no question column {place} (columns: {}); {hint}",
                list(names())
            ),
        )
    }
}

/// A header that may be meant for the question.
fn resembling(headers: &[impl AsRef<str>]) -> Option<&str> {
    let mut names = headers.iter().map(AsRef::as_ref);
    names.find(|name| {
        let name = fold(name);
        let known = Field::Question.headers();
        !name.is_empty()
            && (nearest(&name, known.iter().copied()).is_some()
                || ["вопрос", "question"]
                    .iter()
                    .any(|stem| name.contains(stem)))
    })
}

fn find(column: &str, headers: &[impl AsRef<str>], folded: &[String]) -> Option<usize> {
    let exact = headers.iter().position(|header| header.as_ref() == column);
    exact.or_else(|| {
        let column = fold(column);
        folded
            .iter()
            .position(|header| *header == column && !column.is_empty())
    })
}

/// A header without what people vary: case, spaces, punctuation, ё.
pub(crate) fn fold(header: &str) -> String {
    storage_core::normalise(header)
        .chars()
        .filter(|char| char.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .map(|char| if char == 'ё' { 'е' } else { char })
        .collect()
}

#[cfg(test)]
mod tests;
