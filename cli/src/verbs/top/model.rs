//! What the view shows and how: which table, in which order, what is chosen. It knows nothing of terminals.

mod rows;

pub use rows::{Id, Row};

use pronk_symbolizer::live::{Counts, Live};
use pronk_symbolizer::profile::FunctionId;

/// A table of the view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tab {
    #[default]
    Functions,
    Threads,
    Tasks,
    Labels,
}

impl Tab {
    /// All, in their order.
    pub const ALL: [Tab; 4] = [Tab::Functions, Tab::Threads, Tab::Tasks, Tab::Labels];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Tab::Functions => "Functions",
            Tab::Threads => "Threads",
            Tab::Tasks => "Tasks",
            Tab::Labels => "Labels",
        }
    }

    /// The one that is so many further on, all around.
    fn moved(self, by: usize) -> Tab {
        Tab::ALL[(self as usize + by) % Tab::ALL.len()]
    }
}

/// What is asked of the user, or shown instead of the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Dialog {
    /// Nothing: keys are for the table.
    #[default]
    None,
    /// The text that functions are chosen by.
    Filter,
    /// The name of the file to save to.
    Save(String),
    /// Whether a file of that name is replaced.
    Replace(String),
    /// What becomes of the command.
    Quit,
    /// The keys.
    Help,
}

/// A way through the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    Up(usize),
    Down(usize),
    First,
    Last,
}

/// The state of the view.
#[derive(Debug, Default)]
pub struct Model {
    pub tab: Tab,
    /// Whether rows are in the order of what was seen in them and below, or of them alone.
    pub by_total: bool,
    /// Whether they are in the order of what was seen so far, or in the last seconds.
    pub by_so_far: bool,
    /// What functions or files must have in their names.
    pub filter: String,
    /// The functions that were zoomed into, the last one of which is shown.
    pub zoomed: Vec<FunctionId>,
    /// The label that is shown, in the order of the keys.
    label: usize,
    pub dialog: Dialog,
    /// What there is to say, until the next key.
    pub message: Option<String>,
    /// What was counted when the view was frozen, and how many keys labels had.
    frozen: Option<(Counts, usize)>,
    rows: Vec<Row>,
    /// The row that is chosen, and where it was; none until the user moves.
    chosen: Option<Id>,
    position: usize,
}

impl Model {
    /// What is shown: what was counted by now, or when the view was frozen.
    pub fn counts<'l>(&'l self, live: &'l Live) -> &'l Counts {
        self.frozen.as_ref().map_or(live.counts(), |(counts, _)| counts)
    }

    /// Whether the view stands still.
    pub fn is_frozen(&self) -> bool {
        self.frozen.is_some()
    }

    /// Has the view stand still, or go on.
    pub fn freeze(&mut self, live: &Live) {
        self.frozen = match self.frozen {
            Some(_) => None,
            None => Some((live.counts().clone(), live.label_keys().len())),
        };
    }

    /// Makes the rows anew.
    pub fn refresh(&mut self, live: &Live) {
        let rows = match (self.tab, self.zoomed.last()) {
            (Tab::Functions, Some(&function)) => rows::around(self, live, function),
            (Tab::Functions, None) => rows::functions(self, live),
            (Tab::Threads, _) => rows::threads(self, live),
            (Tab::Tasks, _) => rows::tasks(self, live),
            (Tab::Labels, _) => rows::labels(self, live),
        };
        self.rows = rows;
        let found = self.chosen.and_then(|chosen| self.rows.iter().position(|row| row.id == chosen));
        self.position = found.unwrap_or(self.position).min(self.rows.len().saturating_sub(1));
    }

    /// The rows, as they were made last.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Where the chosen row is.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Chooses another row, and stays with it wherever it goes.
    pub fn go(&mut self, way: Move) {
        let last = self.rows.len().saturating_sub(1);
        self.position = match way {
            Move::Up(rows) => self.position.saturating_sub(rows),
            Move::Down(rows) => self.position.saturating_add(rows).min(last),
            Move::First => 0,
            Move::Last => last,
        };
        // Who goes to the top wants to see what is at the top.
        self.chosen = self.rows.get(self.position).filter(|_| self.position > 0).map(|row| row.id);
    }

    /// Shows another table.
    pub fn show(&mut self, tab: Tab) {
        self.tab = tab;
        self.at_the_top();
    }

    /// Shows the table that is so many further on.
    pub fn turn(&mut self, by: usize) {
        self.show(self.tab.moved(by));
    }

    /// Shows who calls the chosen function, and whom it calls.
    pub fn zoom(&mut self) {
        let chosen = self.rows.get(self.position).and_then(|row| row.id.function());
        if let Some(function) = chosen.filter(|function| self.zoomed.last() != Some(function)) {
            self.zoomed.push(function);
            self.chosen = Some(Id::Function(function));
        }
    }

    /// Goes back to where it was zoomed from; where it was not, shows all functions again.
    pub fn back(&mut self) {
        match self.zoomed.pop() {
            Some(function) => self.chosen = Some(Id::Function(self.zoomed.last().copied().unwrap_or(function))),
            None => self.set_filter(String::new()),
        }
    }

    /// Shows only what has a text in its name.
    pub fn set_filter(&mut self, filter: String) {
        self.filter = filter;
        self.at_the_top();
    }

    /// The label that is shown.
    pub fn label<'l>(&self, live: &'l Live) -> Option<&'l str> {
        let known = self.frozen.as_ref().map_or(usize::MAX, |(_, keys)| *keys);
        let keys = live.label_keys();
        let keys = &keys[..known.min(keys.len())];
        keys.get(self.label % keys.len().max(1)).map(String::as_str)
    }

    /// Shows the next label.
    pub fn next_label(&mut self) {
        self.label = self.label.wrapping_add(1);
        self.show(Tab::Labels);
    }

    fn at_the_top(&mut self) {
        (self.chosen, self.position) = (None, 0);
    }
}

#[cfg(test)]
mod tests;
