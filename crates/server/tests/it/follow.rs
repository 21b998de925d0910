//! Whoever follows the store: nothing that the store does ends it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use server::ServiceErrorKind;

use crate::harness::{Answer, Place};

fn detail(answer: &Answer) -> String {
    answer.json().to_string()
}

// One thread does everything here: a store that held it would hold every answer.
#[tokio::test]
async fn a_store_that_blocks_whoever_opens_it_holds_no_request_up_and_is_told() {
    let (held, opens) = std::sync::mpsc::channel();
    let place = Place::begun(
        |settings| settings.limits.load_time = Duration::from_millis(100),
        |parts| *parts.opens.lock().unwrap() = Some(opens),
    );
    assert_eq!(place.get("/livez").await.status, 200);
    let told = |answer: &Answer| detail(answer).contains("has not been read within");
    assert_eq!(place.until("/readyz", told).await.status, 503);
    drop(held);
    place.until("/readyz", |answer| answer.status == 200).await;
}

#[tokio::test]
async fn a_reading_that_panics_is_told_and_tried_again() {
    let place = Place::begun(|_| {}, |parts| parts.panics.store(true, Ordering::SeqCst));
    let told = |answer: &Answer| detail(answer).contains("reading the store failed");
    assert_eq!(place.until("/readyz", told).await.status, 503);
    place.until("/readyz", |answer| answer.status == 200).await;
}

#[tokio::test]
async fn a_follower_that_panics_is_followed_by_another_one() {
    let place = Place::begun(
        |_| {},
        |parts| parts.watch_panics.store(true, Ordering::SeqCst),
    );
    let told = |answer: &Answer| detail(answer).contains("following the store failed");
    assert_eq!(place.until("/readyz", told).await.status, 503);
    place.until("/readyz", |answer| answer.status == 200).await;
}

#[tokio::test]
async fn what_is_to_stand_in_does_not_hold_the_store_up_and_is_made_once() {
    let away = Some(ServiceErrorKind::Unavailable);
    let place = Place::begun(|_| {}, |parts| *parts.away.lock().unwrap() = away);
    let made = || place.backend.stood_in.load(Ordering::SeqCst);
    place.until("/readyz", |_| made() == 1).await;
    *place.backend.away.lock().unwrap() = None;
    place.until("/readyz", |answer| answer.status == 200).await;
    assert_eq!(made(), 1);
}
