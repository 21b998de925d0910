use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use unicode_segmentation::UnicodeSegmentation;

use super::{Chunk, ChunkBy, Chunking, chunks};
use crate::Piece;

fn by_characters(size: usize, overlap: usize) -> Chunking {
    Chunking {
        size,
        overlap,
        by: ChunkBy::Characters,
    }
}

fn whole(text: &str) -> Vec<Piece> {
    vec![Piece {
        span: 0..text.len(),
        page: None,
        heading: String::new(),
    }]
}

/// What is promised of the chunks of any text.
fn check(text: &str, pieces: &[Piece], chunking: &Chunking) -> Vec<Chunk> {
    let found = chunks(text, pieces, chunking);
    assert_eq!(found, chunks(text, pieces, chunking), "twice the same");
    let bounds = text
        .grapheme_indices(true)
        .map(|(at, _)| at)
        .chain([text.len()])
        .collect::<HashSet<_>>();
    let mut covered = 0;
    for (index, chunk) in found.iter().enumerate() {
        assert_eq!(chunk.index as usize, index);
        let piece = &pieces[chunk.piece];
        assert!(piece.span.start <= chunk.span.start && chunk.span.end <= piece.span.end);
        let own = &text[chunk.span.clone()];
        assert!(!own.is_empty());
        assert_eq!(own.trim(), own);
        let size = chunking.measure(own);
        assert!(
            size <= chunking.size || own.graphemes(true).count() == 1,
            "{size} in {own:?}"
        );
        // A space with a mark on it is trimmed like any other.
        let trimmed = text[..chunk.span.start].ends_with(char::is_whitespace);
        assert!(trimmed || bounds.contains(&chunk.span.start));
        assert!(bounds.contains(&chunk.span.end));
        assert!(chunk.span.end > covered, "a chunk adds something");
        if chunk.span.start > covered {
            assert_eq!(
                text[covered..chunk.span.start].trim(),
                "",
                "nothing is left out"
            );
        } else {
            let repeated = chunking.measure(text[chunk.span.start..covered].trim());
            assert!(repeated <= chunking.overlap, "{repeated} repeated");
        }
        covered = chunk.span.end;
    }
    assert_eq!(text[covered..].trim(), "", "nothing is left out");
    found
}

fn text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        8 => "[а-яa-z]{1,12}",
        1 => Just("Ёлка. ".to_owned()),
        1 => Just("\n\n".to_owned()),
        1 => Just("\n".to_owned()),
        1 => Just("👩‍👩‍👧‍👦e\u{301}🇧🇾".to_owned()),
        1 => "[a-z]{60,90}",
        1 => "\\PC{0,20}",
        1 => Just("  \t ".to_owned()),
    ];
    proptest::collection::vec(word, 0..80).prop_map(|words| words.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn chunks_cover_the_text_and_keep_their_size(text in text(), size in 1_usize..120, part in 0_usize..60) {
        check(&text, &whole(&text), &by_characters(size, part.min(size / 2)));
    }

    #[test]
    fn pages_are_always_cut_at(text in text(), at in any::<prop::sample::Index>()) {
        let mut at = at.index(text.len() + 1);
        while !text.is_char_boundary(at) || text.grapheme_indices(true).all(|(bound, _)| bound != at) && at < text.len() {
            at += 1;
        }
        let pieces = [(0..at, 1), (at..text.len(), 2)].map(|(span, page)| Piece {
            span,
            page: Some(page),
            heading: String::new(),
        });
        check(&text, &pieces, &by_characters(50, 10));
    }

    #[test]
    fn tokens_are_what_the_caller_counts(text in text(), size in 4_usize..60) {
        let chunking = Chunking {
            size,
            overlap: size / 4,
            by: ChunkBy::Tokens(Arc::new(|text| text.len().div_ceil(4))),
        };
        let found = chunks(&text, &whole(&text), &chunking);
        for chunk in found {
            let own = &text[chunk.span];
            prop_assert!(own.len().div_ceil(4) <= size || own.graphemes(true).count() == 1);
        }
    }
}

