use super::super::testing::live;
use super::*;
use pronk_symbolizer::live::Live;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

fn head(model: &Model, live: &Live) -> Head {
    let command = ["python3", "shop.py", "--port", "8000"].map(str::to_owned);
    Head::new(&command, model, live, None)
}

/// A model with a change.
fn model(change: impl FnOnce(&mut Model)) -> Model {
    let mut model = Model::default();
    change(&mut model);
    model
}

/// The screen with what is drawn, as text; rows that are reversed as a whole have a `>` before them.
fn screen(width: u16, height: u16, model: &mut Model, live: &Live) -> String {
    model.refresh(live);
    let head = head(model, live);
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame.buffer_mut(), &head, model)).unwrap();
    let buffer = terminal.backend().buffer();
    let line = |y| {
        let cells = (0..width).map(|x| &buffer[(x, y)]);
        let is_reversed = cells.clone().all(|cell| cell.modifier.contains(Modifier::REVERSED));
        let text: String = cells.map(|cell| cell.symbol()).collect();
        format!("{}{}\n", if is_reversed { '>' } else { ' ' }, text.trim_end())
    };
    (0..height).map(line).collect()
}

fn golden(name: &str, actual: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/top").join(name);
    if std::env::var_os("PRONK_BLESS").is_some() {
        std::fs::write(&path, actual).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(actual == expected, "{name}, expected:\n{expected}\nactual (PRONK_BLESS=1 writes it):\n{actual}");
}

#[test]
fn functions_look_as_they_should() {
    let live = live();
    golden("functions.txt", &screen(80, 24, &mut Model::default(), &live));
    let mut model = model(|model| {
        model.by_total = true;
        model.by_so_far = true;
        model.filter = "shop".into();
    });
    model.freeze(&live);
    golden("frozen.txt", &screen(80, 24, &mut model, &live));
}

#[test]
fn a_zoomed_function_looks_as_it_should() {
    let live = live();
    let mut model = model(|model| model.by_so_far = true);
    model.refresh(&live);
    model.zoom();
    golden("zoomed.txt", &screen(80, 24, &mut model, &live));
}

#[test]
fn the_other_tables_look_as_they_should() {
    let live = live();
    let mut model = Model::default();
    for (tab, name) in [(Tab::Threads, "threads.txt"), (Tab::Tasks, "tasks.txt"), (Tab::Labels, "labels.txt")] {
        model.show(tab);
        golden(name, &screen(80, 24, &mut model, &live));
    }
}

#[test]
fn help_and_questions_have_room_in_80_columns() {
    let live = live();
    golden("help.txt", &screen(80, 24, &mut model(|model| model.dialog = Dialog::Help), &live));
    for dialog in [Dialog::Quit, Dialog::Filter, Dialog::Save("top.pronk".into()), Dialog::Replace("top.pronk".into())]
    {
        let last = screen(80, 24, &mut model(|model| model.dialog = dialog.clone()), &live);
        let last = last.lines().last().unwrap().to_owned();
        assert!(last.chars().count() < 80, "{dialog:?} {last}");
    }
}

#[test]
fn no_screen_is_too_small() {
    let live = live();
    golden("small.txt", &screen(20, 5, &mut Model::default(), &live));
    for (width, height) in [(1, 1), (2, 3), (5, 5), (7, 2), (300, 6), (20, 60)] {
        for dialog in [Dialog::None, Dialog::Help, Dialog::Quit, Dialog::Filter, Dialog::Save("a".into())] {
            for tab in Tab::ALL {
                let mut model = model(|model| {
                    model.dialog = dialog.clone();
                    model.tab = tab;
                });
                screen(width, height, &mut model, &live);
            }
        }
    }
}

#[test]
fn the_chosen_row_is_in_sight() {
    let live = live();
    let mut model = Model::default();
    model.refresh(&live);
    model.go(super::super::model::Move::Last);
    let small = screen(80, 8, &mut model, &live);
    assert!(small.contains("shop.serve"), "{small}");
}
