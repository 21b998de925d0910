//! What can still be proved of a damaged store, read past SQLite: every page is looked at, every cell has to prove
//! itself by the checksum of its own, and what follows from rows and vectors is not read but worked out again.
//!
//! Nothing here writes to the damaged file.

mod old;
mod owners;
pub(crate) mod pages;
mod rebuild;
mod record;
mod tables;

pub(crate) use rebuild::rebuild;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::salvage::pages::Pages;
use crate::salvage::record::{Cell, Kind, Node, long};
use crate::salvage::tables::{Small, Witnesses, values};

/// The leaves that may hold something, and what the small tables say.
pub(crate) struct Salvage<'a> {
    pages: &'a Pages,
    leaves: Vec<u32>,
    small: Small,
    witnesses: Witnesses,
}

impl<'a> Salvage<'a> {
    pub(crate) fn of(pages: &'a Pages) -> Self {
        let trees = Trees::walk(pages);
        let leaves = trees.leaves(pages);
        let mut small = Small::default();
        let mut witnesses = Witnesses::default();
        for number in &leaves {
            let Some(page) = pages.page(*number) else {
                continue;
            };
            let node = Node::of(&page, *number).unwrap_or_else(|| Node::presumed(&page));
            let owner = trees.owners.get(number).map(String::as_str);
            for cell in node.cells(pages, |count| {
                count != values::VECTOR && count != values::RECORD
            }) {
                match cell.rowid {
                    Some(_) => small.take(cell),
                    None => witnesses.take(cell, owner),
                }
            }
        }
        old::carry_over(&mut small, &mut witnesses);
        Self {
            pages,
            leaves,
            small,
            witnesses,
        }
    }

    /// Whether anything in the file is a store's.
    pub(crate) fn is_ours(&self) -> bool {
        self.small.is_ours
    }

    /// Every row of the tables with this many values that can be read, each leaf once.
    fn rows(&self, count: usize, mut take: impl FnMut(Cell)) {
        for number in &self.leaves {
            let Some(page) = self.pages.page(*number) else {
                continue;
            };
            let node = Node::of(&page, *number).unwrap_or_else(|| Node::presumed(&page));
            if node.kind == Kind::TableLeaf {
                for cell in node.cells(self.pages, |found| found == count) {
                    take(cell);
                }
            }
        }
        for page in &self.pages.beyond {
            let node = Node::of(page, 0).filter(|node| node.kind == Kind::TableLeaf);
            if let Some(node) = node.filter(|_| count == values::VECTOR) {
                for cell in node.cells(self.pages, |found| found == count) {
                    take(cell);
                }
            }
        }
    }
}

/// Which pages the trees of the schema lead to.
#[derive(Default)]
struct Trees {
    /// The table or index that each page belongs to.
    owners: HashMap<u32, String>,
    free: HashSet<u32>,
    /// A tree led nowhere, in a circle, or to a page of another kind.
    broken: bool,
}

impl Trees {
    fn walk(pages: &Pages) -> Self {
        let mut trees = Self::default();
        trees.walk_free(pages);
        let mut roots = BTreeMap::new();
        for number in trees.tree(pages, 1, "sqlite_schema") {
            let Some(page) = pages.page(number) else {
                continue;
            };
            let Some(node) = Node::of(&page, number) else {
                continue;
            };
            let cells = node.cells(pages, |count| count == 5);
            trees.broken |= node.kind == Kind::TableLeaf && cells.len() != node.claimed();
            for cell in cells {
                if let [_, name, _, root, _] = &cell.values[..]
                    && let (Some(name), Some(root)) = (name.text(), root.integer())
                    && let Ok(root) = u32::try_from(root)
                {
                    roots.insert(root, name.to_owned());
                }
            }
        }
        let lacks = |names: &[&str]| {
            let mut names = names.iter();
            names.any(|name| !roots.values().any(|root| root == name))
        };
        trees.broken |= lacks(&values::TREES) && lacks(&values::OLD_TREES);
        for (root, name) in roots {
            if root > 0 {
                trees.tree(pages, root, &name);
            }
        }
        trees.broken |= trees.leave_out_a_tree(pages);
        trees
    }

    /// Whether a page that nobody gave back looks like one of a tree, and no tree leads to it: the root of a table that
    /// changed places with one of its leaves is a whole tree of one page.
    fn leave_out_a_tree(&self, pages: &Pages) -> bool {
        (1..=pages.count())
            .filter(|number| !self.owners.contains_key(number) && !self.free.contains(number))
            .filter_map(|number| Some((number, pages.page(number)?)))
            .any(|(number, page)| {
                Node::of(&page, number).is_some_and(|node| {
                    !node.cells(pages, |_| true).is_empty() || !node.children().is_empty()
                })
            })
    }

    /// Pages that were given back keep their old rows: those were deleted, and stay so.
    fn walk_free(&mut self, pages: &Pages) {
        let mut trunk = pages
            .page(1)
            .and_then(|page| long(&page, 32))
            .unwrap_or_default();
        while trunk != 0 && trunk <= pages.count() && self.free.insert(trunk) {
            let Some(page) = pages.page(trunk) else {
                return;
            };
            let count = long(&page, 4).unwrap_or_default() as usize;
            for at in 0..count.min(page.len() / 4 - 2) {
                self.free.extend(long(&page, 8 + 4 * at));
            }
            trunk = long(&page, 0).unwrap_or_default();
        }
    }

    fn tree(&mut self, pages: &Pages, root: u32, name: &str) -> Vec<u32> {
        let mut reached = Vec::new();
        let mut open = vec![root];
        while let Some(number) = open.pop() {
            if number == 0 || number > pages.count() || self.owners.contains_key(&number) {
                self.broken = true;
                continue;
            }
            let Some(page) = pages.page(number) else {
                self.broken = true;
                continue;
            };
            self.owners.insert(number, name.to_owned());
            reached.push(number);
            let Some(node) = Node::of(&page, number) else {
                self.broken = true;
                continue;
            };
            open.extend(node.children());
            // An interior page of an index holds entries as well.
            let leaf = node.kind != Kind::TableInterior;
            self.broken |= leaf && node.cells(pages, |_| true).len() != node.claimed();
        }
        reached
    }

    /// Where all trees are whole, their pages and no others; else every page that nobody gave back. Swapped pages
    /// need no special care: a cell is known by its shape, not by the tree that leads to it.
    fn leaves(&self, pages: &Pages) -> Vec<u32> {
        if self.broken {
            return (1..=pages.count())
                .filter(|number| !self.free.contains(number))
                .collect();
        }
        let reached: BTreeSet<u32> = self.owners.keys().copied().collect();
        reached.into_iter().collect()
    }
}