/// Paragraphs of made-up words, the same for the same number.
fn paragraph(number: u64) -> String {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let sentences = 1 + next() % 5;
    (0..sentences)
        .map(|_| {
            let words = (0..4 + next() % 9).map(|_| format!("слово{}", next() % 10_000));
            format!("Н{}.", words.collect::<Vec<_>>().join(" "))
        })
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn an_insertion_changes_only_the_chunks_around_it() {
    for (separator, what) in [("\n\n", "paragraphs"), (" ", "one paragraph")] {
        let before = (0..400).map(paragraph).collect::<Vec<_>>();
        for at in [0, 1, 57, 200, 399] {
            let mut after = before.clone();
            after.insert(at, paragraph(100_000 + at as u64));
            let chunking = Chunking::default();
            let texts = |paragraphs: &[String]| {
                let text = paragraphs.join(separator);
                check(&text, &whole(&text), &chunking)
                    .into_iter()
                    .map(|chunk| text[chunk.span].to_owned())
                    .collect::<Vec<_>>()
            };
            let known = texts(&before).into_iter().collect::<HashSet<_>>();
            let now = texts(&after);
            let new = now.iter().filter(|text| !known.contains(*text)).count();
            assert!(now.len() > 80, "{} chunks", now.len());
            assert!(
                new <= 10,
                "{what}, at {at}: {new} of {} chunks are new",
                now.len()
            );
        }
    }
}

#[test]
fn a_cut_falls_between_paragraphs_where_there_are_any() {
    let text = "Первый абзац, несколько слов.\n\nВторой абзац, ещё несколько слов.\n\nТретий.";
    let found = check(text, &whole(text), &by_characters(45, 0));
    let texts = found
        .into_iter()
        .map(|chunk| &text[chunk.span])
        .collect::<Vec<_>>();
    assert_eq!(
        texts,
        [
            "Первый абзац, несколько слов.",
            "Второй абзац, ещё несколько слов.\n\nТретий."
        ]
    );
}

#[test]
fn a_letter_with_ten_thousand_marks_is_cut_all_the_same() {
    let text = format!("a{}", "\u{301}".repeat(40_000));
    let found = chunks(&text, &whole(&text), &by_characters(100, 0));
    assert_eq!(
        found.iter().map(|chunk| chunk.span.len()).sum::<usize>(),
        text.len()
    );
    assert!(
        found
            .iter()
            .all(|chunk| text[chunk.span.clone()].chars().count() <= 100)
    );
}

#[test]
fn sizes_that_leave_a_chunk_nothing_of_its_own_are_refused() {
    assert!(by_characters(100, 50).check().is_ok());
    assert!(by_characters(100, 51).check().is_err());
    assert!(by_characters(0, 0).check().is_err());
    assert!(by_characters(32_768, 0).check().is_err());
}

#[test]
fn a_cut_does_not_count_the_whole_rest_of_the_text() {
    let text = "слово и слово. ".repeat(20_000);
    let counted = Arc::new(AtomicUsize::new(0));
    let seen = counted.clone();
    let chunking = Chunking {
        size: 100,
        overlap: 10,
        by: ChunkBy::Tokens(Arc::new(move |text: &str| {
            seen.fetch_add(text.len(), Ordering::Relaxed);
            text.len().div_ceil(4)
        })),
    };
    let found = chunks(&text, &whole(&text), &chunking);
    assert!(found.len() > 1000);
    let counted = counted.load(Ordering::Relaxed);
    assert!(
        counted < text.len() * 200,
        "{counted} bytes were counted of a text of {}",
        text.len()
    );
    let word = "слово".repeat(20_000);
    let found = chunks(&word, &whole(&word), &by_characters(100, 0));
    assert_eq!(found.len(), 1000);
}
