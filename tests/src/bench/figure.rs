//! One measured figure, what it is held against, and the table of all.

use serde::Serialize;

/// One line of the table.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    pub(crate) bench: &'static str,
    pub(crate) figure: String,
    pub(crate) unit: &'static str,
    /// What the product needed; nothing where the figure was skipped.
    pub(crate) ours: Option<f64>,
    /// A peer or a limit, measured in the same run unless its name says otherwise.
    pub(crate) beside: Option<Beside>,
    /// Ours over beside.
    pub(crate) ratio: Option<f64>,
    /// The bound, in words.
    pub(crate) target: Option<String>,
    /// Whether the bound holds; nothing where there is none.
    pub(crate) ok: Option<bool>,
    /// Why the figure was not taken.
    pub(crate) skipped: Option<String>,
}

/// What a figure stands beside.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Beside {
    pub(crate) name: String,
    pub(crate) value: f64,
}

impl Figure {
    /// A figure without a bound.
    pub(crate) fn new(
        bench: &'static str,
        figure: impl Into<String>,
        unit: &'static str,
        ours: f64,
    ) -> Self {
        Self {
            bench,
            figure: figure.into(),
            unit,
            ours: Some(ours),
            beside: None,
            ratio: None,
            target: None,
            ok: None,
            skipped: None,
        }
    }

    /// A figure that could not be taken.
    pub(crate) fn skipped(
        bench: &'static str,
        figure: impl Into<String>,
        why: impl Into<String>,
    ) -> Self {
        Self {
            ours: None,
            skipped: Some(why.into()),
            ..Self::new(bench, figure, "", 0.0)
        }
    }

    /// Names the peer or the limit.
    pub(crate) fn beside(mut self, name: impl Into<String>, value: f64) -> Self {
        let name = name.into();
        self.ratio = self.ours.map(|ours| ours / value);
        self.beside = Some(Beside { name, value });
        self
    }

    /// Must not be more than this.
    pub(crate) fn at_most(self, bound: f64) -> Self {
        let ok = self.ours.is_some_and(|ours| ours <= bound);
        let target = format!("<= {} {}", number(bound), self.unit);
        self.bounded(target.trim_end().to_owned(), ok)
    }

    /// Must not be less than this.
    pub(crate) fn at_least(self, bound: f64) -> Self {
        let ok = self.ours.is_some_and(|ours| ours >= bound);
        let target = format!(">= {} {}", number(bound), self.unit);
        self.bounded(target.trim_end().to_owned(), ok)
    }

    /// Must be exactly this.
    pub(crate) fn exactly(self, bound: f64) -> Self {
        let ok = self.ours.is_some_and(|ours| (ours - bound).abs() < 1e-9);
        self.bounded(format!("= {}", number(bound)), ok)
    }

    /// Must not be more than this many times what it stands beside.
    pub(crate) fn ratio_at_most(self, bound: f64) -> Self {
        let ok = self.ratio.is_some_and(|ratio| ratio <= bound);
        self.bounded(format!("ratio <= {}", number(bound)), ok)
    }

    /// Must not be less than this many times what it stands beside.
    pub(crate) fn ratio_at_least(self, bound: f64) -> Self {
        let ok = self.ratio.is_some_and(|ratio| ratio >= bound);
        self.bounded(format!("ratio >= {}", number(bound)), ok)
    }

    /// Must not be less than what it stands beside by more than this.
    pub(crate) fn at_least_beside_less(self, tolerance: f64) -> Self {
        let ok = match (self.ours, &self.beside) {
            (Some(ours), Some(beside)) => ours >= beside.value - tolerance,
            _ => false,
        };
        self.bounded(format!(">= beside - {}", number(tolerance)), ok)
    }

    fn bounded(mut self, target: String, ok: bool) -> Self {
        self.ok = Some(ok && self.ok.unwrap_or(true));
        self.target = Some(match self.target.take() {
            Some(first) => format!("{first}, {target}"),
            None => target,
        });
        self
    }

    /// Whether no bound is missed.
    pub(crate) fn holds(&self) -> bool {
        self.ok.unwrap_or(true)
    }
}

/// All figures as a table, in Markdown, so that it can be pasted into a page.
pub(crate) fn table(figures: &[Figure]) -> String {
    let header = ["bench", "figure", "ours", "beside", "ratio", "target", "ok"];
    let mut rows: Vec<Vec<String>> = vec![header.map(str::to_owned).to_vec()];
    rows.extend(figures.iter().map(row));
    let widths: Vec<usize> = (0..header.len())
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max())
        .map(Option::unwrap_or_default)
        .collect();
    let mut table = String::new();
    for (position, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(&widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        table.push_str(&format!("| {} |\n", cells.join(" | ")));
        if position == 0 {
            let lines: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            table.push_str(&format!("| {} |\n", lines.join(" | ")));
        }
    }
    table
}

fn row(figure: &Figure) -> Vec<String> {
    let ours = match (&figure.skipped, figure.ours) {
        (None, Some(ours)) => format!("{} {}", number(ours), figure.unit)
            .trim()
            .to_owned(),
        (why, _) => format!("skipped: {}", why.as_deref().unwrap_or("not measured")),
    };
    let beside = figure.beside.as_ref();
    vec![
        figure.bench.to_owned(),
        figure.figure.clone(),
        ours,
        beside.map_or_else(String::new, |beside| {
            format!("{} ({})", number(beside.value), beside.name)
        }),
        figure.ratio.map_or_else(String::new, number),
        figure.target.clone().unwrap_or_default(),
        match figure.ok {
            Some(true) => "yes".to_owned(),
            Some(false) => "NO".to_owned(),
            None => String::new(),
        },
    ]
}

/// The closing line.
pub(crate) fn summary(figures: &[Figure]) -> String {
    let count = |test: fn(&Figure) -> bool| figures.iter().filter(|figure| test(figure)).count();
    format!(
        "{} figures: {} hold, {} missed, {} without a bound, {} skipped",
        figures.len(),
        count(|figure| figure.ok == Some(true)),
        count(|figure| figure.ok == Some(false)),
        count(|figure| figure.ok.is_none() && figure.skipped.is_none()),
        count(|figure| figure.skipped.is_some()),
    )
}

/// Three digits where there is a fraction, none where there is not.
pub(crate) fn number(value: f64) -> String {
    let text = match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    };
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}
