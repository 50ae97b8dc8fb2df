//! What keys mean. They change the model, and what else is to be done is said.

use super::model::{Dialog, Model, Move, Tab};
use pronk_symbolizer::live::Live;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// What the model cannot do by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Leave the view; whether to interrupt the command.
    Quit { interrupt: bool },
    /// Save what was recorded so far in a file; whether one of that name is replaced.
    Save { name: String, replace: bool },
    /// Begin to ask for a name.
    AskForName,
    /// Stop, until the shell says to go on.
    Suspend,
    /// Draw everything again.
    Redraw,
}

/// How many rows a page has.
const PAGE: usize = 15;

/// Takes a key. `is_over` says that there is no command that runs, to ask about.
pub fn take(key: KeyEvent, model: &mut Model, live: &Live, is_over: bool) -> Option<Action> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    model.message = None;
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match (key.code, control) {
        (KeyCode::Char('z'), true) => return Some(Action::Suspend),
        (KeyCode::Char('l'), true) => return Some(Action::Redraw),
        (KeyCode::Char('c'), true) if model.dialog == Dialog::Quit && !is_over => {
            return Some(Action::Quit { interrupt: true });
        }
        (KeyCode::Char('c'), true) => return quit(model, is_over),
        (KeyCode::Char(_), true) => return None,
        _ => {}
    }
    match std::mem::take(&mut model.dialog) {
        Dialog::None => table(key.code, model, live, is_over),
        Dialog::Filter => {
            let mut filter = std::mem::take(&mut model.filter);
            match edit(key.code, &mut filter) {
                Edited::Going => model.dialog = Dialog::Filter,
                Edited::Done => {}
                Edited::Cancelled => filter.clear(),
            }
            model.set_filter(filter);
            None
        }
        Dialog::Save(mut name) => match edit(key.code, &mut name) {
            Edited::Going => {
                model.dialog = Dialog::Save(name);
                None
            }
            Edited::Done => (!name.is_empty()).then_some(Action::Save { name, replace: false }),
            Edited::Cancelled => None,
        },
        Dialog::Replace(name) => match key.code {
            KeyCode::Char('y') => Some(Action::Save { name, replace: true }),
            _ => None,
        },
        Dialog::Quit => match key.code {
            KeyCode::Char('i') => Some(Action::Quit { interrupt: true }),
            KeyCode::Char('w') => Some(Action::Quit { interrupt: false }),
            _ => None,
        },
        // Any key leads back.
        Dialog::Help => None,
    }
}

fn quit(model: &mut Model, is_over: bool) -> Option<Action> {
    if is_over {
        return Some(Action::Quit { interrupt: false });
    }
    model.dialog = Dialog::Quit;
    None
}

fn table(code: KeyCode, model: &mut Model, live: &Live, is_over: bool) -> Option<Action> {
    match code {
        KeyCode::Char('q') => return quit(model, is_over),
        KeyCode::Char('?' | 'h') => model.dialog = Dialog::Help,
        KeyCode::Tab | KeyCode::Right => model.turn(1),
        KeyCode::BackTab | KeyCode::Left => model.turn(Tab::ALL.len() - 1),
        KeyCode::Char(digit @ '1'..='4') => model.show(Tab::ALL[digit as usize - '1' as usize]),
        KeyCode::Char('s') => model.by_total = !model.by_total,
        KeyCode::Char('n') => model.by_so_far = !model.by_so_far,
        KeyCode::Char('l') => model.next_label(),
        KeyCode::Char('/') => {
            model.zoomed.clear();
            model.show(Tab::Functions);
            model.dialog = Dialog::Filter;
        }
        KeyCode::Enter => model.zoom(),
        KeyCode::Esc | KeyCode::Backspace => model.back(),
        KeyCode::Char('f' | ' ') => model.freeze(live),
        KeyCode::Char('p') => return Some(Action::AskForName),
        KeyCode::Up | KeyCode::Char('k') => model.go(Move::Up(1)),
        KeyCode::Down | KeyCode::Char('j') => model.go(Move::Down(1)),
        KeyCode::PageUp => model.go(Move::Up(PAGE)),
        KeyCode::PageDown => model.go(Move::Down(PAGE)),
        KeyCode::Home | KeyCode::Char('g') => model.go(Move::First),
        KeyCode::End | KeyCode::Char('G') => model.go(Move::Last),
        _ => {}
    }
    None
}

enum Edited {
    Going,
    Done,
    Cancelled,
}

fn edit(code: KeyCode, text: &mut String) -> Edited {
    match code {
        KeyCode::Enter => return Edited::Done,
        KeyCode::Esc => return Edited::Cancelled,
        KeyCode::Backspace => _ = text.pop(),
        KeyCode::Char(char) => text.push(char),
        _ => {}
    }
    Edited::Going
}

/// The keys, for people.
pub const HELP: [(&str, &str); 14] = [
    ("Tab 1-4", "functions, threads, tasks, labels"),
    ("Up Down PgUp PgDn g G", "choose a row"),
    ("s", "sort by self, or by total (self and what it called)"),
    ("n", "sort by now (the last 5 seconds), or by so far"),
    ("/", "only functions with a text in their name or file"),
    ("Enter", "callers above a function, callees below"),
    ("Esc", "back; all functions"),
    ("l", "the next label"),
    ("f Space", "freeze the view; recording goes on"),
    ("p", "save a profile of all so far, for pronk report"),
    ("Ctrl-L", "draw the screen again"),
    ("Ctrl-Z", "suspend pronk and the command"),
    ("?", "this help"),
    ("q Ctrl-C", "quit; asks what becomes of a command that runs"),
];

#[cfg(test)]
mod tests;
