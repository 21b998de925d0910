//! A source without ids: a row keeps its id however it is edited, so that links and statistics keep their meaning.

use std::collections::BTreeMap;

use integration_tests::{Entry, Faq, Place, rows, texts};

const ROWS: usize = 30;

/// Migrates, edits, migrates again. Ids by question, before and after.
fn edited(edit: fn(&mut Vec<Entry>)) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let place = Place::hash();
    let faq = Faq::of(ROWS);
    place.save("faq.xlsx", &faq);
    place.migrate("faq.xlsx", &[]);
    let before = texts(&place.store());
    assert_eq!(before.len(), ROWS);
    let faq = faq.edited(edit);
    place.save("faq.xlsx", &faq);
    place.migrate("faq.xlsx", &[]);
    assert_eq!(rows(&place.store(), "faq").len(), faq.0.len());
    (before, texts(&place.store()))
}

#[test]
fn an_edited_row_keeps_its_id() {
    type Edit = fn(&mut Vec<Entry>);
    let cases: &[(&str, Edit)] = &[
        ("moved to the end", |entries| entries.rotate_left(1)),
        ("sorted otherwise", |entries| entries.reverse()),
        ("an edited answer", |entries| {
            entries[5].answer = "Совсем другой ответ.".to_owned()
        }),
        ("a changed category", |entries| {
            entries[5].category = "Разное".to_owned()
        }),
        ("category and answer", |entries| {
            entries[5].category = "Разное".to_owned();
            entries[5].answer = "Совсем другой ответ.".to_owned();
        }),
        ("a changed priority", |entries| {
            entries[5].priority = "срочный".to_owned()
        }),
        ("edited and moved", |entries| {
            let mut entry = entries.remove(5);
            entry.answer = "Совсем другой ответ.".to_owned();
            entries.push(entry);
        }),
        ("every answer edited", |entries| {
            for entry in entries {
                entry.answer.push_str(" Это бесплатно.");
            }
        }),
    ];
    for (what, edit) in cases {
        let (before, after) = edited(*edit);
        assert_eq!(before, after, "{what}");
    }
}

#[test]
fn an_edited_question_keeps_its_id() {
    let (before, after) = edited(|entries| entries[5].question = "Как снять лимит?".to_owned());
    let old = &before[&Entry::number(5).question];
    assert_eq!(after.get("Как снять лимит?"), Some(old));
    assert_eq!(after.len(), ROWS);
}

#[test]
fn an_inserted_row_gets_a_new_id_and_the_others_keep_theirs() {
    let (before, after) = edited(|entries| {
        entries.insert(0, Entry::number(100));
        entries.insert(10, Entry::number(101));
    });
    for (question, id) in &before {
        assert_eq!(after.get(question), Some(id));
    }
    for number in [100, 101] {
        let id = &after[&Entry::number(number).question];
        assert!(!before.values().any(|other| other == id), "{id} was taken");
    }
}

#[test]
fn the_id_of_a_deleted_row_is_not_given_to_another() {
    let (before, after) = edited(|entries| {
        entries.remove(5);
        entries.push(Entry {
            category: "Разное".to_owned(),
            ..Entry::number(100)
        });
    });
    let gone = &before[&Entry::number(5).question];
    assert!(!after.values().any(|id| id == gone));
}

#[test]
fn exact_duplicates_survive() {
    let place = Place::hash();
    let faq = Faq::of(10).edited(|entries| {
        entries.push(entries[0].clone());
        entries.push(entries[0].clone());
    });
    place.save("faq.xlsx", &faq);
    let report = place.migrate("faq.xlsx", &[]);
    assert_eq!(report["new"], 12);
    let before = rows(&place.store(), "faq");
    assert_eq!(before.len(), 12);
    let report = place.migrate("faq.xlsx", &[]);
    assert_eq!(report["unchanged"], 12);
    assert_eq!(report["requests"], 0);

    // One of three goes; whichever it is, the other two stay as they are.
    let faq = faq.edited(|entries| {
        entries.remove(11);
    });
    place.save("faq.xlsx", &faq);
    let report = place.migrate("faq.xlsx", &[]);
    assert_eq!(report["deleted"], 1);
    let after = rows(&place.store(), "faq");
    assert_eq!(after.len(), 11);
    assert!(after.keys().all(|id| before.contains_key(id)));
}

#[test]
fn a_workbook_under_another_name_is_the_same_faq() {
    for ids in [false, true] {
        let place = Place::hash();
        let faq = if ids {
            Faq::with_ids(ROWS)
        } else {
            Faq::of(ROWS)
        };
        place.save("faq.xlsx", &faq);
        place.migrate("faq.xlsx", &[]);
        let before = rows(&place.store(), "faq");
        place.save("faq (final) 2.xlsx", &faq);
        let report = place.migrate("faq (final) 2.xlsx", &[]);
        assert_eq!(report["unchanged"], ROWS);
        assert_eq!(report["requests"], 0);
        assert_eq!(rows(&place.store(), "faq"), before);

        place.save("elsewhere/faq.xlsx", &faq);
        let report = place.migrate("elsewhere/faq.xlsx", &[]);
        assert_eq!(report["unchanged"], ROWS);
        assert_eq!(rows(&place.store(), "faq"), before);
    }
}

#[test]
fn a_renamed_and_edited_workbook_is_the_same_faq() {
    let place = Place::hash();
    let faq = Faq::of(ROWS);
    place.save("january.xlsx", &faq);
    place.migrate("january.xlsx", &[]);
    let before = texts(&place.store());
    let faq = faq.edited(|entries| {
        entries[3].answer = "Совсем другой ответ.".to_owned();
        entries.push(Entry::number(100));
    });
    place.save("february.xlsx", &faq);
    let report = place.migrate("february.xlsx", &[]);
    assert_eq!(
        (&report["new"], &report["modified"]),
        (&1.into(), &1.into())
    );
    let after = texts(&place.store());
    assert_eq!(after.len(), ROWS + 1);
    assert!(
        before
            .iter()
            .all(|(question, id)| after.get(question) == Some(id))
    );
}
