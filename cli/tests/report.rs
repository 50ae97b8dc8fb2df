//! `pronk report` and `pronk flamegraph`, on a profile whose every number is known.

mod common;

use common::reading::{boxes, fails, report};
use common::{Builder, Place, example, golden, run, text};
use pronk_symbolizer::profile::{Calls, Category, Counting, Function, FunctionId, Profile, PythonSupport};
use std::io::{BufRead, BufReader};
use std::process::Stdio;

#[test]
fn the_table_is_sorted_by_self_or_total() {
    let place = Place::new();
    place.profile(&example());
    golden("report.txt", &report(&place, &[]));
    assert_eq!(report(&place, &["--self"]), report(&place, &[]));
    golden("report-total.txt", &report(&place, &["--total"]));
    golden("report-all-top.txt", &report(&place, &["--native", "all", "--top", "2"]));
    golden("report-worker.txt", &report(&place, &["--thread", "worker"]));
    assert_eq!(
        report(&place, &["--thread", "105"]).lines().count(),
        report(&place, &["--thread", "worker"]).lines().count()
    );
}

#[test]
fn the_json_is_what_is_documented() {
    let place = Place::new();
    place.profile(&example());
    golden("report.json", &report(&place, &["--json"]));
    let limited = report(&place, &["--json", "--top", "1", "--total", "--thread", "worker", "--native", "python"]);
    let json: serde_json::Value = serde_json::from_str(&limited).unwrap();
    assert_eq!(json["version"], 1);
    assert_eq!(json["sort"], "total");
    assert_eq!(json["thread"], "worker");
    assert_eq!(json["native"], "python");
    assert_eq!(json["samples"], 250);
    assert_eq!(json["functions"].as_array().unwrap().len(), 1);
}

#[test]
fn functions_have_their_calls_where_these_were_counted() {
    let place = Place::new();
    let mut builder = Builder(example());
    let idle = builder.frame(Category::Python, "app.poll", "/srv/app.py", Some(70));
    let idle = builder.0.frames[idle.index()].function;
    for (name, count) in [("__main__.burn", 2_400_000), ("__main__.<module>", 1)] {
        let named = |function: &Function| builder.0.strings[function.name.index()] == name;
        let function = FunctionId(builder.0.functions.iter().position(named).unwrap() as u32);
        builder.0.calls.push(Calls {
            function,
            count,
            error: None,
            cost_ns: 15 * count,
            resumes: false,
            at_least: count == 1,
        });
    }
    builder.0.calls.push(Calls {
        function: idle,
        count: 31_000_000,
        error: None,
        cost_ns: 0,
        resumes: true,
        at_least: false,
    });
    builder.0.quality.counting = Counting::Exact;
    place.profile(&builder.0);
    golden("report-with-calls.txt", &report(&place, &[]));
    golden("report-calls.txt", &report(&place, &["--calls"]));
    let json: serde_json::Value = serde_json::from_str(&report(&place, &["--calls", "--json"])).unwrap();
    assert_eq!((&json["sort"], &json["quality"]["counting"]), (&"calls".into(), &"exact".into()));
    let [first, second] = [0, 1].map(|row| &json["functions"][row]);
    assert_eq!(
        (&first["name"], &first["calls"], &first["resumes"]),
        (&"app.poll".into(), &31_000_000.into(), &true.into())
    );
    assert_eq!((&first["self"], &first["self_ns_per_call"]), (&0.into(), &0.0.into()));
    // 600 of 999 samples in a second, by 2.4 million calls in 1.25 seconds.
    assert_eq!((&second["calls_per_second"], &second["self_ns_per_call"]), (&1_920_000.0.into(), &250.25.into()));

    let said = fails(&place, &["report", "test.pronk", "--calls", "--thread", "worker"]);
    assert!(said.contains("cannot be combined with --thread or --only"), "{said}");
    assert!(!report(&place, &["--thread", "worker"]).contains("calls"));
    builder.0.quality.counting = Counting::Incomplete;
    place.profile(&builder.0);
    assert!(report(&place, &[]).contains("calls are missing in these numbers"));
    let errors = [84_000, 0, 40_000_000].map(Some);
    builder.0.calls.iter_mut().zip(errors).for_each(|(calls, error)| calls.error = error);
    builder.0.quality.counting = Counting::Estimated;
    place.profile(&builder.0);
    golden("report-estimated-calls.txt", &report(&place, &["--calls"]));
    place.profile(&example());
    let said = fails(&place, &["report", "test.pronk", "--calls"]);
    assert!(said.contains("record it with --budget 2, with --stubs full, or with --engine perf"), "{said}");
}

