//! Draws the view. Without colours: bold, dim and reversed text is what every terminal has.

use super::head::Head;
use super::keys::HELP;
use super::model::{Dialog, Id, Model, Row, Tab};
use pronk_symbolizer::live::Seen;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

/// The width of a column with a share.
const SHARE: usize = 7;

/// Draws all of it.
pub fn draw(to: &mut Buffer, head: &Head, model: &Model) {
    let mut page = Page { to, next: 0 };
    page.ends(&head.title, &head.state, bold());
    page.line(&head.rates, Style::new());
    page.line(&head.quality, Style::new());
    page.tabs(head, model);
    let last = page.height().saturating_sub(1);
    match model.dialog {
        Dialog::Help => page.help(last),
        _ => page.table(head, model, last),
    }
    page.next = last;
    page.footer(head, model);
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

fn dim() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

fn reversed() -> Style {
    Style::new().add_modifier(Modifier::REVERSED)
}

/// What is drawn on, from the top down. What has no room is not drawn.
struct Page<'b> {
    to: &'b mut Buffer,
    next: u16,
}

impl Page<'_> {
    fn area(&self) -> Rect {
        self.to.area
    }

    fn height(&self) -> u16 {
        self.area().height
    }

    fn width(&self) -> usize {
        usize::from(self.area().width)
    }

    /// Writes a text into the next line, from a column on. The column behind it.
    fn write(&mut self, column: usize, text: &str, style: Style) -> usize {
        let left = self.width().saturating_sub(column);
        if self.next >= self.height() || left == 0 {
            return column;
        }
        let (x, y) = (self.area().x + column as u16, self.area().y + self.next);
        let (end, _) = self.to.set_stringn(x, y, text, left, style);
        usize::from(end - self.area().x)
    }

    fn line(&mut self, text: &str, style: Style) {
        self.write(0, text, style);
        self.next += 1;
    }

    /// A line with a text at each end. The one on the right is whole.
    fn ends(&mut self, left: &str, right: &str, style: Style) {
        let column = self.width().saturating_sub(right.chars().count());
        self.write(0, &shortened(left, column.saturating_sub(1)), style);
        self.write(column, right, style);
        self.next += 1;
    }

    fn tabs(&mut self, head: &Head, model: &Model) {
        let mut column = 0;
        for tab in Tab::ALL {
            let name = match (tab, &head.label) {
                (Tab::Labels, Some(key)) => format!(" Labels: {key} "),
                _ => format!(" {} ", tab.name()),
            };
            column = self.write(column, &name, if tab == model.tab { reversed() } else { Style::new() });
        }
        if !model.filter.is_empty() {
            self.write(column + 1, &format!("filter: {}", model.filter), Style::new());
        }
        self.next += 1;
    }

    fn table(&mut self, head: &Head, model: &Model, end: u16) {
        let columns = Columns::of(model);
        self.heads(&columns, model);
        let room = usize::from(end.saturating_sub(self.next));
        if model.rows().is_empty() && room > 0 {
            self.line(head.nothing.as_deref().unwrap_or("nothing here"), dim());
            return;
        }
        // The chosen row is in the middle, as far as there are rows to both sides.
        let most = model.rows().len().saturating_sub(room);
        let first = model.position().saturating_sub(room / 2).min(most);
        for (at, row) in model.rows().iter().enumerate().skip(first).take(room) {
            self.row(&columns, head, row, at == model.position());
        }
    }

    fn heads(&mut self, columns: &Columns, model: &Model) {
        if columns.has_own {
            // The line over them says when the columns are of.
            let width = 2 * SHARE;
            self.line(&format!("{:>width$}{:>width$}", "now", "so far"), dim());
        }
        let mut column = 0;
        for &(head, is_sorted) in &columns.heads {
            let text = format!("{head:>SHARE$}");
            column = self.write(column, &text, if is_sorted { bold().patch(reversed()) } else { bold() });
        }
        let what = match (model.tab, model.zoomed.is_empty()) {
            (Tab::Functions, true) => "function",
            (Tab::Functions, false) => "callers, function, callees",
            (Tab::Threads, _) => "thread",
            (Tab::Tasks, _) => "task",
            (Tab::Labels, _) => "value",
        };
        self.write(column + 2, what, bold());
        self.next += 1;
    }

    fn row(&mut self, columns: &Columns, head: &Head, row: &Row, is_chosen: bool) {
        let is_center = columns.zoomed && matches!(row.id, Id::Function(_));
        let style = if is_center { bold() } else { Style::new() };
        let style = if is_chosen { style.patch(reversed()) } else { style };
        let mut line = columns.cells(row, head.samples);
        let before = match row.id {
            Id::Caller(_) => "  ^ ",
            Id::Callee(_) => "  v ",
            _ => "  ",
        };
        line.push_str(before);
        let left = self.width().saturating_sub(line.chars().count());
        line.push_str(&shortened(&row.text, left));
        let width = self.width();
        self.line(&format!("{line:<width$}"), style);
    }

    fn help(&mut self, end: u16) {
        for (keys, what) in HELP {
            if self.next < end {
                self.write(1, keys, bold());
                self.write(24, what, Style::new());
                self.next += 1;
            }
        }
    }

    fn footer(&mut self, head: &Head, model: &Model) {
        let text = match (&model.dialog, &model.message) {
            (Dialog::Filter, _) => format!("function or file with: {}_", model.filter),
            (Dialog::Save(name), _) => format!("save as: {name}_"),
            (Dialog::Replace(name), _) => format!("{name} is there already: replace it? y n"),
            (Dialog::Quit, _) => head.quit.clone(),
            (Dialog::Help, _) => "any key leads back".to_owned(),
            (Dialog::None, Some(message)) => message.clone(),
            (Dialog::None, None) => {
                return self.line("q quit  Tab table  s n sort  / filter  Enter zoom  f freeze  p save  ? help", dim());
            }
        };
        self.line(&text, bold());
    }
}

