//! Collections by name: a name is unique only within its database.

use std::collections::HashMap;

use storage_core::{ImportError, ImportErrorKind};

pub(super) const DEFAULT_DATABASE: &str = "default_database";
pub(super) const DEFAULT_TENANT: &str = "default_tenant";

/// As many names as a message lists.
const LISTED: usize = 20;

/// Where a collection is and what it is called there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) tenant: String,
    pub(super) database: String,
    pub(super) name: String,
}

impl Name {
    fn is_called(&self, wanted: &str) -> bool {
        wanted == self.name
            || wanted == format!("{}/{}", self.database, self.name)
            || wanted == format!("{}/{}/{}", self.tenant, self.database, self.name)
    }
}

/// What each is called where all are listed together, and a note where that is not its own name alone.
pub(super) fn titles(names: &[&Name]) -> Vec<(String, Option<String>)> {
    let mut times = HashMap::new();
    for name in names {
        *times.entry(&name.name).or_insert(0) += 1;
    }
    names
        .iter()
        .map(|at| {
            if times[&at.name] == 1 {
                return (at.name.clone(), None);
            }
            // The plain name stays with the place where people put collections without thinking of databases.
            let title = match (&*at.tenant, &*at.database) {
                (DEFAULT_TENANT, DEFAULT_DATABASE) => at.name.clone(),
                (DEFAULT_TENANT, database) => format!("{database}/{}", at.name),
                (tenant, database) => format!("{tenant}/{database}/{}", at.name),
            };
            let note = format!(
                "several databases have a collection `{}`; this is the one of database `{}`, tenant `{}`",
                at.name, at.database, at.tenant
            );
            (title, Some(note))
        })
        .collect()
}

/// Keeps those that are wanted, in their order; no names mean all.
///
/// # Errors
/// `NotFound` for a name that none has, with the names there are.
pub(super) fn select<T>(
    all: Vec<T>,
    name: impl Fn(&T) -> (&Name, &str),
    wanted: &[String],
    place: &str,
) -> Result<Vec<T>, ImportError> {
    // A name that stands in the listing as it is means that one, and not its namesakes in other databases.
    let listed = |wanted: &str| all.iter().any(|one| name(one).1 == wanted);
    let exact: Vec<bool> = wanted.iter().map(|wanted| listed(wanted)).collect();
    let means = |one: &T, position: usize| match exact[position] {
        true => name(one).1 == wanted[position],
        false => name(one).0.is_called(&wanted[position]),
    };
    for (position, wanted) in wanted.iter().enumerate() {
        if !all.iter().any(|one| means(one, position)) {
            let there = all.iter().map(|one| name(one).1).collect();
            return Err(missing("collection", wanted, there, place));
        }
    }
    let kept: Vec<bool> = all
        .iter()
        .map(|one| wanted.is_empty() || (0..wanted.len()).any(|position| means(one, position)))
        .collect();
    let all = all.into_iter().zip(kept);
    Ok(all.filter_map(|(one, keep)| keep.then_some(one)).collect())
}

/// Something that is not there, what could have been meant, and what there is.
pub(super) fn missing(what: &str, wanted: &str, there: Vec<&str>, place: &str) -> ImportError {
    let near = there
        .iter()
        .map(|name| {
            let distance =
                strsim::damerau_levenshtein(&name.to_lowercase(), &wanted.to_lowercase());
            (distance, *name)
        })
        .filter(|(distance, name)| *distance <= 1 + name.chars().count() / 4)
        .min();
    let near = near.map_or_else(String::new, |(_, name)| format!("; did you mean `{name}`?"));
    let mut names = there
        .iter()
        .take(LISTED)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    if there.len() > LISTED {
        names.push_str(&format!(" and {} more", there.len() - LISTED));
    }
    if !names.is_empty() {
        names.insert_str(0, "; there are: ");
    }
    ImportError::new(
        ImportErrorKind::NotFound,
        format!("no {what} `{wanted}` in {place}{near}{names}"),
    )
}
