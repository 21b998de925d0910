//! Which sets are asked, and what the reference implementation of the model reached on them.

/// One set, or one language of it.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Folder of the set.
    pub(crate) set: &'static str,
    pub(crate) entries: &'static str,
    pub(crate) questions: &'static str,
    /// Only questions in this language.
    pub(crate) language: Option<&'static str>,
    /// What is embedded of an entry, where it is not question and answer.
    pub(crate) recipe: Option<&'static str>,
    pub(crate) reference: Option<Reference>,
    /// Questions and entries are English: the model that reads English is asked too.
    pub(crate) english: bool,
    /// What the same reference implementation reached with that model.
    pub(crate) english_reference: Option<Reference>,
    /// How far below the reference we may be: little on the same questions, more on a part of them.
    pub(crate) tolerance: f64,
}

/// Published figures of the same weights in another implementation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reference {
    pub(crate) top1: f64,
    pub(crate) top3: Option<f64>,
    pub(crate) mrr: Option<f64>,
    /// On what, in comparison with ours.
    pub(crate) on: &'static str,
}

/// A reference for a cell of the page.
pub(crate) fn reference_text(reference: Option<Reference>) -> String {
    let Some(Reference {
        top1,
        top3,
        mrr,
        on,
    }) = reference
    else {
        return String::new();
    };
    let numbers = [Some(top1), top3, mrr].into_iter().flatten();
    let numbers: Vec<String> = numbers.map(|number| format!("{number:.3}")).collect();
    format!("{} ({on})", numbers.join(" / "))
}

const fn full(top1: f64, top3: f64, mrr: f64, on: &'static str) -> Option<Reference> {
    Some(Reference {
        top1,
        top3: Some(top3),
        mrr: Some(mrr),
        on,
    })
}

const fn first_only(top1: f64, on: &'static str) -> Option<Reference> {
    Some(Reference {
        top1,
        top3: None,
        mrr: None,
        on,
    })
}

const BASE: Case = Case {
    name: "",
    set: "",
    entries: "faq.jsonl",
    questions: "queries.jsonl",
    language: None,
    recipe: None,
    reference: None,
    english: false,
    english_reference: None,
    tolerance: 0.05,
};
const BANK: Case = Case {
    set: "bank-faq-ru",
    ..BASE
};
const DEBIAN: Case = Case {
    set: "debian-faq",
    ..BASE
};
const XQUAD: Case = Case {
    set: "xquad",
    ..BASE
};
const XQUAD_HALF: &str = "all 240 passages; here a half of passages and questions";

/// The sets, in the order of the page.
pub(crate) const CASES: &[Case] = &[
    Case {
        name: "bank-faq-ru, Russian questions",
        language: Some("ru"),
        reference: full(0.583, 0.767, 0.696, "120 questions, these 80 among them"),
        tolerance: 0.06,
        ..BANK
    },
    Case {
        name: "bank-faq-ru, English questions",
        language: Some("en"),
        reference: first_only(0.68, "40 questions, probably the same ones; rounded"),
        ..BANK
    },
    Case {
        name: "bank-faq-ru, Spanish questions",
        language: Some("es"),
        reference: first_only(0.60, "40 questions, probably the same ones; rounded"),
        ..BANK
    },
    Case {
        name: "hint3-sofmattress",
        set: "hint3-sofmattress",
        reference: full(0.704, 0.889, 0.802, "the same questions"),
        english: true,
        english_reference: full(0.771, 0.909, 0.851, "8-bit weights"),
        tolerance: 0.01,
        ..BASE
    },
    Case {
        name: "banking77",
        set: "banking77",
        reference: full(0.651, 0.850, 0.760, "all 3080 questions; here a half"),
        english: true,
        english_reference: full(0.756, 0.914, 0.840, "8-bit weights, all questions"),
        tolerance: 0.03,
        ..BASE
    },
    Case {
        name: "xquad, Russian",
        entries: "faq_ru.jsonl",
        questions: "queries_ru.jsonl",
        reference: full(0.902, 0.978, 0.940, XQUAD_HALF),
        ..XQUAD
    },
    Case {
        name: "xquad, English",
        entries: "faq_en.jsonl",
        questions: "queries_en.jsonl",
        reference: full(0.937, 0.985, 0.961, XQUAD_HALF),
        english: true,
        english_reference: full(0.884, 0.966, 0.927, "8-bit weights, all 240 passages"),
        ..XQUAD
    },
    Case {
        name: "xquad, Spanish",
        entries: "faq_es.jsonl",
        questions: "queries_es.jsonl",
        reference: full(0.915, 0.975, 0.947, XQUAD_HALF),
        ..XQUAD
    },
    Case {
        name: "xquad, Russian questions, English passages",
        entries: "faq_en.jsonl",
        questions: "queries_ru.jsonl",
        reference: full(0.797, 0.934, 0.869, XQUAD_HALF),
        ..XQUAD
    },
    Case {
        name: "debian-faq, Russian questions, English entries",
        entries: "faq_en.jsonl",
        questions: "queries_ru.jsonl",
        ..DEBIAN
    },
    Case {
        name: "debian-faq, English questions, Russian entries",
        entries: "faq_ru.jsonl",
        questions: "queries_en.jsonl",
        ..DEBIAN
    },
    Case {
        name: "debian-faq, English, answers alone",
        english: true,
        entries: "faq_en.jsonl",
        questions: "queries_en.jsonl",
        recipe: Some("{answer}"),
        ..DEBIAN
    },
    Case {
        name: "debian-faq, Russian, answers alone",
        entries: "faq_ru.jsonl",
        questions: "queries_ru.jsonl",
        recipe: Some("{answer}"),
        ..DEBIAN
    },
];
