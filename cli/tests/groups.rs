//! `--by`, `--only` and `pronk timeline`, on a profile whose every number is known.

mod common;

use common::reading::{boxes, draw, fails, report, texts};
use common::{Builder, Place, example, golden, run, text};
use pronk_symbolizer::profile::{Category, Profile, PythonSupport};

fn with_example() -> Place {
    let place = Place::new();
    place.profile(&example());
    place
}

#[test]
fn the_table_has_a_row_for_each_value() {
    let place = with_example();
    let by = |what: &str, more: &[&str]| report(&place, &[&["--by", what], more].concat());
    let all = ["task", "task-group", "thread", "process", "label:tenant", "label:route"].map(|what| by(what, &[]));
    golden("by.txt", &all.join("\n"));
    golden("by-each-task.txt", &by("task", &["--each-task", "--top", "2"]));
    golden("by-only.txt", &by("task", &["--only", "label:tenant=acme", "--only", "task=Task-*", "--thread", "100"]));
}

#[test]
fn the_json_of_values_is_what_is_documented() {
    let place = with_example();
    golden("by.json", &report(&place, &["--by", "label:route", "--json"]));
    let arguments = ["--by", "task", "--each-task", "--json", "--top", "1", "--only", "label:tenant=acme"];
    let json: serde_json::Value = serde_json::from_str(&report(&place, &arguments)).unwrap();
    assert_eq!((&json["by"], &json["each_task"]), (&"task".into(), &true.into()));
    assert_eq!(json["only"], serde_json::json!(["label:tenant=acme"]));
    assert_eq!(json["values"], serde_json::json!([{"value": "Task-7", "samples": 600, "percent": 85.71}]));
    assert_eq!(json["samples"], 700);
}

#[test]
fn what_is_chosen_is_chosen_in_every_report() {
    let place = with_example();
    golden("report-only.txt", &report(&place, &["--only", "label:tenant=<b & w>"]));
    let json: serde_json::Value = serde_json::from_str(&report(&place, &["--json", "--only", "task=cleaner"])).unwrap();
    assert_eq!((&json["samples"], &json["functions"].as_array().unwrap().len()), (&49.into(), &1));
    assert_eq!(
        report(&place, &["--only", "thread=work*"]).lines().count(),
        report(&place, &["--thread", "worker"]).lines().count()
    );
    assert!(report(&place, &["--only", "task=cleaner", "--only", "label:tenant=acme"]).contains("\n0 samples"));
    let (svg, _) = draw(&place, "flamegraph", &["--only", "process=python3 (100)", "--only", "task-group=app.serve"]);
    assert!(boxes(&svg).contains(" all (700 samples, 100%)"), "{}", boxes(&svg));
}

#[test]
fn a_flamegraph_has_a_tower_for_each_value() {
    let place = with_example();
    golden("flamegraph-by.txt", &boxes(&draw(&place, "flamegraph", &["--by", "label:tenant"]).0));
    golden("flamegraph-by-reverse.txt", &boxes(&draw(&place, "flamegraph", &["--by", "task", "--reverse"]).0));
    let (svg, said) = draw(&place, "flamegraph", &["--by", "label:route"]);
    assert!(svg.contains("| label:route: green, Python: blue") && said.is_empty(), "{said}");
    assert!(boxes(&svg).contains("GET /a:b (250 samples, 25.00%)"), "{}", boxes(&svg));
}

#[test]
fn what_is_recorded_is_drawn_in_groups() {
    let Some(interpreter) = common::signal::interpreters().first() else { return };
    let place = Place::new();
    let burn = "import time\nwhile time.process_time() < 0.3: pass";
    let command = ["record", "-o", "out.folded", "--by", "process", "--"].map(Into::into);
    let program = [interpreter.path.clone().into_os_string(), "-c".into(), burn.into()];
    let output = run(&mut place.pronk(command.into_iter().chain(program)));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let folded = std::fs::read_to_string(place.file("out.folded")).unwrap();
    let root = |line: &str| line.split(';').next().unwrap().to_owned();
    let roots: Vec<String> = folded.lines().map(root).collect();
    assert!(!roots.is_empty() && roots.iter().all(|root| root == &roots[0]), "{folded}");
    assert!(roots[0].starts_with("python") && roots[0].ends_with(')'), "{folded}");
}

