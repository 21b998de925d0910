//! The rows' texts: one stretch of bytes for all of them, names once each. A [`Document`] is made for what is asked
//! for only; a hundred thousand of them side by side would take as much memory as a quarter of their vectors.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use storage_core::{
    CollectionName, Document, DocumentKey, Locator, MetadataValue, Result, SourceId, StoreError,
    StoreErrorKind,
};

use super::bytes::{Reader, put, put_number};

/// A name by its number.
type Name = u32;

/// The rows, in key order.
#[derive(Debug, Default)]
pub(super) struct Packed {
    rows: Vec<Row>,
    documents: Vec<Stretch>,
    /// Document ids, one after the other.
    ids: String,
    /// Everything else of the rows, one after the other.
    bytes: Vec<u8>,
    /// Sheets, subcategories and keys of metadata.
    names: Vec<Box<str>>,
    sources: Vec<SourceId>,
    categories: Vec<Category>,
    /// While rows are added.
    known: Known,
}

#[derive(Debug, Default)]
struct Known {
    names: HashMap<Box<str>, Name>,
    sources: HashMap<SourceId, u32>,
    categories: HashMap<String, u32>,
}

#[derive(Debug)]
struct Row {
    /// Where its bytes begin.
    start: u64,
    document: u32,
    chunk: u32,
    /// Its category's number, from 1; 0 for none.
    category: u32,
    source: u32,
}

/// A document: its id ends here, and its rows begin here.
#[derive(Debug)]
struct Stretch {
    id_end: u64,
    first_row: u32,
}

/// A category and its rows.
#[derive(Debug)]
pub(super) struct Category {
    name: String,
    /// As it is compared.
    lower: String,
    pub(super) rows: Vec<u32>,
}

impl Category {
    /// Whether a filter that names `wanted` takes it; `lower` is that name in lower case.
    pub(super) fn is(&self, wanted: &str, lower: &str) -> bool {
        self.name == wanted || self.lower == lower
    }
}

/// Which parts of a row are decoded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) texts: bool,
    /// Only these keys; all of them where none are named.
    pub(super) metadata: Option<&'a [Name]>,
}

impl Parts<'_> {
    pub(super) const ALL: Self = Self {
        texts: true,
        metadata: None,
    };
}

/// What stands in a row's bytes, undecoded.
pub(super) struct Fields<'a> {
    pub(super) title: &'a str,
    pub(super) body: &'a str,
    subcategory: Name,
    locator: Locator,
    metadata: Reader<'a>,
}

impl Packed {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn documents(&self) -> usize {
        self.documents.len()
    }

    pub(super) fn categories(&self) -> &[Category] {
        &self.categories
    }

    /// Bytes on the heap.
    pub(super) fn size(&self) -> usize {
        let lists: usize = self
            .categories
            .iter()
            .map(|list| 4 * list.rows.capacity())
            .sum();
        self.rows.capacity() * size_of::<Row>()
            + self.documents.capacity() * size_of::<Stretch>()
            + self.ids.capacity()
            + self.bytes.capacity()
            + lists
    }

    /// Room for so many rows.
    pub(super) fn with_room(rows: usize) -> Self {
        Self {
            rows: Vec::with_capacity(rows),
            ..Self::default()
        }
    }

    /// Adds a row behind all others.
    pub(super) fn push(&mut self, document: &Document) -> Result<()> {
        let row = u32::try_from(self.rows.len()).map_err(|_| too_many())?;
        let key = &document.key;
        let ordinal = match self.documents.len().checked_sub(1) {
            Some(last) if self.id(last) == key.document => {
                if self.rows.last().is_some_and(|row| row.chunk >= key.chunk) {
                    return Err(out_of_order());
                }
                last
            }
            last => {
                if last.is_some_and(|last| self.id(last) >= key.document.as_str()) {
                    return Err(out_of_order());
                }
                self.ids.push_str(&key.document);
                self.documents.push(Stretch {
                    id_end: self.ids.len() as u64,
                    first_row: row,
                });
                self.documents.len() - 1
            }
        };
        let category = match &document.category {
            Some(name) => self.category(name, row)?,
            None => 0,
        };
        let source = self.source(&document.source)?;
        self.rows.push(Row {
            start: self.bytes.len() as u64,
            document: u32::try_from(ordinal).map_err(|_| too_many())?,
            chunk: key.chunk,
            category,
            source,
        });
        self.write(document)
    }

