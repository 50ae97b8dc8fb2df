//! `pronk report` and `pronk flamegraph`, on a profile whose every number is known.

mod common;

use common::{Builder, Place, example, golden, run, text};
use pronk_symbolizer::profile::{Category, Profile, PythonSupport};
use std::io::{BufRead, BufReader};
use std::process::Stdio;

fn report(place: &Place, arguments: &[&str]) -> String {
    let output = run(&mut place.pronk(["report", "test.pronk"].iter().chain(arguments)));
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
    text(&output.stdout)
}

fn fails(place: &Place, arguments: &[&str]) -> String {
    let output = run(&mut place.pronk(arguments));
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(output.stdout.is_empty());
    let said = text(&output.stderr);
    assert!(said.starts_with("pronk: "), "{said}");
    said
}

/// The boxes of a flamegraph: what each is called and its colour.
fn boxes(svg: &str) -> String {
    let attribute = |rectangle: &str, name: &str| {
        let rest = rectangle.split(&format!("{name}=\"")).nth(1).unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    let groups = svg.split("<g><title>").skip(1);
    let lines = groups.map(|group| {
        let (title, rest) = group.split_once("</title>").unwrap();
        format!("{} {} {title}\n", attribute(rest, "fill"), attribute(rest, " y"))
    });
    lines.collect()
}

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