#[test]
fn a_timeline_has_a_row_for_each_value() {
    let place = with_example();
    let (svg, said) = draw(&place, "timeline", &[]);
    assert_eq!(said, "");
    golden("timeline.svg", &svg);
    let expected = [
        "app.serve (Task-*): 700 samples, 70.00%",
        "(no task): 251 samples, 25.10%",
        "app.clean (Task-*): 49 samples, 4.90%",
    ];
    let expected = expected.map(|title| title.replace("app.clean (Task-*)", "cleaner"));
    assert_eq!(texts(&svg, "title"), expected);
    assert_eq!(
        texts(&svg, "text")[..2],
        ["python3 app.py", "1,000 samples in 1.2 s by task | the darker, the more of that time"]
    );
    assert!(!svg.contains("<script") && !svg.contains("href"), "{svg}");

    let (svg, _) =
        draw(&place, "timeline", &["--by", "label:tenant", "--top", "1", "--title", "a < b & c", "--thread", "100"]);
    assert_eq!(texts(&svg, "title"), ["acme: 700 samples, 93.33%", "1 other: 50 samples, 6.67%"]);
    assert_eq!(texts(&svg, "text")[0], "a < b & c");
    let (svg, _) = draw(&place, "timeline", &["--by", "label:tenant", "--only", "label:tenant=<b & w>"]);
    assert_eq!(texts(&svg, "title"), ["<b & w>: 250 samples, 100.00%"]);
    let (svg, _) = draw(&place, "timeline", &["--each-task"]);
    assert_eq!(texts(&svg, "title").len(), 4);
}

#[test]
fn a_timeline_stays_small() {
    let place = Place::new();
    let mut builder = Builder::default();
    builder.0.meta.frequency = 999;
    let process = builder.process(1, None, "p", PythonSupport::NotPython);
    let thread = builder.thread(process, 1, "p");
    let frame = builder.frame(Category::Python, "m.f", "a.py", Some(1));
    for number in 0..20_000 {
        let tenant = format!("tenant number {} of those with long names", number % 200);
        let context = builder.context(&[("tenant", &tenant)], None);
        builder.samples_for(Some(context), thread, &[frame], 1);
    }
    place.profile(&builder.0);
    let (svg, _) = draw(&place, "timeline", &["--by", "label:tenant"]);
    let titles = texts(&svg, "title");
    assert_eq!((titles.len(), titles[50].as_str()), (51, "150 others: 15,000 samples, 75.00%"));
    assert!(svg.len() < 200_000, "{}", svg.len());
}

#[test]
fn a_profile_without_tasks_has_a_timeline_of_threads() {
    let place = Place::new();
    let mut profile = example();
    profile.contexts.iter_mut().for_each(|context| context.task = None);
    place.profile(&profile);
    let (svg, said) = draw(&place, "timeline", &[]);
    assert_eq!(said, "pronk: the profile has no tasks, so the timeline is by thread; --by asks for something else\n");
    assert_eq!(texts(&svg, "title"), ["python3: 750 samples, 75.00%", "worker: 250 samples, 25.00%"]);
    let (svg, said) = draw(&place, "timeline", &["--by", "task"]);
    assert_eq!((texts(&svg, "title"), said), (vec!["(no task): 1,000 samples, 100.00%".to_owned()], String::new()));
}

#[test]
fn no_samples_are_no_error() {
    let place = Place::new();
    place.profile(&Profile::default());
    assert!(report(&place, &["--by", "label:tenant"]).contains("0 samples"));
    let (svg, said) = draw(&place, "timeline", &[]);
    assert!(svg.contains("No samples") && said.is_empty(), "{said}");
    assert!(texts(&svg, "title").is_empty());
    place.profile(&example());
    let (svg, _) = draw(&place, "timeline", &["--only", "task=cleaner", "--only", "thread=worker"]);
    assert!(svg.contains("No samples"));
}

#[test]
fn values_cannot_break_what_they_are_in() {
    let place = Place::new();
    let mut builder = Builder::default();
    let process = builder.process(1, None, "p", PythonSupport::NotPython);
    let thread = builder.thread(process, 1, "p");
    let frame = builder.frame(Category::Python, "m.f", "a.py", Some(1));
    for (number, value) in ["", " ", "# 1", "a;b\n12", "\u{1b}[31m", "<script>&amp;\"'\u{ffff}"].iter().enumerate() {
        let context = builder.context(&[("k", value)], None);
        builder.samples_for(Some(context), thread, &[frame], number as u64 + 1);
    }
    place.profile(&builder.0);
    let table = report(&place, &["--by", "label:k"]);
    assert!(!table.contains('\u{1b}') && table.contains("(empty)") && table.contains("a:b 12"), "{table:?}");
    let (svg, _) = draw(&place, "timeline", &["--by", "label:k"]);
    assert!(texts(&svg, "title").contains(&"<script>&amp:\"': 6 samples, 28.57%".to_owned()), "{svg}");
    let towers = boxes(&draw(&place, "flamegraph", &["--by", "label:k"]).0);
    assert!(towers.contains("a:b 12 (4 samples, 19.05%)") && towers.contains("#_1 (3 samples, 14.29%)"), "{towers}");
    assert!(towers.contains("(empty) (3 samples, 14.29%)"), "{towers}");
}