    /// Ends the adding: what it needed is given back.
    pub(super) fn finish(&mut self) {
        self.known = Known::default();
        self.rows.shrink_to_fit();
        self.documents.shrink_to_fit();
        self.ids.shrink_to_fit();
        self.bytes.shrink_to_fit();
        for category in &mut self.categories {
            category.rows.shrink_to_fit();
        }
    }

    fn write(&mut self, document: &Document) -> Result<()> {
        let subcategory = self.optional_name(document.subcategory.as_deref())?;
        let sheet = self.optional_name(document.locator.sheet.as_deref())?;
        put_number(&mut self.bytes, subcategory.into());
        put_number(&mut self.bytes, sheet.into());
        let (start, end) = document.locator.span.unzip();
        let Locator { row, page, .. } = document.locator;
        for number in [row, page.map(u64::from), start, end] {
            self.bytes.push(u8::from(number.is_some()));
            if let Some(number) = number {
                put_number(&mut self.bytes, number);
            }
        }
        put(&mut self.bytes, document.title.as_bytes());
        put(&mut self.bytes, document.body.as_bytes());
        put_number(&mut self.bytes, document.metadata.len() as u64);
        let mut encoded = Vec::new();
        for (key, value) in &document.metadata {
            let key = self.name(key)?;
            put_number(&mut self.bytes, key.into());
            encoded.clear();
            super::bytes::put_value(&mut encoded, value);
            put(&mut self.bytes, &encoded);
        }
        Ok(())
    }

    fn category(&mut self, name: &str, row: u32) -> Result<u32> {
        let number = match self.known.categories.get(name) {
            Some(number) => *number,
            None => {
                self.categories.push(Category {
                    name: name.to_owned(),
                    lower: name.to_lowercase(),
                    rows: Vec::new(),
                });
                let number = u32::try_from(self.categories.len()).map_err(|_| too_many())?;
                self.known.categories.insert(name.to_owned(), number);
                number
            }
        };
        self.categories[number as usize - 1].rows.push(row);
        Ok(number)
    }

    fn source(&mut self, source: &SourceId) -> Result<u32> {
        if let Some(number) = self.known.sources.get(source) {
            return Ok(*number);
        }
        let number = u32::try_from(self.sources.len()).map_err(|_| too_many())?;
        self.sources.push(source.clone());
        self.known.sources.insert(source.clone(), number);
        Ok(number)
    }

    /// 0 for none.
    fn optional_name(&mut self, name: Option<&str>) -> Result<Name> {
        name.map_or(Ok(0), |name| self.name(name))
    }

    fn name(&mut self, name: &str) -> Result<Name> {
        if let Some(number) = self.known.names.get(name) {
            return Ok(*number);
        }
        self.names.push(name.into());
        let number = Name::try_from(self.names.len()).map_err(|_| too_many())?;
        self.known.names.insert(name.into(), number);
        Ok(number)
    }

    /// The numbers of names, without those that no row has.
    pub(super) fn numbers_of(&self, names: &[&str]) -> Vec<Name> {
        (1..)
            .zip(&self.names)
            .filter(|(_, name)| names.contains(&&***name))
            .map(|(number, _)| number)
            .collect()
    }

    fn spelt(&self, name: Name) -> Option<&str> {
        Some(self.names.get((name as usize).checked_sub(1)?)?)
    }

    /// The id of a document by its number.
    pub(super) fn id(&self, ordinal: usize) -> &str {
        let start = match ordinal.checked_sub(1) {
            Some(before) => self.documents.get(before).map_or(0, |before| before.id_end),
            None => 0,
        };
        let end = self.documents.get(ordinal).map_or(start, |own| own.id_end);
        self.ids
            .get(start as usize..end as usize)
            .unwrap_or_default()
    }

