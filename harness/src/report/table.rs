//! The matrix for people at a terminal: a row for each scenario, a column for each relay, what came of it in all, and what is
//! open.

use std::fmt::Write as _;
use std::time::Duration;

use super::matrix::{Column, Matrix, Row};
use super::open::{self, cut};
use super::terminal::Style;
use super::{Kind, Runs};

/// What is between two columns.
const GAP: usize = 2;

/// Names of rows below those of the kinds.
const NOT_RUN: &str = "· not run";
const SECONDS: &str = "seconds";

/// As many characters of a scenario's name are told where the terminal is too narrow for all.
const SHORTEST_NAME: usize = 12;

/// Which rows are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Only {
    /// All.
    #[default]
    All,
    /// Those in which relays differ.
    Different,
}

/// The table. It is laid out for `width` columns of a terminal: with words; where they do not fit, with marks; where the relays'
/// names do not fit either, with letters for them. `None`: as wide as it comes, with words.
pub fn table(runs: &Runs<'_>, only: Only, width: Option<usize>, style: Style) -> String {
    let matrix = Matrix::of(runs);
    let layout = Layout::fitting(&matrix, width);
    let mut out = head(&matrix, &layout, style);
    let rows = matrix.rows.iter().filter(|row| only == Only::All || row.differs());
    let mut family = "";
    let mut told = 0;
    for row in rows {
        if row.family != family {
            family = row.family;
            if !family.is_empty() {
                let _ = writeln!(out, "{}", style.bold(&format!("{family}/")));
            }
        }
        told += 1;
        let cells = row.cells.iter().map(|cell| (layout.cell(*cell).to_owned(), *cell));
        line(&mut out, &layout, &indented(row), cells, style);
    }
    if told == 0 {
        let _ =
            writeln!(out, "{}", style.dim("  no scenario comes out otherwise on one relay than on another"));
    }
    out.push('\n');
    foot(&mut out, &matrix, &layout, style);
    for left_out in runs.left_out {
        let _ = writeln!(out, "\nleft out: {}: {}", left_out.relay, left_out.reason);
    }
    out.push_str(&open::list(&matrix, runs, width, style));
    let _ = writeln!(out, "\n{}", bound(runs));
    out
}

/// How cells and relays are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `pass`, below `postfix` and `3.7.11`.
    Words,
    /// `✓`, likewise.
    Marks,
    /// `✓`, below `a`.
    Letters,
}

struct Layout {
    form: Form,
    /// Of the scenarios' names.
    first: usize,
    /// Of each relay's cells.
    widths: Vec<usize>,
}

impl Layout {
    fn fitting(matrix: &Matrix<'_>, width: Option<usize>) -> Self {
        let labels = matrix.rows.iter().map(|row| length(&indented(row)));
        let forms = [Form::Words, Form::Marks, Form::Letters];
        let mut layouts = forms.map(|form| {
            let legends = kinds(matrix).map(|kind| length(&legend(kind, form)));
            let others = [NOT_RUN, SECONDS].map(length);
            let first = labels.clone().chain(legends).chain(others).max().unwrap_or(0);
            Self {
                form,
                first,
                widths: matrix.columns.iter().map(|column| narrowest(column, form)).collect(),
            }
        });
        let Some(width) = width else { return layouts.into_iter().next().expect("three of them") };
        let fits = layouts.iter().position(|layout| layout.first + layout.cells() <= width);
        let index = fits.unwrap_or(layouts.len() - 1);
        let chosen = &mut layouts[index];
        if fits.is_none() {
            chosen.first = width.saturating_sub(chosen.cells()).max(SHORTEST_NAME);
        }
        layouts.into_iter().nth(index).expect("one of them")
    }

    /// The width of all cells of a row.
    fn cells(&self) -> usize {
        self.widths.iter().map(|width| width + GAP).sum()
    }

    fn cell(&self, cell: Option<Kind>) -> &'static str {
        match (cell, self.form) {
            (None, _) => "·",
            (Some(kind), Form::Words) => short(kind),
            (Some(kind), _) => mark(kind),
        }
    }
}

/// As wide as a relay's column must be.
fn narrowest(column: &Column<'_>, form: Form) -> usize {
    let words = column.counts.keys().map(|kind| if form == Form::Words { short(*kind) } else { mark(*kind) });
    let numbers = column.counts.values().map(|count| count.to_string().len()).max().unwrap_or(0);
    let cells = words.map(length).max().unwrap_or(0).max(numbers).max(seconds(column.took).len());
    match form {
        Form::Letters => cells,
        _ => cells.max(length(column.title)).max(length(&version(column))),
    }
}

/// The kinds that occur, as totals count them.
fn kinds<'a>(matrix: &'a Matrix<'_>) -> impl Iterator<Item = Kind> + 'a {
    Kind::ALL.into_iter().filter(|kind| matrix.columns.iter().any(|column| column.counts.contains_key(kind)))
}

/// A row's name below the line of its family.
fn indented(row: &Row<'_>) -> String {
    if row.family.is_empty() { row.name.clone() } else { format!("  {}", row.name) }
}

