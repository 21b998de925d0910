//! What is odd about one text: letters of two scripts in one word, what a web page left behind, what nobody sees.

use crate::SourceRow;
use crate::suggest::shorten;

use super::{Finding, FindingKind};

/// Checks the texts of an entry.
pub(super) fn check(row: (usize, &SourceRow), findings: &mut Vec<Finding>) {
    check_question(row, findings);
    let SourceRow {
        answer,
        category,
        subcategory,
        ..
    } = row.1;
    check_text(row, "answer", answer, findings);
    check_text(
        row,
        "category",
        category.as_deref().unwrap_or_default(),
        findings,
    );
    check_text(
        row,
        "subcategory",
        subcategory.as_deref().unwrap_or_default(),
        findings,
    );
}

/// Checks the question alone: all that a further wording has of its own.
pub(super) fn check_question(row: (usize, &SourceRow), findings: &mut Vec<Finding>) {
    check_text(row, "question", &row.1.question, findings);
}

fn check_text(row: (usize, &SourceRow), column: &str, text: &str, findings: &mut Vec<Finding>) {
    let mut found = |kind, message| {
        findings.push(Finding::new(kind, row, Some(column), message));
    };
    let mixed = first_and_count(
        text.split(|char: char| !char.is_alphabetic())
            .filter_map(mixed),
    );
    if let Some((first, more)) = mixed {
        found(FindingKind::MixedScript, format!("{first}{more}"));
    }
    if let Some((first, more)) = first_and_count(markup(text)) {
        let message = format!("the text holds {first:?}{more}");
        found(FindingKind::Html, message);
    }
    if let Some((first, more)) = first_and_count(text.chars().filter(|char| is_invisible(*char))) {
        let message = format!(
            "the text holds the invisible character U+{:04X}{more}",
            u32::from(first)
        );
        found(FindingKind::Invisible, message);
    }
}

/// The first of several, and words about the rest.
fn first_and_count<T>(mut items: impl Iterator<Item = T>) -> Option<(T, String)> {
    let first = items.next()?;
    let more = match items.count() {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    Some((first, more))
}

fn is_cyrillic(char: char) -> bool {
    matches!(char, '\u{400}'..='\u{52f}')
}

fn is_latin(char: char) -> bool {
    char.is_ascii_alphabetic() || matches!(char, '\u{c0}'..='\u{24f}')
}

/// Says of a word which letters are foreign in it; nothing where all are of one script.
fn mixed(word: &str) -> Option<String> {
    let latin = word.chars().filter(|char| is_latin(*char)).count();
    let cyrillic = word.chars().filter(|char| is_cyrillic(*char)).count();
    if latin == 0 || cyrillic == 0 {
        return None;
    }
    let (few, is_foreign): (_, fn(char) -> bool) = if latin <= cyrillic {
        ("Latin", is_latin)
    } else {
        ("Cyrillic", is_cyrillic)
    };
    let mut letters: Vec<char> = word.chars().filter(|char| is_foreign(*char)).collect();
    letters.dedup();
    let meant: Option<String> = word
        .chars()
        .map(|char| {
            if is_foreign(char) {
                lookalike(char)
            } else {
                Some(char)
            }
        })
        .collect();
    let advice = meant.map_or_else(String::new, |meant| {
        format!("; {:?} is meant", shorten(&meant))
    });
    let letters: String = letters.into_iter().take(8).collect();
    Some(format!(
        "{:?} has the {few} {letters:?}{advice}",
        shorten(word)
    ))
}

/// The letter of the other script that looks the same.
fn lookalike(char: char) -> Option<char> {
    const PAIRS: [(char, char); 22] = [
        ('A', 'А'),
        ('B', 'В'),
        ('C', 'С'),
        ('E', 'Е'),
        ('H', 'Н'),
        ('K', 'К'),
        ('M', 'М'),
        ('O', 'О'),
        ('P', 'Р'),
        ('T', 'Т'),
        ('X', 'Х'),
        ('Y', 'У'),
        ('I', 'І'),
        ('a', 'а'),
        ('c', 'с'),
        ('e', 'е'),
        ('o', 'о'),
        ('p', 'р'),
        ('x', 'х'),
        ('y', 'у'),
        ('i', 'і'),
        ('k', 'к'),
    ];
    PAIRS.iter().find_map(|&(latin, cyrillic)| {
        if char == latin {
            Some(cyrillic)
        } else if char == cyrillic {
            Some(latin)
        } else {
            None
        }
    })
}

/// Tags and entities, as they stand in the text. Only tags that web pages have: `<name>` is a placeholder.
fn markup(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices(['<', '&'])
        .filter_map(|(at, mark)| match mark {
            "<" => tag(&text[at..]),
            _ => entity(&text[at..]),
        })
}

fn tag(text: &str) -> Option<&str> {
    const TAGS: [&str; 33] = [
        "a",
        "b",
        "blockquote",
        "body",
        "br",
        "code",
        "div",
        "em",
        "font",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "html",
        "i",
        "img",
        "li",
        "ol",
        "p",
        "pre",
        "script",
        "span",
        "strong",
        "style",
        "sub",
        "table",
        "td",
        "tr",
        "u",
        "ul",
    ];
    const LONGEST: usize = 1000;
    let inside = text.strip_prefix('<')?;
    let inside = inside.strip_prefix('/').unwrap_or(inside);
    let end = inside.find(|char: char| !char.is_ascii_alphanumeric())?;
    let name = inside[..end].to_ascii_lowercase();
    if !TAGS.contains(&&*name) || !inside[end..].starts_with([' ', '>', '/', '\n', '\t']) {
        return None;
    }
    let close = text.bytes().take(LONGEST).position(|byte| byte == b'>')?;
    let tag = &text[..=close];
    // `a < b and c > d` has no letter behind its `<`; `x <b or y> z` has one, and a second `<` is another tag.
    (!tag[1..].contains('<')).then_some(tag)
}

fn entity(text: &str) -> Option<&str> {
    const LONGEST: usize = 10;
    let end = text.bytes().take(LONGEST).position(|byte| byte == b';')?;
    let name = text.get(1..end)?;
    let numeric = |digits: &str| match digits.strip_prefix(['x', 'X']) {
        Some(hex) => !hex.is_empty() && hex.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()),
    };
    let is_entity = match name.strip_prefix('#') {
        Some(number) => numeric(number),
        None => {
            name.len() > 1
                && name.starts_with(|first: char| first.is_ascii_alphabetic())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
        }
    };
    is_entity.then(|| &text[..=end])
}

/// Zero-width characters but the joiners, which emoji and some scripts need; soft hyphens; marks of direction; controls.
fn is_invisible(char: char) -> bool {
    matches!(
        char,
        '\u{ad}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}'
            | '\u{2066}'..='\u{2069}' | '\u{feff}'
    ) || (char.is_control() && !matches!(char, '\n' | '\r' | '\t'))
}
