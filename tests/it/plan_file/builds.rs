//! The build of a version as a plan: made now, agreed on, carried out later.

use integration_tests::{Faq, Place};

use crate::support::{api, counts};

#[test]
fn a_build_is_planned_now_and_carried_out_later() {
    let api = api();
    let place = Place::stub(&api);
    let faq = Faq::with_ids(20);
    place.save("faq.csv", &faq);
    place.migrate("faq.csv", &[]);
    let spent = api.requests();
    let plan = ["model", "build", "other-model", "--plan-out", "build.json"];
    let report = place.json(&plan);
    counts(&report, &[("to_embed", 20)]);
    assert_eq!(report["plan"], "build.json");
    assert_eq!(api.requests(), spent, "a plan costs nothing");
    // What was agreed on is what is done, whatever the settings say of the model.
    let report = place.json(&["apply", "build.json"]);
    counts(&report, &[("embedded", 20), ("requests", 2)]);
    assert_eq!(report["model"]["name"], "other-model");
    assert_eq!(place.json(&["status"])["model"]["name"], "stub-model");
    // The store has moved: the same plan is done with.
    let run = place
        .run(&["apply", "build.json"])
        .expect(6)
        .prints_nothing();
    run.says(&[
        "does not stand any more",
        "smart-support model build other-model",
    ]);

    place.json(&["model", "build", "third-model", "--plan-out", "third.json"]);
    let edited = faq.edited(|entries| entries[0].answer.push_str(" Это бесплатно."));
    place.save("faq.csv", &edited);
    place.json(&["sync", "--faq-path", "faq.csv"]);
    let before = (place.data(), api.requests());
    place
        .run(&["apply", "third.json"])
        .expect(6)
        .says(&["does not stand any more"]);
    assert!(place.data() == before.0);
    assert_eq!(api.requests(), before.1);
    // A plan is for one store.
    let other = Place::stub(&api);
    other.save("faq.csv", &faq);
    other.migrate("faq.csv", &[]);
    other.write(
        "build.json",
        std::fs::read(place.path("build.json")).unwrap(),
    );
    other
        .run(&["apply", "build.json"])
        .expect(6)
        .says(&["store"]);
}
