//! A source without ids: a row keeps its id however it is edited, so that links and statistics keep their meaning.

use std::collections::BTreeMap;

use integration_tests::{Backend, Entry, Faq, on_every_store};

const ROWS: usize = 30;

/// Migrates, edits, migrates again. Ids by question, before and after.
fn edited(
    backend: Backend,
    edit: fn(&mut Vec<Entry>),
) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let place = backend.hash();
    let faq = Faq::of(ROWS);
    place.save("faq.xlsx", &faq);
    place.migrate("faq.xlsx", &[]);
    let before = place.texts();
    assert_eq!(before.len(), ROWS);
    let faq = faq.edited(edit);
    place.save("faq.xlsx", &faq);
    place.migrate("faq.xlsx", &[]);
    assert_eq!(place.rows("faq").len(), faq.0.len());
    (before, place.texts())
}

fn an_edited_row_keeps_its_id(backend: Backend) {
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
        let (before, after) = edited(backend, *edit);
        assert_eq!(before, after, "{what}");
    }
}

fn an_edited_question_keeps_its_id(backend: Backend) {
    let (before, after) = edited(backend, |entries| {
        entries[5].question = "Как снять лимит?".to_owned()
    });
    let old = &before[&Entry::number(5).question];
    assert_eq!(after.get("Как снять лимит?"), Some(old));
    assert_eq!(after.len(), ROWS);
}

fn an_inserted_row_gets_a_new_id_and_the_others_keep_theirs(backend: Backend) {
    let (before, after) = edited(backend, |entries| {
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

fn the_id_of_a_deleted_row_is_not_given_to_another(backend: Backend) {
    let (before, after) = edited(backend, |entries| {
        entries.remove(5);
        entries.push(Entry {
            category: "Разное".to_owned(),
            ..Entry::number(100)
        });
    });
    let gone = &before[&Entry::number(5).question];
    assert!(!after.values().any(|id| id == gone));
}

fn exact_duplicates_survive(backend: Backend) {
    let place = backend.hash();
    let faq = Faq::of(10).edited(|entries| {
        entries.push(entries[0].clone());
        entries.push(entries[0].clone());
    });
    place.save("faq.xlsx", &faq);
    let report = place.migrate("faq.xlsx", &[]);
    assert_eq!(report["new"], 12);
    let before = place.rows("faq");
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
    let after = place.rows("faq");
    assert_eq!(after.len(), 11);
    assert!(after.keys().all(|id| before.contains_key(id)));
}

fn a_workbook_under_another_name_is_the_same_faq(backend: Backend) {
    for ids in [false, true] {
        let place = backend.hash();
        let faq = if ids {
            Faq::with_ids(ROWS)
        } else {
            Faq::of(ROWS)
        };
        place.save("faq.xlsx", &faq);
        place.migrate("faq.xlsx", &[]);
        let before = place.rows("faq");
        place.save("faq (final) 2.xlsx", &faq);
        let report = place.migrate("faq (final) 2.xlsx", &[]);
        assert_eq!(report["unchanged"], ROWS);
        assert_eq!(report["requests"], 0);
        assert_eq!(place.rows("faq"), before);

        place.save("elsewhere/faq.xlsx", &faq);
        let report = place.migrate("elsewhere/faq.xlsx", &[]);
        assert_eq!(report["unchanged"], ROWS);
        assert_eq!(place.rows("faq"), before);
    }
}

fn a_renamed_and_edited_workbook_is_the_same_faq(backend: Backend) {
    let place = backend.hash();
    let faq = Faq::of(ROWS);
    place.save("january.xlsx", &faq);
    place.migrate("january.xlsx", &[]);
    let before = place.texts();
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
    let after = place.texts();
    assert_eq!(after.len(), ROWS + 1);
    assert!(
        before
            .iter()
            .all(|(question, id)| after.get(question) == Some(id))
    );
}

on_every_store! {
    an_edited_row_keeps_its_id,
    an_edited_question_keeps_its_id,
    an_inserted_row_gets_a_new_id_and_the_others_keep_theirs,
    the_id_of_a_deleted_row_is_not_given_to_another,
    exact_duplicates_survive,
    a_workbook_under_another_name_is_the_same_faq,
    a_renamed_and_edited_workbook_is_the_same_faq,
}
