//! What rows and vectors refer to, written before them: versions, runs, collections, sources. Where one is lost, what
//! can still be said of it is worked out from everything that speaks of it.

use std::collections::{BTreeMap, BTreeSet};

use storage_core::{CollectionName, SourceId};

use crate::error::{Failure, Outcome};
use crate::salvage::rebuild::{Known, Rebuild, numbered, rejected};
use crate::salvage::record::Value;
use crate::salvage::tables::{self, Collection};
use crate::sql;

impl Rebuild<'_> {
    pub(super) fn versions(&mut self) -> Outcome<()> {
        let mut insert = self.conn.prepare_cached(sql::SALVAGE_VERSION)?;
        for (number, row) in &self.salvage.small.versions {
            insert.execute(rusqlite::params_from_iter(numbered(*number, row)))?;
        }
        if self.salvage.small.mended > 0 {
            self.note("a flipped bit in the description of a model".to_owned());
        }
        Ok(())
    }

    pub(super) fn runs(&mut self) -> Outcome<()> {
        let mut insert = self.conn.prepare_cached(sql::SALVAGE_RUN)?;
        for (number, row) in &self.salvage.small.runs {
            // A line that breaks a rule of its table is kept by its name only, where rows need it.
            if rejected(insert.execute(rusqlite::params_from_iter(numbered(*number, row))))?
                .is_some()
            {
                self.runs.insert(*number);
            }
        }
        Ok(())
    }

    pub(super) fn run(&mut self, number: i64) -> Outcome<()> {
        if self.runs.insert(number) {
            let known = self.salvage.small.runs.get(&number);
            let name = known.and_then(|row| row[0].text()).map(str::to_owned);
            let mut insert = self.conn.prepare_cached(sql::SALVAGE_RUN_NAME)?;
            let name = name.unwrap_or_else(|| format!("recovered-{number}"));
            if rejected(insert.execute((number, name)))?.is_none() {
                insert.execute((number, format!("recovered-{number}")))?;
            }
            drop(insert);
            self.note(format!("the ledger's line of run {number} is lost"));
        }
        Ok(())
    }

    /// Names of this kind that the ledger knows: a witness for names that nothing else proves.
    fn in_ledger(&self, column: usize, name: &str) -> bool {
        let mut runs = self.salvage.small.runs.values();
        runs.any(|row| row.get(column).and_then(Value::text) == Some(name))
    }

    pub(super) fn collections(&mut self) -> Outcome<()> {
        let salvage = self.salvage;
        for (number, stored) in &salvage.small.collections {
            self.collection(*number, Some(stored))?;
        }
        Ok(())
    }

    /// Writes a collection: as stored, or what can be said of one whose row is lost.
    pub(super) fn collection(&mut self, number: i64, stored: Option<&Collection>) -> Outcome<()> {
        if self.collections.contains_key(&number) {
            return Ok(());
        }
        let indexed = self.salvage.witnesses.collections.get(&number);
        let own = stored.map(|stored| &stored.name);
        let name = match (own, indexed) {
            (Some(own), Some(indexed)) if own != indexed && self.in_ledger(2, indexed) => indexed,
            (Some(own), _) => own,
            (None, Some(indexed)) => indexed,
            (None, None) => &self.unnamed_collection(number),
        };
        let name = CollectionName::new(name.clone())
            .map_err(|error| Failure::corrupt("repair", error.to_string()))?;
        let mut links: BTreeMap<i64, u64> = BTreeMap::new();
        for (_, version) in self.salvage.witnesses.links.keys() {
            *links.entry(*version).or_default() += 1;
        }
        let known = |version: &i64| self.salvage.small.versions.contains_key(version);
        let most = links
            .iter()
            .filter(|(version, _)| known(version))
            .max_by_key(|(_, count)| **count)
            .map(|(version, _)| *version)
            .or_else(|| self.salvage.small.versions.keys().next().copied());
        let empty = stored.is_some_and(|stored| stored.records == 0 && stored.active.is_none());
        let active = stored
            .and_then(|stored| stored.active)
            .filter(known)
            .filter(|version| links.is_empty() || links.contains_key(version))
            .or(most.filter(|_| !empty));
        let previous = stored.and_then(|stored| stored.previous).filter(known);
        let recipe = stored.map(tables::recipe).unwrap_or_default();
        let generation = stored.map_or(1, |stored| stored.generation.min(i64::MAX >> 8));
        let mut insert = self.conn.prepare_cached(sql::SALVAGE_COLLECTION)?;
        let mut name = name;
        let threshold = stored.and_then(|stored| stored.threshold);
        let row = |name: &CollectionName| {
            (
                number,
                name.to_string(),
                active,
                previous,
                recipe.as_str().to_owned(),
                generation,
                threshold,
            )
        };
        if rejected(insert.execute(row(&name)))?.is_none() {
            name = CollectionName::new(format!("recovered-{number}"))
                .map_err(|error| Failure::corrupt("repair", error.to_string()))?;
            insert.execute(row(&name))?;
        }
        drop(insert);
        if stored.is_none() {
            self.note(format!(
                "collection {name}: its name, its recipe and the version it serves are worked out"
            ));
        } else if stored.and_then(|stored| stored.active) != active {
            self.note(format!(
                "collection {name}: the version it serves is worked out"
            ));
        }
        self.collections.insert(
            number,
            Known {
                name,
                active,
                previous,
                recipe,
            },
        );
        Ok(())
    }

    /// The one collection that runs speak of and that is nowhere else, if there is just one.
    fn unnamed_collection(&self, number: i64) -> String {
        let named: BTreeSet<&str> = self
            .salvage
            .small
            .runs
            .values()
            .filter_map(|row| row[2].text())
            .filter(|name| {
                let mut others = self.salvage.small.collections.values();
                !others.any(|other| other.name == *name)
            })
            .collect();
        match named.iter().next() {
            Some(name) if named.len() == 1 => (*name).to_owned(),
            _ => format!("recovered-{number}"),
        }
    }

    /// Writes the source of a row, in the row's collection: the row's checksum covers both numbers.
    pub(super) fn source(&mut self, number: i64, collection: i64) -> Outcome<SourceId> {
        if let Some((_, id)) = self.sources.get(&number) {
            return Ok(id.clone());
        }
        let row = self.salvage.small.sources.get(&number);
        let indexed = self.salvage.witnesses.sources.get(&number);
        let own = row.and_then(|row| row[1].text());
        let id = match (own, indexed) {
            (Some(own), Some((_, indexed))) if own != indexed && self.in_ledger(3, indexed) => {
                indexed
            }
            (Some(own), _) => own,
            (None, Some((_, indexed))) => indexed,
            (None, None) => {
                let found = self.unnamed_source(number);
                self.note(format!("source {number}: its name is lost, now {found}"));
                &found.clone()
            }
        };
        let id = SourceId::new(id)
            .or_else(|_| SourceId::new(format!("recovered-{number}")))
            .map_err(|error| Failure::corrupt("repair", error.to_string()))?;
        let described = |column: usize| row.map_or(&Value::Null, |row| &row[column]);
        let (kind, location) = (described(2), described(3));
        let mut insert = self.conn.prepare_cached(sql::SALVAGE_SOURCE)?;
        let mut id = id;
        if rejected(insert.execute((number, collection, id.as_str(), kind, location)))?.is_none() {
            id = SourceId::new(format!("recovered-{number}"))
                .map_err(|error| Failure::corrupt("repair", error.to_string()))?;
            insert.execute((number, collection, id.as_str(), Value::Null, Value::Null))?;
        }
        self.sources.insert(number, (collection, id.clone()));
        Ok(id)
    }

    fn unnamed_source(&self, number: i64) -> String {
        let runs = self.salvage.small.runs.values();
        let named: BTreeSet<&str> = runs.filter_map(|row| row[3].text()).collect();
        match named.iter().next() {
            Some(name) if named.len() == 1 => (*name).to_owned(),
            _ => format!("recovered-{number}"),
        }
    }
}
