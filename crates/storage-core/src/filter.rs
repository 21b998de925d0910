//! Which rows a search or a scan takes: typed predicates, decided in one place for every backend.

use std::cmp::Ordering;

use crate::{Document, MetadataValue};

/// Restricts a scan or a search. Empty, it takes every row. All parts must hold.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Filter {
    /// Only this category, compared without regard to case.
    pub category: Option<String>,
    /// Only chunks of this document.
    pub document: Option<String>,
    /// Only rows whose question or answer contains this text, compared without regard to case.
    pub contains: Option<String>,
    /// Conditions on metadata, `category` and `subcategory` included.
    pub metadata: Vec<MetadataPredicate>,
}

/// One condition on one metadata key.
#[derive(Debug, Clone, PartialEq)]
pub struct MetadataPredicate {
    /// The key.
    pub key: String,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what.
    pub value: MetadataValue,
}

/// How a metadata value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `!=`; also holds where the key is absent.
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Filter {
    /// Whether every row passes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the row passes.
    #[must_use]
    pub fn matches(&self, document: &Document) -> bool {
        self.document
            .as_deref()
            .is_none_or(|id| id == document.key.document)
            && self.category.as_deref().is_none_or(|wanted| {
                document
                    .category
                    .as_deref()
                    .is_some_and(|category| same_text(wanted, category))
            })
            && self.contains.as_deref().is_none_or(|wanted| {
                let wanted = wanted.to_lowercase();
                [&document.title, &document.body]
                    .into_iter()
                    .any(|text| text.to_lowercase().contains(&wanted))
            })
            && self
                .metadata
                .iter()
                .all(|predicate| predicate.matches(document))
    }
}

impl MetadataPredicate {
    /// Reads `KEY=VALUE`, or another of `!= < <= > >=` in place of `=`. A value is a whole number, a number, `true` or
    /// `false` where it reads as one, and text where it does not or stands in quotes. `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        const SIGNS: [(&str, Comparison); 6] = [
            ("!=", NotEqual),
            (">=", GreaterOrEqual),
            ("<=", LessOrEqual),
            ("=", Equal),
            (">", Greater),
            ("<", Less),
        ];
        let (at, sign, comparison) = SIGNS
            .iter()
            .filter_map(|(sign, comparison)| text.find(sign).map(|at| (at, sign, *comparison)))
            // The leftmost sign counts; of two at one place the longer one, which the list names first.
            .min_by_key(|(at, sign, _)| (*at, usize::MAX - sign.len()))
            .filter(|(at, _, _)| *at > 0)?;
        let value = text[at + sign.len()..].trim();
        let quoted = value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'));
        let value = match (quoted, value) {
            (Some(text), _) => MetadataValue::String(text.to_owned()),
            (None, "true") => MetadataValue::Bool(true),
            (None, "false") => MetadataValue::Bool(false),
            (None, text) => match (text.parse::<i64>(), text.parse::<f64>()) {
                (Ok(whole), _) => MetadataValue::I64(whole),
                (_, Ok(real)) if real.is_finite() => MetadataValue::F64(real),
                _ => MetadataValue::String(text.to_owned()),
            },
        };
        Some(Self {
            key: text[..at].trim().to_owned(),
            comparison,
            value,
        })
    }

    fn matches(&self, document: &Document) -> bool {
        let text = |text: &Option<String>| {
            text.as_ref()
                .map(|text| MetadataValue::String(text.clone()))
        };
        let own = match (self.key.as_str(), document.metadata.get(&self.key)) {
            (_, Some(value)) => Some(value.clone()),
            ("category", None) => text(&document.category),
            ("subcategory", None) => text(&document.subcategory),
            (_, None) => None,
        };
        match own {
            None => self.comparison == Comparison::NotEqual,
            Some(MetadataValue::List(values)) => {
                // A list equals a value when it holds it; only equality means anything for lists.
                let holds = values
                    .iter()
                    .any(|value| compare(value, &self.value) == Some(Ordering::Equal));
                match self.comparison {
                    Comparison::Equal => holds,
                    Comparison::NotEqual => !holds,
                    _ => false,
                }
            }
            Some(value) => match (compare(&value, &self.value), self.comparison) {
                (None, comparison) => comparison == Comparison::NotEqual,
                (Some(order), Comparison::Equal) => order.is_eq(),
                (Some(order), Comparison::NotEqual) => order.is_ne(),
                (Some(order), Comparison::Less) => order.is_lt(),
                (Some(order), Comparison::LessOrEqual) => order.is_le(),
                (Some(order), Comparison::Greater) => order.is_gt(),
                (Some(order), Comparison::GreaterOrEqual) => order.is_ge(),
            },
        }
    }
}

