//! Questions that are asked twice: word for word, or nearly so and answered otherwise.
//!
//! Nearly the same means: every word that carries meaning has its like in the other question, whatever the order. Like
//! words are equal, one slip apart, or forms of one word. Numbers and negations have no likes. So "open a deposit" and
//! "close a deposit" are two questions, however much of their letters they share.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeSet, HashMap};
use std::hash::{Hash, Hasher};

use storage_core::normalise;

use crate::SourceRow;
use crate::suggest::shorten;

use super::{Finding, FindingKind, other};

/// Characters of a word by which candidates are found; a slip in the first ones hides a word, not the others.
const KEY_CHARS: usize = 4;
/// Earlier questions that one is compared with at most, those with the rarest words in common first: ten thousand rows of
/// one pattern take time in proportion, not its square.
const CANDIDATES: usize = 256;

/// Compares the questions of all entries, further wordings included.
pub(super) fn check(rows: &[SourceRow], findings: &mut Vec<Finding>) {
    let mut entry = 0;
    let asked: Vec<Asked<'_>> = rows
        .iter()
        .enumerate()
        .filter_map(|(position, row)| {
            entry += usize::from(row.chunk == 0);
            let question = fold(&row.question);
            let words = words(&question);
            (!question.is_empty()).then(|| Asked {
                row: (position, row),
                entry,
                exact: exact(&words),
                words,
                question,
                answer: fold(&row.answer),
            })
        })
        .collect();
    let repeated = same(&asked, findings);
    alike(&asked, &repeated, findings);
}

/// A question, ready to be compared.
struct Asked<'a> {
    row: (usize, &'a SourceRow),
    /// Tells wordings of one entry from other entries.
    entry: usize,
    question: String,
    answer: String,
    words: BTreeSet<String>,
    /// Of those that must be the same, numbers and negations: questions with another one need no closer look.
    exact: u64,
}

fn fold(text: &str) -> String {
    normalise(text).to_lowercase().replace('ё', "е")
}

