use super::lines::{Lines, Run, paragraphs};
use super::ranges;

fn run(text: &str, x: f32, y: f32) -> Run {
    #[allow(clippy::cast_precision_loss, reason = "a short line")]
    let width = text.chars().count() as f32 * 5.0;
    Run {
        text: text.to_owned(),
        start: (x, y),
        end: (x + width, y),
        size: 10.0,
    }
}

fn check(runs: Vec<Run>, expected: &[&str]) {
    let mut lines = Lines::default();
    runs.into_iter().for_each(|run| lines.push(run));
    assert_eq!(paragraphs(lines.finish()), expected);
}

#[test]
fn strings_are_words_and_lines_by_where_they_are_drawn() {
    check(
        vec![run("при", 0.0, 0.0), run("вет", 15.0, 0.0)],
        &["привет"],
    );
    check(
        vec![run("один", 0.0, 0.0), run("два", 24.0, 0.0)],
        &["один два"],
    );
    check(
        vec![
            run("первая", 0.0, 100.0),
            run("вторая", 0.0, 88.0),
            run("новый", 0.0, 60.0),
        ],
        &["первая вторая", "новый"],
    );
    // The second column begins above the end of the first.
    check(
        vec![run("левая", 0.0, 10.0), run("правая", 300.0, 100.0)],
        &["левая", "правая"],
    );
}

#[test]
fn a_word_that_was_cut_at_a_line_s_end_is_whole_again() {
    check(
        vec![run("блоки-", 0.0, 100.0), run("ровка", 30.0, 88.0)],
        &["блокировка"],
    );
    check(
        vec![run("кто-", 0.0, 100.0), run("То", 0.0, 88.0)],
        &["кто- То"],
    );
}

#[test]
fn dots_that_lead_to_a_page_s_number_are_one_sign() {
    check(
        vec![run("4.1 Глава . . . . . . . 15", 0.0, 0.0)],
        &["4.1 Глава … 15"],
    );
    check(vec![run("Да... Нет.", 0.0, 0.0)], &["Да... Нет."]);
}

#[test]
fn pages_are_named_by_their_ranges() {
    assert_eq!(ranges(&[1, 2, 3, 7, 9, 10]), "1-3, 7, 9-10");
}
