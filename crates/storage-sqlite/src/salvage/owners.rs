//! What rows and vectors refer to, written before them: versions, runs, collections, sources. Where one is lost, what
//! can still be said of it is worked out from everything that speaks of it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use storage_core::{CollectionName, EmbedText, SourceId, SpaceId, VersionId, VersionState};

use crate::error::{Failure, Outcome};
use crate::salvage::rebuild::{Known, Rebuild, numbered, rejected};
use crate::salvage::record::Value;
use crate::salvage::tables::{Collection, Version};
use crate::sql;

impl Rebuild<'_> {
    pub(super) fn spaces(&mut self) -> Outcome<()> {
        let mut insert = self.conn.prepare_cached(sql::SALVAGE_SPACE)?;
        for (number, row) in &self.salvage.small.spaces {
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
        let empty = stored.is_some_and(|stored| stored.records == 0 && stored.active.is_none());
        let versions = self.versions_of(number, empty);
        let links = self.links();
        let known = |version: &i64| versions.contains_key(version);
        let linked = |version: &i64| links.keys().any(|(found, _)| found == version);
        let was_previous = stored.and_then(|stored| stored.previous).filter(known);
        let active = stored
            .and_then(|stored| stored.active)
            .filter(known)
            .filter(|version| links.is_empty() || linked(version))
            .or_else(|| {
                (!empty)
                    .then(|| self.served(name.as_str(), &versions, &links, was_previous))
                    .flatten()
            });
        let previous = was_previous.filter(|version| Some(*version) != active);
        let generation = stored.map_or(1, |stored| stored.generation.min(i64::MAX >> 8));
        let mut insert = self.conn.prepare_cached(sql::SALVAGE_COLLECTION)?;
        let mut name = name;
        if rejected(insert.execute((number, name.as_str(), generation)))?.is_none() {
            name = CollectionName::new(format!("recovered-{number}"))
                .map_err(|error| Failure::corrupt("repair", error.to_string()))?;
            insert.execute((number, name.as_str(), generation))?;
        }
        drop(insert);
        let mut insert = self.conn.prepare_cached(sql::SALVAGE_VERSION)?;
        for (version, row) in &versions {
            insert.execute((
                version,
                number,
                row.space,
                &row.recipe,
                row.state.as_str(),
                &row.calibration,
                &row.evaluation,
                row.created_at,
            ))?;
        }
        drop(insert);
        self.conn
            .prepare_cached(sql::SALVAGE_POINTERS)?
            .execute((number, active, previous))?;
        if stored.is_none() {
            self.note(format!(
                "collection {name}: its name, its recipe and the version it serves are worked out"
            ));
        } else if stored.and_then(|stored| stored.active) != active {
            let chosen = active
                .and_then(|active| self.id(&versions[&active]))
                .map_or_else(|| "none".to_owned(), |id| id.short().to_owned());
            self.note(format!(
                "collection {name}: the pointer to the version it serves was lost, chosen: {chosen}; compare with \
                 `smart-support model list --collection {name}`"
            ));
        }
        let versions = versions
            .into_iter()
            .map(|(version, row)| {
                let recipe = EmbedText::parse(&row.recipe).unwrap_or_default();
                (version, (row.space, recipe))
            })
            .collect();
        self.collections.insert(
            number,
            Known {
                name,
                active,
                versions,
            },
        );
        Ok(())
    }

    /// The version that a collection whose pointer is lost most likely served. A candidate that nobody has promoted is as
    /// complete as the one that is served, so the ledger counts for more than rows: only the served version is synced.
    fn served(
        &self,
        collection: &str,
        versions: &BTreeMap<i64, Version>,
        links: &BTreeMap<(i64, i64), u64>,
        previous: Option<i64>,
    ) -> Option<i64> {
        let rows = |version: i64| -> u64 {
            let of_version = links.iter().filter(|((found, _), _)| *found == version);
            of_version.map(|(_, count)| count).sum()
        };
        let any = versions.keys().any(|version| rows(*version) > 0);
        let mut found: Vec<i64> = versions.keys().copied().collect();
        found.retain(|version| !any || rows(*version) > 0);
        let is_built = |version: &i64| versions[version].state != VersionState::Building;
        if found.iter().any(is_built) {
            found.retain(is_built);
        }
        // What a rollback would serve is not what is served.
        let mut others = found.iter().filter(|version| Some(**version) != previous);
        if let (true, Some(only), None) = (previous.is_some(), others.next(), others.next()) {
            return Some(*only);
        }
        self.last_synced(collection, versions, &found).or_else(|| {
            let by_rows = |version: &i64| (rows(*version), Reverse(*version));
            found.into_iter().max_by_key(by_rows)
        })
    }

    /// Which of these versions of a collection the ledger's last sync filled.
    fn last_synced(
        &self,
        collection: &str,
        versions: &BTreeMap<i64, Version>,
        among: &[i64],
    ) -> Option<i64> {
        let named = |name: &str| {
            among.iter().copied().find(|version| {
                let version = &versions[version];
                // Schema 1 named a version by its space.
                self.id(version).is_some_and(|id| id.as_str() == name)
                    || self.space(version.space) == Some(name)
            })
        };
        let synced = self.salvage.small.runs.iter().filter(|(_, run)| {
            let is = |column: usize, text: &str| run[column].text() == Some(text);
            is(1, "sync") && is(2, collection) && is(5, "finished")
        });
        synced
            .filter_map(|(number, run)| {
                let version = named(run[4].text()?)?;
                Some((run[10].integer(), *number, version))
            })
            .max()
            .map(|(.., version)| version)
    }

    fn space(&self, number: i64) -> Option<&str> {
        self.salvage.small.spaces.get(&number)?.first()?.text()
    }

    /// The name of a version, as people know it.
    fn id(&self, version: &Version) -> Option<VersionId> {
        let space = SpaceId::from_stored(self.space(version.space)?);
        Some(VersionId::of(&space, &version.recipe))
    }

    /// How many rows refer to a vector in each version, and the space it lies in.
    fn links(&self) -> BTreeMap<(i64, i64), u64> {
        let mut links = BTreeMap::new();
        for ((_, version), (_, (space, ..))) in &self.salvage.witnesses.links {
            *links.entry((*version, *space)).or_default() += 1;
        }
        links
    }

    /// The versions of a collection: as stored, as the index has them, and where both are lost, the one that most rows
    /// refer to, by the default recipe.
    fn versions_of(&self, number: i64, empty: bool) -> BTreeMap<i64, Version> {
        let small = &self.salvage.small;
        let mut versions: BTreeMap<i64, Version> = small
            .versions
            .iter()
            .filter(|(_, version)| version.collection == number)
            .map(|(number, version)| (*number, version.clone()))
            .collect();
        for (version, (collection, space, recipe)) in &self.salvage.witnesses.versions {
            if *collection == number && !small.versions.contains_key(version) {
                versions.insert(*version, presumed(number, *space, recipe.clone()));
            }
        }
        versions.retain(|_, version| {
            small.spaces.contains_key(&version.space) && EmbedText::parse(&version.recipe).is_ok()
        });
        if versions.is_empty() && !empty {
            let links = self.links();
            let taken = |version: &i64| {
                small.versions.contains_key(version)
                    || self.salvage.witnesses.versions.contains_key(version)
            };
            let most = links
                .iter()
                .filter(|((version, space), _)| small.spaces.contains_key(space) && !taken(version))
                .max_by_key(|(_, count)| **count)
                .map(|((version, space), _)| (*version, *space));
            let last = small
                .versions
                .keys()
                .chain(links.keys().map(|(version, _)| version));
            let next = last.max().map_or(1, |last| last + 1);
            let any = small.spaces.keys().next().map(|space| (next, *space));
            if let Some((version, space)) = most.or(any) {
                let recipe = EmbedText::default().as_str().to_owned();
                versions.insert(version, presumed(number, space, recipe));
            }
        }
        versions
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

/// A version of which only space and recipe are known.
fn presumed(collection: i64, space: i64, recipe: String) -> Version {
    Version {
        collection,
        space,
        recipe,
        state: VersionState::Ready,
        calibration: Value::Null,
        evaluation: Value::Null,
        created_at: 0,
    }
}