/// The columns of a table.
struct Columns {
    heads: Vec<(&'static str, bool)>,
    has_own: bool,
    has_processors: bool,
    zoomed: bool,
}

impl Columns {
    fn of(model: &Model) -> Columns {
        let has_own = model.tab == Tab::Functions;
        let own = |total: bool| has_own && model.by_total == total || !has_own && total;
        let sorted = |total, so_far| own(total) && model.by_so_far == so_far;
        let mut heads = Vec::new();
        for so_far in [false, true] {
            if has_own {
                heads.push(("self", sorted(false, so_far)));
                heads.push(("total", sorted(true, so_far)));
            } else {
                heads.push((if so_far { "so far" } else { "now" }, sorted(true, so_far)));
            }
        }
        let has_processors = model.tab == Tab::Threads;
        if has_processors {
            heads.push(("CPU", false));
        }
        Columns { heads, has_own, has_processors, zoomed: model.tab == Tab::Functions && !model.zoomed.is_empty() }
    }

    fn cells(&self, row: &Row, all: Seen) -> String {
        let mut cells = String::new();
        let mut share = |part: Option<(u64, u64)>| {
            let text =
                part.map_or_else(String::new, |(part, whole)| format!("{:.1}%", crate::messages::percent(part, whole)));
            cells.push_str(&format!("{text:>SHARE$}"));
        };
        for so_far in [false, true] {
            let of = |seen: Seen| if so_far { (seen.so_far, all.so_far) } else { (seen.now, all.now) };
            if self.has_own {
                share(row.own.map(of));
            }
            share(Some(of(row.total)));
        }
        if self.has_processors {
            let text = row.processors.map_or_else(String::new, |processors| format!("{:.0}%", 100.0 * processors));
            cells.push_str(&format!("{text:>SHARE$}"));
        }
        cells
    }
}

/// A text in so many columns, cut off at its end if need be.
fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(2)).collect();
    kept + if width > 1 { ".." } else { "" }
}

#[cfg(test)]
mod tests;
