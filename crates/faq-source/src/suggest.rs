//! "Did you mean": the nearest of a few names, and names listed for a message.

/// The candidate nearest to what was typed, where it is near enough to be a slip of the hand.
#[must_use]
pub fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Nobody mistypes a longer name.
    const LONGEST: usize = 200;
    let typed = typed.trim().to_lowercase();
    let length = typed.chars().count();
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let folded = candidate.trim().to_lowercase();
            let other = folded.chars().count();
            let longest = length.max(other);
            // The distance is at least the difference in length. Computing it takes room for the product of the
            // lengths, and a header may be a page long.
            if longest > LONGEST || length.abs_diff(other) * 3 > longest {
                return None;
            }
            let distance = strsim::damerau_levenshtein(&typed, &folded);
            Some((distance, longest, candidate))
        })
        .filter(|(distance, longest, _)| distance * 3 <= *longest)
        .min_by_key(|(distance, ..)| *distance)
        .map(|(.., candidate)| candidate)
}

/// Names in quotes, the first dozen of them.
#[must_use]
pub fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 12;
    let mut names = names.into_iter();
    let mut shown = names
        .by_ref()
        .take(SHOWN)
        .map(|name| format!("{:?}", shorten(name)))
        .collect::<Vec<_>>();
    match names.count() {
        0 => {}
        more => shown.push(format!("{more} more")),
    }
    shown.join(", ")
}

/// A cell may hold a page of text; a message shows its beginning.
pub(crate) fn shorten(text: &str) -> String {
    const LONGEST: usize = 60;
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(LONGEST).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let names = ["Вопрос", "Ответ", "Priority"];
        for (typed, expected) in [
            ("Вапрос", Some("Вопрос")),
            ("вопрсо", Some("Вопрос")),
            ("priorty", Some("Priority")),
            ("Категория", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, names), expected, "{typed}");
        }
    }
}