/// Questions that an earlier entry asks word for word. Gives the positions of those among `asked`.
fn same(asked: &[Asked<'_>], findings: &mut Vec<Finding>) -> BTreeSet<usize> {
    let mut first: HashMap<&str, &Asked<'_>> = HashMap::new();
    let mut repeated = BTreeSet::new();
    for (at, this) in asked.iter().enumerate() {
        let question = this.question.trim_end_matches(['?', '.', '!', ' ']);
        let earlier = *first.entry(question).or_insert(this);
        if earlier.entry == this.entry {
            continue;
        }
        repeated.insert(at);
        let place = other(earlier.row.1);
        let (kind, message) = if earlier.answer == this.answer {
            let message = format!("question and answer stand in {place} too");
            (FindingKind::DuplicateQuestion, message)
        } else {
            let message = format!("{place} asks the same and answers otherwise");
            (FindingKind::ConflictingAnswers, message)
        };
        findings.push(Finding::new(kind, this.row, Some("question"), message));
    }
    repeated
}

/// Questions that an earlier entry asks nearly so, and answers otherwise.
fn alike(asked: &[Asked<'_>], repeated: &BTreeSet<usize>, findings: &mut Vec<Finding>) {
    let mut frequency: HashMap<String, usize> = HashMap::new();
    for this in asked {
        for key in keys(&this.words) {
            *frequency.entry(key).or_default() += 1;
        }
    }
    let mut holders: HashMap<String, Vec<usize>> = HashMap::new();
    // By whom each question was looked at last: several words may lead to it.
    let mut seen = vec![usize::MAX; asked.len()];
    for (at, this) in asked.iter().enumerate() {
        if repeated.contains(&at) {
            continue;
        }
        let mut keys: Vec<String> = keys(&this.words).into_iter().collect();
        keys.sort_by_key(|key| frequency.get(key).copied().unwrap_or_default());
        // Two questions that are alike have most of their words in common, so one of the rarer half too; the first slip
        // in a word may cost one.
        keys.truncate(keys.len() / 2 + 1);
        let mut alike = keys
            .iter()
            .filter_map(|key| holders.get(key))
            .flatten()
            .filter(|other| std::mem::replace(&mut seen[**other], at) != at)
            .take(CANDIDATES)
            .map(|at| &asked[*at])
            .filter(|earlier| {
                earlier.entry != this.entry
                    && earlier.exact == this.exact
                    && are_alike(&earlier.words, &this.words)
            })
            .peekable();
        let first = alike.peek().copied();
        // With one of them it agrees, so it is a further wording; what contradicts that one is found already.
        let agrees = alike.any(|earlier| earlier.answer == this.answer);
        let found = first.filter(|_| !agrees);
        if let Some(earlier) = found {
            let message = format!(
                "asks nearly what {} asks ({:?}), and answers otherwise",
                other(earlier.row.1),
                shorten(&earlier.row.1.question)
            );
            findings.push(Finding::new(
                FindingKind::NearDuplicate,
                this.row,
                Some("question"),
                message,
            ));
        }
        for key in keys {
            holders.entry(key).or_default().push(at);
        }
    }
}

fn keys(words: &BTreeSet<String>) -> BTreeSet<String> {
    words
        .iter()
        .map(|word| word.chars().take(KEY_CHARS).collect())
        .collect()
}

/// Short words that tell two questions apart.
const TELLING: [&str; 10] = [
    "не", "нет", "без", "до", "от", "из", "not", "no", "from", "to",
];

fn exact(words: &BTreeSet<String>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for word in words.iter().filter(|word| is_exact(word)) {
        word.hash(&mut hasher);
    }
    hasher.finish()
}

fn is_exact(word: &str) -> bool {
    TELLING.contains(&word) || word.chars().any(char::is_numeric)
}

/// The words that carry meaning.
fn words(question: &str) -> BTreeSet<String> {
    /// Longer ones that do not.
    const IDLE: [&str; 24] = [
        "какой",
        "какая",
        "какие",
        "каким",
        "какую",
        "можно",
        "если",
        "мне",
        "меня",
        "мой",
        "моя",
        "мою",
        "ваш",
        "ваша",
        "нужно",
        "the",
        "what",
        "does",
        "can",
        "how",
        "would",
        "please",
        "пожалуйста",
        "такое",
    ];
    question
        .split(|char: char| !char.is_alphanumeric())
        .filter(|word| !word.is_empty() && !IDLE.contains(word))
        .filter(|word| {
            is_exact(word)
                || word.chars().count() > 3
                // Abbreviations of products tell questions apart, and are short.
                || word.chars().count() == 3 && !matches!(*word, "как" | "где" | "что" | "кто" | "для" | "или" | "это" | "при" | "она" | "они" | "and" | "for" | "are" | "you" | "his")
        })
        .map(str::to_owned)
        .collect()
}

fn are_alike(left: &BTreeSet<String>, right: &BTreeSet<String>) -> bool {
    // One word alone is a subject, not a question.
    if left.len().min(right.len()) < 2 {
        return false;
    }
    let covered = |these: &BTreeSet<String>, those: &BTreeSet<String>| {
        these
            .iter()
            .all(|word| those.contains(word) || those.iter().any(|other| is_form(word, other)))
    };
    covered(left, right) && covered(right, left)
}

/// Whether two words are one with a slip, or forms of one.
fn is_form(left: &str, right: &str) -> bool {
    if left.chars().chain(right.chars()).any(char::is_numeric) {
        return false;
    }
    let (short, long) = (
        left.chars().count().min(right.chars().count()),
        left.chars().count().max(right.chars().count()),
    );
    if short < 4 || long - short > 2 {
        return false;
    }
    let common = left
        .chars()
        .zip(right.chars())
        .take_while(|(left, right)| left == right)
        .count();
    // Endings: карту, карты, картой; deposit, deposits.
    if common >= 4 && long - common <= 2 {
        return true;
    }
    short >= 6 && strsim::osa_distance(left, right) <= 1
}

/// For the tests of what is alike.
#[cfg(test)]
pub(super) fn would_be_alike(left: &str, right: &str) -> bool {
    are_alike(&words(&fold(left)), &words(&fold(right)))
}
