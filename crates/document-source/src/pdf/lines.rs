//! Runs of text as lines, and lines as paragraphs, by where they are drawn.

/// A string and where it is drawn.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) text: String,
    pub(super) start: (f32, f32),
    pub(super) end: (f32, f32),
    /// The height of an em.
    pub(super) size: f32,
}

/// A line of a page.
#[derive(Debug, Default)]
pub(super) struct Line {
    text: String,
    /// The height of its base.
    base: f32,
    size: f32,
    left: f32,
}

/// Puts lines together.
#[derive(Debug, Default)]
pub(super) struct Lines {
    done: Vec<Line>,
    line: Line,
    /// Where the last run ended.
    end: (f32, f32),
}

impl Lines {
    pub(super) fn push(&mut self, run: Run) {
        let size = run.size.max(self.line.size).max(0.01);
        let same = !self.line.text.is_empty()
            && (run.start.1 - self.end.1).abs() < size * 0.4
            // Backwards by more than a character is another column, or another line of turned text.
            && run.start.0 > self.end.0 - size * 1.5;
        if !same {
            self.close();
            self.line = Line {
                text: String::new(),
                base: run.start.1,
                size: run.size,
                left: run.start.0,
            };
        } else if run.start.0 - self.end.0 > size * 0.18
            && !self.line.text.ends_with(char::is_whitespace)
            && !run.text.starts_with(char::is_whitespace)
        {
            self.line.text.push(' ');
        }
        self.line.text.push_str(&run.text);
        self.line.size = self.line.size.max(run.size);
        self.end = run.end;
    }

    fn close(&mut self) {
        let line = std::mem::take(&mut self.line);
        if !line.text.trim().is_empty() {
            self.done.push(line);
        }
    }

    pub(super) fn finish(mut self) -> Vec<Line> {
        self.close();
        self.done
    }
}

/// Paragraphs: lines that follow each other closely. Words that were cut at a line's end are whole again.
pub(super) fn paragraphs(lines: Vec<Line>) -> Vec<String> {
    let mut paragraphs: Vec<String> = Vec::new();
    let mut above: Option<Line> = None;
    for line in lines {
        let text = without_leaders(&line.text);
        let follows = above.as_ref().is_some_and(|above| {
            let step = above.base - line.base;
            let size = above.size.max(line.size).max(0.01);
            let alike = (above.size - line.size).abs() < size * 0.15;
            // An indent begins a paragraph where no space does, unless a word goes on.
            let within = line.left < above.left + size * 1.2 || is_cut(&above.text, &text);
            alike && step > 0.0 && step < size * 1.65 && within
        });
        match paragraphs.last_mut().filter(|_| follows) {
            Some(paragraph) => join(paragraph, &text),
            None => paragraphs.push(text),
        }
        above = Some(line);
    }
    paragraphs
}

fn join(paragraph: &mut String, line: &str) {
    if is_cut(paragraph, line) {
        paragraph.pop();
    } else {
        paragraph.push(' ');
    }
    paragraph.push_str(line);
}

/// Whether a word goes on in the next line.
fn is_cut(line: &str, next: &str) -> bool {
    let mut ends = line.trim_end().chars().rev();
    matches!(ends.next(), Some('-' | '\u{ad}' | '\u{2010}'))
        && ends.next().is_some_and(char::is_alphabetic)
        && next.starts_with(char::is_lowercase)
}

/// The words of a line, with the dots that lead to a page's number as one sign.
fn without_leaders(line: &str) -> String {
    const FEW: usize = 3;
    let mut kept: Vec<&str> = Vec::new();
    let mut dots = 0;
    for word in line.split_whitespace() {
        let led = word.bytes().all(|byte| byte == b'.');
        dots = if led { dots + word.len() } else { 0 };
        if dots > FEW {
            while kept
                .last()
                .is_some_and(|last| last.bytes().all(|byte| byte == b'.'))
            {
                kept.pop();
            }
            if kept.last() != Some(&"…") {
                kept.push("…");
            }
        } else {
            kept.push(word);
        }
    }
    kept.join(" ")
}