/// The relays and their versions.
fn head(matrix: &Matrix<'_>, layout: &Layout, style: Style) -> String {
    let mut out = String::new();
    let letters = (b'a'..=b'z').map(|letter| char::from(letter).to_string());
    let letters = letters.chain((27..).map(|number| number.to_string()));
    if layout.form == Form::Letters {
        for (letter, column) in letters.clone().zip(&matrix.columns) {
            let told = format!("{letter}  {} {}", column.title, column.version.unwrap_or_default());
            let _ = writeln!(out, "{}", told.trim_end());
        }
        out.push('\n');
        let cells = letters.take(matrix.columns.len()).map(|letter| (letter, None));
        line(&mut out, layout, "", cells, style);
    } else {
        let titles = matrix.columns.iter().map(|column| (column.title.to_owned(), None));
        line(&mut out, layout, "", titles, style);
        let versions = matrix.columns.iter().map(|column| (version(column), None));
        line(&mut out, layout, "", versions, style);
    }
    out
}

/// What came of each relay, with the cells' words explained.
fn foot(out: &mut String, matrix: &Matrix<'_>, layout: &Layout, style: Style) {
    for kind in kinds(matrix) {
        let cells = matrix.columns.iter().map(|column| match column.counts.get(&kind) {
            Some(count) => (count.to_string(), Some(kind)),
            None => ("0".to_owned(), None),
        });
        line(out, layout, &legend(kind, layout.form), cells, style);
    }
    if matrix.columns.iter().any(|column| column.not_run > 0) {
        let cells = matrix.columns.iter().map(|column| (column.not_run.to_string(), None));
        line(out, layout, NOT_RUN, cells, style);
    }
    let cells = matrix.columns.iter().map(|column| (seconds(column.took), None));
    line(out, layout, SECONDS, cells, style);
}

fn line(
    out: &mut String,
    layout: &Layout,
    name: &str,
    cells: impl Iterator<Item = (String, Option<Kind>)>,
    style: Style,
) {
    let name = cut(name, Some(layout.first));
    let mut text = format!("{name:<first$}", first = layout.first);
    let mut blank = 0;
    for ((cell, kind), width) in cells.zip(&layout.widths) {
        // Blanks at a line's end are nobody's.
        let _ = write!(text, "{:blank$}{:GAP$}", "", "");
        text.push_str(&kind.map_or_else(|| cell.clone(), |kind| style.paint(kind, &cell)));
        blank = width.saturating_sub(length(&cell));
    }
    let _ = writeln!(out, "{}", text.trim_end());
}

/// A kind as a cell's word.
fn short(kind: Kind) -> &'static str {
    match kind {
        Kind::Known => "known",
        Kind::Unsupported => "n/a",
        Kind::Inconclusive => "unclear",
        other => other.word(),
    }
}

/// A kind as one character.
fn mark(kind: Kind) -> &'static str {
    match kind {
        Kind::Pass => "✓",
        Kind::Deviates => "!",
        Kind::Violates => "✗",
        Kind::PassesNow => "+",
        Kind::Known => "k",
        Kind::Unsupported => "-",
        Kind::Inconclusive => "?",
    }
}

/// A cell's word or mark, and what it stands for.
fn legend(kind: Kind, form: Form) -> String {
    match form {
        Form::Words if kind.word().starts_with(short(kind)) => kind.word().to_owned(),
        Form::Words => format!("{}: {}", short(kind), kind.word()),
        _ => format!("{} {}", mark(kind), kind.word()),
    }
}

/// The part of a version that is a number: `8.17.1.9` of `Sendmail 8.17.1.9`; the whole where none is.
fn version(column: &Column<'_>) -> String {
    let told = column.version.unwrap_or("-");
    let number = told.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    number.unwrap_or(told).to_owned()
}

/// Real time in few characters.
fn seconds(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 9.95 { format!("{seconds:.1}") } else { format!("{seconds:.0}") }
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// How long it took, and what that hangs on.
fn bound(runs: &Runs<'_>) -> String {
    let effort = &runs.effort;
    let took = effort.took.as_secs_f64();
    let of_runs: Duration = runs.judged.iter().map(|judged| judged.took).sum();
    let mut parts = vec![format!(
        "{took:.1} s, {} at a time ({:.1} s of runs)",
        counted(effort.jobs, "run"),
        of_runs.as_secs_f64()
    )];
    // Of so many that could have been at work all the time.
    let share = |part: Duration, of: usize| {
        let of = f64::from(u32::try_from(of).unwrap_or(u32::MAX));
        100.0 * part.as_secs_f64() / (took * of).max(f64::MIN_POSITIVE)
    };
    let busy = effort.processor_time.map(|time| share(time, effort.processors));
    if let Some(busy) = busy {
        parts.push(format!("{} {busy:.0} % busy with it", counted(effort.processors, "processor")));
    }
    let longest = runs.judged.iter().max_by_key(|judged| judged.took);
    if let Some(longest) = longest {
        let seconds = longest.took.as_secs_f64();
        parts.push(format!("the longest run {seconds:.1} s: {} on {}", longest.scenario, longest.relay));
    }
    let slots = share(of_runs, effort.jobs);
    let by = if longest.is_some_and(|run| share(run.took, 1) >= 50.0) {
        "by its longest run"
    } else if busy.is_some_and(|busy| busy >= 75.0) {
        "by the processors"
    } else if slots >= 75.0 {
        "by what runs wait for: with more at a time (--jobs) it is faster"
    } else if slots < 50.0 {
        "by what comes before the runs: reading scenarios, looking at the machine"
    } else {
        "by no one thing"
    };
    format!("time: {}; bounded {by}", parts.join("; "))
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