    /// The number of a document.
    pub(super) fn ordinal(&self, id: &str) -> Option<usize> {
        let (mut low, mut high) = (0, self.documents.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.id(middle).cmp(id) {
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// The rows of a document by its number.
    pub(super) fn rows_of(&self, ordinal: usize) -> Range<usize> {
        let first = |ordinal: usize| {
            let document = self.documents.get(ordinal);
            document.map_or(self.rows.len(), |document| document.first_row as usize)
        };
        first(ordinal)..first(ordinal + 1)
    }

    /// The number of a row's document.
    pub(super) fn document_of(&self, row: usize) -> usize {
        self.rows.get(row).map_or(0, |row| row.document as usize)
    }

    pub(super) fn chunk(&self, row: usize) -> u32 {
        self.rows.get(row).map_or(0, |row| row.chunk)
    }

    pub(super) fn category_of(&self, row: usize) -> Option<&str> {
        let number = self.rows.get(row)?.category as usize;
        let category = self.categories.get(number.checked_sub(1)?)?;
        Some(&category.name)
    }

    pub(super) fn source_of(&self, row: usize) -> Option<&SourceId> {
        self.sources.get(self.rows.get(row)?.source as usize)
    }

    pub(super) fn subcategory(&self, fields: &Fields<'_>) -> Option<&str> {
        self.spelt(fields.subcategory)
    }

    /// A row's fields, found but not copied; `None` behind the last row.
    pub(super) fn fields(&self, row: usize) -> Option<Fields<'_>> {
        let start = self.rows.get(row)?.start as usize;
        let mut reader = Reader(self.bytes.get(start..)?);
        let subcategory = reader.name();
        let sheet = reader.name();
        let mut number = || reader.optional_number();
        let (row, page, start, end) = (number(), number(), number(), number());
        let locator = Locator {
            sheet: self.spelt(sheet).map(str::to_owned),
            row,
            page: page.and_then(|page| u32::try_from(page).ok()),
            span: start.zip(end),
        };
        Some(Fields {
            title: reader.text(),
            body: reader.text(),
            subcategory,
            locator,
            metadata: reader,
        })
    }

    /// A row, or those parts of it.
    pub(super) fn document(
        &self,
        collection: &CollectionName,
        row: usize,
        parts: Parts<'_>,
    ) -> Option<Document> {
        let mut fields = self.fields(row)?;
        let text = |text: &str| {
            if parts.texts {
                text.to_owned()
            } else {
                String::new()
            }
        };
        Some(Document {
            key: DocumentKey {
                collection: collection.clone(),
                document: self.id(self.document_of(row)).to_owned(),
                chunk: self.chunk(row),
            },
            source: self.source_of(row)?.clone(),
            title: text(fields.title),
            body: text(fields.body),
            category: self.category_of(row).map(str::to_owned),
            subcategory: self.subcategory(&fields).map(str::to_owned),
            metadata: self.metadata(&mut fields.metadata, parts.metadata),
            locator: fields.locator,
        })
    }

    fn metadata(
        &self,
        reader: &mut Reader<'_>,
        wanted: Option<&[Name]>,
    ) -> BTreeMap<String, MetadataValue> {
        let mut metadata = BTreeMap::new();
        for _ in 0..reader.number() {
            let (name, value) = (reader.name(), reader.slice());
            if wanted.is_none_or(|wanted| wanted.contains(&name))
                && let Some(key) = self.spelt(name)
            {
                metadata.insert(key.to_owned(), Reader(value).value());
            }
        }
        metadata
    }
}

fn too_many() -> StoreError {
    StoreError::new(
        StoreErrorKind::Unsupported,
        "load",
        "the collection has more rows than an index in memory can number; split it",
    )
}

fn out_of_order() -> StoreError {
    StoreError::new(
        StoreErrorKind::Corrupt,
        "load",
        "the store hands its rows out in another order than that of their keys; check it with `smart-support validate`",
    )
}