#[test]
fn the_flamegraph_tells_kinds_of_code_apart() {
    let place = Place::new();
    place.profile(&example());
    for (name, arguments) in [
        ("flamegraph.txt", &[][..]),
        ("flamegraph-reverse.txt", &["--reverse"]),
        ("flamegraph-python-worker.txt", &["--native", "python", "--thread", "worker"]),
    ] {
        let output = run(&mut place.pronk(["flamegraph", "test.pronk", "-o", "out.svg"].iter().chain(arguments)));
        assert!(output.status.success(), "{}", text(&output.stderr));
        let svg = std::fs::read_to_string(place.file("out.svg")).unwrap();
        golden(name, &boxes(&svg));
        assert!(svg.contains(">python3 app.py</text>"), "the title is the command");
        let outside = |line: &&str| line.contains("http") && !line.contains("www.w3.org/");
        assert_eq!(
            svg.lines().find(outside).filter(|line| line.contains("href=\"http")),
            None,
            "it needs nothing else"
        );
    }
}

/// 100 samples of two files that are called alike: 60 on line 3 of one, called from its line 5, and 30 on a line of the other;
/// and of a function without lines.
fn with_lines(place: &Place, directory: &str) -> Builder {
    let mut builder = Builder::default();
    builder.0.meta = pronk_symbolizer::profile::Meta {
        command: vec!["python3".into(), "app.py".into()],
        frequency: 999,
        started_at_unix: u64::MAX,
        duration_ns: 100_000_000,
        event: "task-clock".into(),
        engine: "signal".into(),
        ..Default::default()
    };
    let [app, other] = ["app", "lib"].map(|name| place.file(directory).join(name).join("app.py"));
    let process = builder.process(1, None, "python3", PythonSupport::Stubs("3.12.1".into()));
    let thread = builder.thread(process, 1, "python3");
    let module = builder.frame(Category::Python, "__main__.<module>", app.to_str().unwrap(), Some(1));
    let burn = builder.frame(Category::Python, "__main__.burn", app.to_str().unwrap(), Some(1));
    let helper = builder.frame(Category::Python, "lib.app.help", other.to_str().unwrap(), Some(7));
    let (calls, runs) = (builder.on_line(module, Some(5)), builder.on_line(burn, Some(3)));
    let nowhere = builder.on_line(burn, None);
    builder.samples(thread, &[calls, runs], 60);
    builder.samples(thread, &[calls, runs, helper], 30);
    builder.samples(thread, &[calls, nowhere], 10);
    builder
}

#[test]
fn a_source_has_the_share_of_each_line_beside_it() {
    let place = Place::new();
    let builder = with_lines(&place, "src");
    place.profile(&builder.0);
    let hide = |text: String| text.replace(place.path().to_str().unwrap(), "PLACE");
    std::fs::create_dir_all(place.file("src/app")).unwrap();
    golden("lines-without-source.txt", &hide(report(&place, &["--lines", "app/app.py"])));
    std::fs::write(place.file("src/app/app.py"), "def burn():\n\twhile True:\n\t\tpass\n\nburn()\n").unwrap();
    golden("lines.txt", &hide(report(&place, &["--lines", "app/app.py"])));
    golden("lines.json", &hide(report(&place, &["--lines", "src/app/app.py", "--json"])));
    assert_eq!(report(&place, &["--lines", "./src/app/app.py"]), report(&place, &["--lines", "app/app.py"]));
}

#[test]
fn a_source_that_was_changed_since_is_said_to_be() {
    let place = Place::new();
    let mut builder = with_lines(&place, "src");
    builder.0.meta.started_at_unix = 0;
    place.profile(&builder.0);
    std::fs::create_dir_all(place.file("src/app")).unwrap();
    std::fs::write(place.file("src/app/app.py"), "pass\n").unwrap();
    let said = report(&place, &["--lines", "app/app.py"]);
    assert!(said.contains("was changed after the profile was begun"), "{said}");
}

#[test]
fn a_file_that_is_not_one_of_the_profiles_names_those_that_are() {
    let place = Place::new();
    place.profile(&with_lines(&place, "src").0);
    let said = fails(&place, &["report", "test.pronk", "--lines", "app.py"]);
    assert!(said.contains("app.py can be each of: ") && said.contains("src/app/app.py, "), "{said}");
    let said = fails(&place, &["report", "test.pronk", "--lines", "pp.py"]);
    assert!(said.contains("no sample is in pp.py; there are samples in: ") && said.contains("lib/app.py"), "{said}");
    let none = fails(&place, &["report", "test.pronk", "--lines", "app/app.py", "--thread", "nobody"]);
    assert!(none.contains("no thread named nobody"), "{none}");
}

#[test]
fn lines_tell_the_boxes_of_one_function_apart() {
    let place = Place::new();
    let mut builder = with_lines(&place, "src");
    let burn = builder.on_line(pronk_symbolizer::profile::FrameId(1), Some(2));
    builder.samples(pronk_symbolizer::profile::ThreadId(0), &[burn], 5);
    place.profile(&builder.0);
    let draw = |options: &[&str]| {
        let output = run(&mut place.pronk(["flamegraph", "test.pronk", "-o", "out.svg"].iter().chain(options)));
        assert!(output.status.success(), "{}", text(&output.stderr));
        boxes(&std::fs::read_to_string(place.file("out.svg")).unwrap())
    };
    golden("flamegraph-lines.txt", &draw(&["--lines"]));
    assert!(draw(&[]).lines().count() < draw(&["--lines"]).lines().count());
}