#[test]
fn what_no_sample_has_names_what_there_is() {
    let place = with_example();
    for verb in [
        &["report", "test.pronk"][..],
        &["flamegraph", "test.pronk", "-o", "a.svg"],
        &["timeline", "test.pronk", "-o", "a.svg"],
    ] {
        let fails = |arguments: &[&str]| fails(&place, &[verb, arguments].concat());
        let said = fails(&["--only", "label:tenant=acne"]);
        assert_eq!(said, "pronk: no sample has label:tenant=acne; there are, by label:tenant: acme, <b & w>, (none)\n");
        let said = fails(&["--only", "label:tenants=acme"]);
        assert_eq!(said, "pronk: no sample has a label tenants; the labels of the profile are: route, tenant\n");
        assert_eq!(fails(&["--by", "label:tenants"]), said);
        let said = fails(&["--only", "task=Task-7?"]);
        assert_eq!(
            said,
            "pronk: no sample has task=Task-7?; there are, by task: Task-7, (no task), Task-12, cleaner\n"
        );
        assert!(fails(&["--only", "process=python3"]).contains("by process: python3 (100)"));
        assert!(fails(&["--by", "thread", "--each-task"]).contains("--each-task goes with --by task"));
    }
    let mut profile = example();
    profile.contexts.clear();
    profile.samples.iter_mut().for_each(|sample| sample.context = None);
    place.profile(&profile);
    let said = fails(&place, &["report", "test.pronk", "--by", "label:tenant"]);
    assert!(said.contains("no sample has a label tenant: the profile has no labels"), "{said}");
    assert!(fails(&place, &["report", "test.pronk", "--each-task"]).contains("--each-task goes with --by task"));
}

#[test]
fn of_many_values_some_are_named() {
    let place = Place::new();
    let mut builder = Builder::default();
    let process = builder.process(1, None, "p", PythonSupport::NotPython);
    for number in 0..30 {
        let thread = builder.thread(process, 1, &format!("thread-{number}"));
        builder.samples(thread, &[], 100 - number);
    }
    place.profile(&builder.0);
    let said = fails(&place, &["report", "test.pronk", "--only", "thread=main"]);
    assert!(said.ends_with("thread-0, thread-1, thread-2, thread-3, thread-4, thread-5, thread-6, thread-7, thread-8, thread-9, and 20 more\n"), "{said}");
    let table = report(&place, &["--by", "thread"]);
    assert!(table.ends_with("thread-19\n10 more: --top 30 shows all\n"), "{table}");
}

#[test]
fn what_cannot_be_meant_says_what_can() {
    let place = with_example();
    for (arguments, expected) in [
        (
            &["report", "test.pronk", "--by", "tasks"][..],
            "invalid value 'tasks' for '--by <WHAT>': it is task, task-group,",
        ),
        (&["report", "test.pronk", "--by", "label:"], "invalid value 'label:' for '--by <WHAT>': it is task"),
        (
            &["flamegraph", "test.pronk", "-o", "a.svg", "--only", "tenant=a"],
            "invalid value 'tenant=a' for '--only <WHAT=VALUE>': it is label:",
        ),
        (
            &["timeline", "test.pronk", "-o", "a.svg", "--only", "task"],
            "invalid value 'task' for '--only <WHAT=VALUE>'",
        ),
        (&["timeline", "test.pronk", "-o", "a.svg", "--top", "0"], "--top"),
        (&["timeline", "test.pronk"], "--output <FILE>"),
        (&["report", "test.pronk", "--by", "task", "--total"], "cannot be used with"),
        (&["record", "--by", "", "--", "true"], "--by <WHAT>"),
        (
            &["record", "--by", "thread", "--each-task", "--", "true"],
            "--each-task goes with --by task, and not with --by thread",
        ),
    ] {
        let output = run(&mut place.pronk(arguments));
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(expected), "{arguments:?}: {said}");
    }
    assert!(
        fails(&place, &["timeline", "test.pronk", "-o", "out.png"]).contains("a name that ends in .svg, not out.png")
    );
    assert!(fails(&place, &["timeline", "missing.pronk", "-o", "out.svg"]).contains("cannot read missing.pronk"));
    assert_eq!(place.names(), ["test.pronk"]);
}
