//! Reading a profile with pronk, and what comes of it.

use super::{Place, run, text};
use quick_xml::Reader;
use quick_xml::events::Event;

/// What `pronk report` prints of the profile there.
pub fn report(place: &Place, arguments: &[&str]) -> String {
    let output = run(&mut place.pronk(["report", "test.pronk"].iter().chain(arguments)));
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// What pronk says when it fails.
pub fn fails(place: &Place, arguments: &[&str]) -> String {
    let output = run(&mut place.pronk(arguments));
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(output.stdout.is_empty());
    let said = text(&output.stderr);
    assert!(said.starts_with("pronk: "), "{said}");
    said
}

/// The boxes of a flamegraph: what each is called and its colour.
pub fn boxes(svg: &str) -> String {
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

/// The SVG that a verb draws of the profile there, and what pronk says.
pub fn draw(place: &Place, verb: &str, arguments: &[&str]) -> (String, String) {
    let output = run(&mut place.pronk([verb, "test.pronk", "-o", "out.svg"].iter().chain(arguments)));
    assert!(output.status.success() && output.stdout.is_empty(), "{}", text(&output.stderr));
    (std::fs::read_to_string(place.file("out.svg")).unwrap(), text(&output.stderr))
}

/// The texts of the elements of a name, unescaped; the whole must be well-formed.
pub fn texts(svg: &str, element: &str) -> Vec<String> {
    let mut reader = Reader::from_str(svg);
    let (mut open, mut texts) = (Vec::new(), Vec::new());
    loop {
        let is_wanted = open.last().is_some_and(|name| name == element);
        match reader.read_event().unwrap_or_else(|error| panic!("{error}: {svg}")) {
            Event::Start(start) => {
                start.attributes().for_each(|attribute| assert!(attribute.is_ok(), "{svg}"));
                open.push(text(start.name().as_ref()));
                if open.last().is_some_and(|name| name == element) {
                    texts.push(String::new());
                }
            }
            Event::End(_) => drop(open.pop()),
            Event::Text(found) if is_wanted => texts.last_mut().unwrap().push_str(&found.decode().unwrap()),
            Event::GeneralRef(found) if is_wanted => {
                let found = found.decode().unwrap();
                let character = match &*found {
                    "lt" => '<',
                    "gt" => '>',
                    "amp" => '&',
                    other => panic!("&{other};"),
                };
                texts.last_mut().unwrap().push(character);
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert!(open.is_empty(), "{open:?} is not closed");
    texts
}