/// Numbers compare as numbers, texts as texts without regard to case. A text that reads as a number compares with
/// numbers too: spreadsheets keep many numbers as text. `None` where two types have no order.
fn compare(left: &MetadataValue, right: &MetadataValue) -> Option<Ordering> {
    use MetadataValue::{Bool, F64, I64, String};
    match (left, right) {
        (I64(left), I64(right)) => Some(left.cmp(right)),
        (Bool(left), Bool(right)) => Some(left.cmp(right)),
        (String(left), String(right)) => Some(left.to_lowercase().cmp(&right.to_lowercase())),
        (String(text), I64(_) | F64(_)) => text
            .trim()
            .parse::<f64>()
            .ok()?
            .partial_cmp(&number(right)?),
        (I64(_) | F64(_), String(text)) => {
            number(left)?.partial_cmp(&text.trim().parse::<f64>().ok()?)
        }
        _ => number(left)?.partial_cmp(&number(right)?),
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "comparing with a fraction: beyond 2^53 the fraction has no digits"
)]
fn number(value: &MetadataValue) -> Option<f64> {
    match value {
        MetadataValue::I64(number) => Some(*number as f64),
        MetadataValue::F64(number) => Some(*number),
        _ => None,
    }
}

fn same_text(left: &str, right: &str) -> bool {
    left == right || left.to_lowercase() == right.to_lowercase()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{CollectionName, DocumentKey, Locator, SourceId};

    fn document() -> Document {
        Document {
            key: DocumentKey {
                collection: CollectionName::new("faq").unwrap(),
                document: "a".into(),
                chunk: 0,
            },
            source: SourceId::new("s").unwrap(),
            title: "Вопрос".into(),
            body: "Ответ".into(),
            category: Some("Карты".into()),
            subcategory: None,
            metadata: BTreeMap::from([
                ("year".to_owned(), MetadataValue::I64(2023)),
                ("price".to_owned(), MetadataValue::String("10.5".into())),
                (
                    "tags".to_owned(),
                    MetadataValue::List(vec![MetadataValue::String("vip".into())]),
                ),
            ]),
            locator: Locator::default(),
        }
    }

    fn holds(key: &str, comparison: Comparison, value: MetadataValue) -> bool {
        let predicate = MetadataPredicate {
            key: key.into(),
            comparison,
            value,
        };
        Filter {
            metadata: vec![predicate],
            ..Filter::default()
        }
        .matches(&document())
    }

    #[test]
    fn conditions_are_typed() {
        let read = |text: &str| {
            MetadataPredicate::parse(text)
                .map(|found| (found.key, found.comparison, found.value))
                .unwrap()
        };
        let text = |text: &str| MetadataValue::String(text.to_owned());
        assert_eq!(
            read("year>=2020"),
            (
                "year".into(),
                Comparison::GreaterOrEqual,
                MetadataValue::I64(2020)
            )
        );
        assert_eq!(
            read("Приоритет = высокий"),
            ("Приоритет".into(), Comparison::Equal, text("высокий"))
        );
        assert_eq!(
            read("a!=b=c"),
            ("a".into(), Comparison::NotEqual, text("b=c"))
        );
        assert_eq!(
            read("x<1.5"),
            ("x".into(), Comparison::Less, MetadataValue::F64(1.5))
        );
        assert_eq!(
            read("id=\"007\""),
            ("id".into(), Comparison::Equal, text("007"))
        );
        assert!(MetadataPredicate::parse("nothing").is_none());
        assert!(MetadataPredicate::parse("=x").is_none());
    }

    #[test]
    fn values_compare_as_what_they_are() {
        use Comparison::{Equal, Greater, GreaterOrEqual, Less, NotEqual};
        let text = |text: &str| MetadataValue::String(text.into());
        for (expected, key, comparison, value) in [
            (true, "year", GreaterOrEqual, MetadataValue::I64(2023)),
            (false, "year", Greater, MetadataValue::F64(2023.0)),
            (true, "year", Less, MetadataValue::I64(10_000)),
            (true, "price", Greater, MetadataValue::I64(9)),
            (true, "tags", Equal, text("VIP")),
            (false, "tags", NotEqual, text("vip")),
            (true, "category", Equal, text("карты")),
            (false, "absent", Equal, text("x")),
            (true, "absent", NotEqual, text("x")),
            (false, "year", Equal, MetadataValue::Bool(true)),
        ] {
            assert_eq!(
                holds(key, comparison, value.clone()),
                expected,
                "{key} {comparison:?} {value:?}"
            );
        }
    }

    #[test]
    fn parts_must_all_hold() {
        let filter = Filter {
            category: Some("КАРТЫ".into()),
            contains: Some("отв".into()),
            ..Filter::default()
        };
        assert!(filter.matches(&document()));
        assert!(
            !Filter {
                document: Some("b".into()),
                ..filter
            }
            .matches(&document())
        );
    }
}