#[test]
fn a_profile_without_lines_says_how_to_have_them() {
    let place = Place::new();
    let mut profile = example();
    profile.frames.iter_mut().for_each(|frame| frame.line = None);
    place.profile(&profile);
    for arguments in
        [&["report", "test.pronk", "--lines", "app.py"][..], &["flamegraph", "test.pronk", "-o", "a.svg", "--lines"]]
    {
        let said = fails(&place, arguments);
        assert!(said.contains("no lines") && said.contains("`pronk record --engine signal`"), "{said}");
    }
}

#[test]
fn a_flamegraph_is_the_same_each_time_and_has_its_title() {
    let place = Place::new();
    place.profile(&example());
    let draw = |name: &str| {
        let arguments = ["flamegraph", "test.pronk", "-o", name, "--title", "a <b> & c"];
        assert!(run(&mut place.pronk(arguments)).status.success());
        std::fs::read(place.file(name)).unwrap()
    };
    assert_eq!(draw("one.svg"), draw("two.svg"));
    assert!(text(&draw("one.svg")).contains("a &lt;b&gt; &amp; c"));
}

#[test]
fn a_profile_without_samples_is_still_one() {
    let place = Place::new();
    place.profile(&Profile::default());
    assert!(report(&place, &[]).contains("0 samples"));
    assert!(run(&mut place.pronk(["flamegraph", "test.pronk", "-o", "out.svg"])).status.success());
    assert!(std::fs::read_to_string(place.file("out.svg")).unwrap().contains("No samples"));
}

#[test]
fn names_cannot_break_a_flamegraph_or_a_terminal() {
    let place = Place::new();
    let mut builder = Builder::default();
    let process = builder.process(1, None, "p", PythonSupport::NotPython);
    let thread = builder.thread(process, 1, "p");
    let odd = builder.frame(Category::Python, "# a;b \u{1b}[31m\n 12 34", "", None);
    builder.samples(thread, &[odd], 5);
    place.profile(&builder.0);
    let table = report(&place, &[]);
    assert!(!table.contains('\u{1b}'), "{table:?}");
    assert!(run(&mut place.pronk(["flamegraph", "test.pronk", "-o", "out.svg"])).status.success());
    let boxes = boxes(&std::fs::read_to_string(place.file("out.svg")).unwrap());
    assert_eq!(boxes.lines().count(), 2, "{boxes}");
    assert!(boxes.contains("(5 samples, 100.00%)"), "{boxes}");
}

#[test]
fn what_is_no_profile_is_said_to_be_none() {
    let place = Place::new();
    let path = place.profile(&example());
    let whole = std::fs::read(&path).unwrap();
    let with = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let said = fails(&place, &["report", "test.pronk"]);
        assert!(said.contains("test.pronk"), "{said}");
        assert_eq!(said, fails(&place, &["flamegraph", "test.pronk", "-o", "out.svg"]));
        said
    };
    assert!(with(&whole[..whole.len() / 2]).contains("truncated"));
    let mut damaged = whole.clone();
    *damaged.last_mut().unwrap() ^= 1;
    assert!(with(&damaged).contains("damaged"));
    let mut newer = whole.clone();
    newer[8..12].copy_from_slice(&99_u32.to_le_bytes());
    assert!(with(&newer).contains("newer pronk"));
    let mut older = whole.clone();
    older[8..12].copy_from_slice(&1_u32.to_le_bytes());
    assert!(with(&older).contains("older pronk"));
    assert!(with(b"<svg/>").contains("not a profile"));
    assert!(fails(&place, &["report", "missing.pronk"]).contains("cannot read missing.pronk: No such file"));
    assert!(fails(&place, &["report", "/dev/zero"]).contains("cannot read /dev/zero: it is not a file"));
    assert!(!place.file("out.svg").exists());
}

#[test]
fn a_thread_that_is_not_there_names_those_that_are() {
    let place = Place::new();
    place.profile(&example());
    let said = fails(&place, &["report", "test.pronk", "--thread", "nobody"]);
    assert!(said.contains("no thread named nobody") && said.contains("python3, worker"), "{said}");
}

#[test]
fn a_flamegraph_is_an_svg_that_can_be_written() {
    let place = Place::new();
    place.profile(&example());
    assert!(fails(&place, &["flamegraph", "test.pronk", "-o", "out.png"]).contains(".svg"));
    let said = fails(&place, &["flamegraph", "test.pronk", "-o", "missing/out.svg"]);
    assert!(said.contains("cannot write missing/out.svg"), "{said}");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let place = Place::new();
    let mut builder = Builder::default();
    let process = builder.process(1, None, "p", PythonSupport::NotPython);
    let thread = builder.thread(process, 1, "p");
    // More than a pipe holds, which is 64 KiB.
    for number in 0..5000 {
        let frame = builder.frame(Category::Python, &format!("module.function_{number}"), "a.py", Some(number));
        builder.samples(thread, &[frame], 1);
    }
    place.profile(&builder.0);
    let mut command = place.pronk(["report", "test.pronk", "--top", "5000"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{:?}", output.status);
    assert_eq!(text(&output.stderr), "");
}
