use super::super::testing::live;
use super::*;

struct Typed {
    live: Live,
    model: Model,
}

impl Typed {
    fn new() -> Typed {
        let live = live();
        let mut model = Model::default();
        model.refresh(&live);
        Typed { live, model }
    }

    fn code(&mut self, code: KeyCode) -> Option<Action> {
        let action = take(KeyEvent::new(code, KeyModifiers::NONE), &mut self.model, &self.live, false);
        self.model.refresh(&self.live);
        action
    }

    fn text(&mut self, text: &str) -> Option<Action> {
        text.chars().fold(None, |_, char| self.code(KeyCode::Char(char)))
    }

    fn control(&mut self, char: char, is_over: bool) -> Option<Action> {
        take(KeyEvent::new(KeyCode::Char(char), KeyModifiers::CONTROL), &mut self.model, &self.live, is_over)
    }
}

#[test]
fn a_filter_is_typed_and_works_at_once() {
    let mut typed = Typed::new();
    typed.text("/fibq");
    assert!(typed.model.rows().is_empty());
    typed.code(KeyCode::Backspace);
    assert_eq!((typed.model.rows().len(), &typed.model.dialog), (1, &Dialog::Filter));
    typed.code(KeyCode::Enter);
    assert_eq!((typed.model.filter.as_str(), &typed.model.dialog), ("fib", &Dialog::None));
    typed.code(KeyCode::Esc);
    assert_eq!(typed.model.rows().len(), 4);
    typed.text("/x");
    typed.code(KeyCode::Esc);
    assert_eq!(typed.model.filter, "");
}

#[test]
fn a_command_that_runs_is_asked_about() {
    let mut typed = Typed::new();
    assert_eq!((typed.text("q"), &typed.model.dialog), (None, &Dialog::Quit));
    assert_eq!((typed.code(KeyCode::Esc), &typed.model.dialog), (None, &Dialog::None));
    typed.text("q");
    assert_eq!(typed.text("w"), Some(Action::Quit { interrupt: false }));
    assert_eq!(typed.control('c', false), None);
    assert_eq!(typed.text("i"), Some(Action::Quit { interrupt: true }));
    assert_eq!(typed.control('c', false), None);
    assert_eq!(typed.control('c', false), Some(Action::Quit { interrupt: true }));
    assert_eq!(typed.control('c', true), Some(Action::Quit { interrupt: false }));
}

#[test]
fn a_name_is_typed_and_nothing_is_replaced_unasked() {
    let mut typed = Typed::new();
    assert_eq!(typed.text("p"), Some(Action::AskForName));
    typed.model.dialog = Dialog::Save("top".into());
    typed.text("q2");
    let save = |replace| Some(Action::Save { name: "topq2".into(), replace });
    assert_eq!(typed.code(KeyCode::Enter), save(false));
    typed.model.dialog = Dialog::Replace("topq2".into());
    assert_eq!(typed.code(KeyCode::Enter), None);
    typed.model.dialog = Dialog::Replace("topq2".into());
    assert_eq!(typed.text("y"), save(true));
    typed.model.dialog = Dialog::Save(String::new());
    assert_eq!((typed.code(KeyCode::Enter), &typed.model.dialog), (None, &Dialog::None));
}

#[test]
fn tables_are_turned_all_around() {
    let mut typed = Typed::new();
    typed.code(KeyCode::BackTab);
    assert_eq!(typed.model.tab, Tab::Labels);
    typed.code(KeyCode::Tab);
    assert_eq!(typed.model.tab, Tab::Functions);
    typed.text("3");
    assert_eq!(typed.model.tab, Tab::Tasks);
    // A filter is of functions.
    typed.text("/");
    assert_eq!(typed.model.tab, Tab::Functions);
}

#[test]
fn other_keys_do_what_the_help_says() {
    let mut typed = Typed::new();
    typed.text("sn ?");
    assert!(typed.model.by_total && typed.model.by_so_far && typed.model.is_frozen());
    assert_eq!(typed.model.dialog, Dialog::Help);
    // Any key leads back, and does nothing else.
    typed.text("q");
    assert_eq!(typed.model.dialog, Dialog::None);
    assert_eq!(typed.control('z', false), Some(Action::Suspend));
    typed.model.message = Some("saved".into());
    typed.code(KeyCode::Down);
    assert_eq!((typed.model.position(), &typed.model.message), (1, &None));
}
