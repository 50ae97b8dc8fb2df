//! `pronk top` in a terminal: what its keys do, how it ends, and what it leaves behind.

mod common;

use common::python::{fixture, interpreters};
use common::tmux::Terminal;
use common::{Place, run, text, until};
use pronk_bench::interpreter::Interpreter;
use std::path::Path;
use std::process::Stdio;

/// A terminal in which a program is watched.
struct Top {
    place: Place,
    terminal: Terminal,
}

impl Top {
    /// Starts `pronk top` with some options, and waits until there is something to see.
    fn start(interpreter: &Interpreter, options: &str) -> Option<Top> {
        let place = Place::for_recording()?;
        let terminal = Terminal::new(&place, 80, 24)?;
        let top = Top { place, terminal };
        terminal_settings(&top, "before");
        top.terminal.run(&format!(
            "PYTHONPATH={} {} top {options} -- {} {}",
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../python").display(),
            env!("CARGO_BIN_EXE_pronk"),
            interpreter.path.display(),
            fixture("top/program.py").display(),
        ));
        top.terminal.wait_for("__main__.hot");
        Some(top)
    }

    fn stop_program(&self) {
        std::fs::write(self.place.file("stop"), "").unwrap();
    }

    /// How many seconds the program has worked.
    fn progress(&self) -> f64 {
        until("the program", || std::fs::read_to_string(self.place.file("progress")).ok()?.parse().ok())
    }

    /// The rows of the table.
    fn rows(&self) -> Vec<String> {
        rows(&self.terminal.screen())
    }

    /// Waits for the end of pronk, which must have this status and leave the terminal as it was.
    fn ends(&self, status: i32) {
        self.terminal.wait("the cursor, and the shell's screen", |_| self.terminal.state() == (true, false));
        self.terminal.run("echo \"ended with $?\"");
        self.terminal.wait_for(&format!("ended with {status}"));
        let screen = self.terminal.screen();
        assert!(screen.contains("stty -a > before"), "what was there before is there again:\n{screen}");
        assert!(!screen.contains("noise"), "{screen}");
        terminal_settings(self, "after");
        let settings = |name| std::fs::read_to_string(self.place.file(name)).unwrap();
        assert_eq!(settings("before"), settings("after"));
    }

    /// The process of pronk.
    fn pid(&self) -> nix::unistd::Pid {
        let of = |entry: std::io::Result<std::fs::DirEntry>| {
            let path = entry.ok()?.path();
            let is_here = std::fs::read_link(path.join("cwd")).is_ok_and(|directory| directory == self.place.path());
            let is_pronk = std::fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "pronk");
            path.file_name()?.to_str()?.parse().ok().filter(|_| is_here && is_pronk)
        };
        let pid = std::fs::read_dir("/proc").unwrap().find_map(of);
        nix::unistd::Pid::from_raw(pid.expect("pronk runs"))
    }
}

/// The rows of a table on a screen: the lines with a share.
fn rows(screen: &str) -> Vec<String> {
    screen.lines().skip(5).filter(|line| line.contains('%')).map(str::to_owned).collect()
}

/// Writes how the terminal is set into a file.
fn terminal_settings(top: &Top, name: &str) {
    top.terminal.run(&format!("stty -a > {name}.new; mv {name}.new {name}"));
    until("stty", || top.place.file(name).exists().then_some(()));
}

/// The oldest and the newest interpreter.
fn both_ends() -> Vec<&'static Interpreter> {
    let all = interpreters().unwrap_or_default();
    let mut ends: Vec<_> = all.first().into_iter().chain(all.last()).collect();
    ends.dedup_by_key(|interpreter| &interpreter.path);
    ends
}

#[test]
fn keys_choose_what_is_seen() {
    for interpreter in both_ends() {
        let Some(top) = Top::start(interpreter, "") else { return };
        let terminal = &top.terminal;
        let first_is = |name: &str| {
            let name = name.to_owned();
            move |screen: &str| rows(screen).first().is_some_and(|row| row.contains(&name))
        };
        terminal.wait("the function that works most", first_is("__main__.hot"));
        terminal.press(&["s"]);
        terminal.wait("the order by total", first_is("__main__.<module>"));
        terminal.press(&["s", "n"]);
        terminal.wait("the order by self", first_is("__main__.hot"));

        terminal.press(&["/"]);
        terminal.write("WARM");
        terminal.wait("one function", |screen| rows(screen).len() == 1 && screen.contains("__main__.warm"));
        terminal.press(&["Enter"]);
        terminal.wait_for("filter: WARM");
        terminal.press(&["Enter"]);
        let zoomed = terminal.wait_for("^ __main__.outer");
        assert!(!zoomed.contains("__main__.hot"), "{zoomed}");
        // From the caller down to another function that it calls.
        terminal.press(&["Up", "Enter"]);
        terminal.wait_for("v __main__.hot");
        terminal.press(&["Escape"]);
        terminal.wait_for("^ __main__.outer");
        terminal.press(&["Escape"]);
        terminal.wait("one function again", |screen| rows(screen).len() == 1);
        terminal.press(&["Escape"]);
        terminal.wait_for("__main__.hot");

        terminal.press(&["2"]);
        terminal.wait("the threads", |screen| rows(screen).len() >= 2 && screen.contains("CPU  thread"));
        terminal.press(&["Tab"]);
        terminal.wait_for("(no task)");
        terminal.press(&["l"]);
        let labels = terminal.wait_for("acme");
        assert!(labels.contains("Labels: tenant") && labels.contains("(none)"), "{labels}");
        terminal.press(&["?"]);
        terminal.wait_for("any key leads back");
        terminal.press(&["x", "1"]);
        terminal.wait_for("__main__.hot");
        top.stop_program();
        terminal.wait_for("ended: exit code 3");
        terminal.press(&["q"]);
        top.ends(3);
    }
}

#[test]
fn a_frozen_view_stands_still_and_what_was_seen_is_saved() {
    let Some(interpreter) = both_ends().pop() else { return };
    let Some(top) = Top::start(interpreter, "") else { return };
    let terminal = &top.terminal;
    terminal.press(&["f"]);
    terminal.wait_for("FROZEN");
    // What is at the bottom is drawn last: when it is there again, all is.
    terminal.press(&["?"]);
    terminal.wait_for("any key leads back");
    terminal.press(&["x"]);
    let frozen = terminal.wait("the whole view", |screen| {
        screen.trim_end().ends_with("? help") && !screen.contains("any key leads back")
    });
    let before = top.progress();
    until("two more seconds of work", || (top.progress() > before + 2.0).then_some(()));
    assert_eq!(terminal.screen(), frozen);
    terminal.press(&["f"]);
    terminal.wait("the view to go on", |screen| {
        !screen.contains("FROZEN") && screen.lines().nth(1) != frozen.lines().nth(1)
    });

    terminal.press(&["p"]);
    terminal.wait_for("save as: top.pronk");
    terminal.press(&["Enter"]);
    terminal.wait_for("saved ");
    let profile = top.place.read_profile("top.pronk");
    assert!(profile.strings.iter().any(|text| text == "__main__.hot"));
    assert_eq!((profile.meta.exit.as_str(), profile.meta.engine.as_str()), ("still running", "signal"));
    assert_eq!(profile.quality.samples, profile.samples.iter().map(|sample| u64::from(sample.weight)).sum::<u64>());
    // Another name is offered now, and a file that is there is only replaced by who says so.
    let first = std::fs::read(top.place.file("top.pronk")).unwrap();
    terminal.press(&["p"]);
    terminal.wait_for("save as: top-2.pronk");
    terminal.press(&["BSpace"; 8]);
    terminal.write(".pronk");
    terminal.press(&["Enter"]);
    terminal.wait_for("top.pronk is there already");
    terminal.press(&["n"]);
    terminal.wait_for("q quit");
    assert!(std::fs::read(top.place.file("top.pronk")).unwrap() == first);

    top.stop_program();
    terminal.wait_for("ended: exit code 3");
    // What is saved after the end is all of it.
    terminal.press(&["p"]);
    terminal.wait_for("save as: top-2.pronk");
    terminal.press(&["Enter"]);
    terminal.wait_for("saved ");
    let whole = top.place.read_profile("top-2.pronk");
    assert!(whole.quality.samples > profile.quality.samples);
    assert_eq!((whole.quality.samples > 1000, whole.meta.exit.as_str()), (true, "exit code 3"));
    terminal.press(&["C-c"]);
    top.ends(3);
}

#[test]
fn the_view_is_as_large_as_the_terminal() {
    let Some(interpreter) = both_ends().pop() else { return };
    let Some(top) = Top::start(interpreter, "") else { return };
    let terminal = &top.terminal;
    let has_footer_in =
        |line: usize| move |screen: &str| screen.lines().nth(line).is_some_and(|line| line.starts_with("q quit"));
    terminal.wait("the keys at the bottom", has_footer_in(23));
    for (width, height) in [(60, 12), (20, 5), (120, 30), (80, 24)] {
        terminal.resize(width, height);
        terminal.wait("the keys at the new bottom", has_footer_in(height as usize - 1));
    }
    top.stop_program();
    terminal.wait_for("ended: exit code 3");
    terminal.press(&["q"]);
    top.ends(3);
}

#[test]
fn quitting_asks_what_becomes_of_a_program_that_runs() {
    let Some(interpreter) = both_ends().pop() else { return };
    // Interrupted as by Ctrl-C in a terminal: Python ends by the signal, and so does pronk.
    for keys in [["q", "i"], ["C-c", "C-c"]] {
        let Some(top) = Top::start(interpreter, "") else { return };
        top.terminal.press(&keys[..1]);
        top.terminal.wait_for("the command runs: i interrupt");
        top.terminal.press(&keys[1..]);
        top.ends(128 + libc::SIGINT);
    }
    let Some(top) = Top::start(interpreter, "--output out.txt") else { return };
    top.terminal.press(&["q"]);
    top.terminal.wait_for("the command runs: i interrupt");
    top.terminal.press(&["Escape"]);
    top.terminal.wait_for("Enter zoom");
    top.terminal.press(&["q"]);
    top.terminal.wait_for("w quit and wait");
    top.terminal.press(&["w"]);
    top.terminal.wait("the shell's screen", |_| top.terminal.state() == (true, false));
    // It waits.
    top.pid();
    top.stop_program();
    top.ends(3);
    let output = std::fs::read_to_string(top.place.file("out.txt")).unwrap();
    assert!(output.starts_with("begun\n") && output.contains("noise on stdout\nnoise on stderr\n"));
}

#[test]
fn a_signal_ends_the_view_and_the_program() {
    use nix::sys::signal::{Signal, kill};
    let Some(interpreter) = both_ends().pop() else { return };
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        let Some(top) = Top::start(interpreter, "") else { return };
        kill(top.pid(), signal).unwrap();
        top.ends(128 + signal as i32);
    }
}

#[test]
fn the_view_is_suspended_with_the_program() {
    let Some(interpreter) = both_ends().pop() else { return };
    let Some(top) = Top::start(interpreter, "") else { return };
    let terminal = &top.terminal;
    terminal.press(&["C-z"]);
    terminal.wait("the shell's screen", |screen| terminal.state() == (true, false) && screen.contains("Stopped"));
    terminal.run("fg");
    terminal.wait("the view", |screen| terminal.state().1 && screen.contains("__main__.hot"));
    let before = top.progress();
    until("the program to go on", || (top.progress() > before).then_some(()));
    top.stop_program();
    terminal.wait_for("ended: exit code 3");
    terminal.press(&["q"]);
    terminal.wait("the shell", |_| terminal.state() == (true, false));
}

#[test]
fn both_engines_are_seen() {
    let Some(interpreter) = both_ends().pop() else { return };
    for options in ["--mode wall", "--mode gil", "--engine perf"] {
        let Some(top) = Top::start(interpreter, options) else { return };
        top.terminal.wait("rows", |_| top.rows().len() > 2);
        let head = top.terminal.screen();
        assert_eq!(head.contains("GIL held"), options == "--mode gil", "{head}");
        top.stop_program();
        top.terminal.wait_for("ended: exit code 3");
        top.terminal.press(&["q"]);
        top.ends(3);
    }
}

#[test]
fn what_cannot_be_drawn_on_is_refused() {
    let place = Place::new();
    let refused = run(place.pronk(["top", "--", "true"]).stdin(Stdio::null()));
    let stderr = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("its stdout is none: use `pronk record`"), "{stderr}");
    let Some(terminal) = Terminal::new(&place, 80, 24) else { return };
    let pronk = env!("CARGO_BIN_EXE_pronk");
    terminal.run(&format!("TERM=dumb {pronk} top -- touch ran; echo \"ended with $?\""));
    let screen = terminal.wait_for("ended with 2");
    assert!(screen.contains("(TERM=dumb)") && !place.file("ran").exists(), "{screen}");
    terminal.run(&format!("clear; {pronk} top -- /nonexistent/program; echo \"ended with $?\""));
    let screen = terminal.wait_for("ended with 127");
    assert!(screen.contains("/nonexistent/program"), "{screen}");
    assert_eq!(terminal.state(), (true, false));
}

#[test]
fn nothing_needs_colours() {
    let Some(interpreter) = both_ends().pop() else { return };
    let Some(place) = Place::for_recording() else { return };
    let Some(terminal) = Terminal::new(&place, 80, 24) else { return };
    terminal.run(&format!(
        "NO_COLOR=1 TERM=vt100 {} top -- {} -c 'while True: sum(range(1000))'",
        env!("CARGO_BIN_EXE_pronk"),
        interpreter.path.display()
    ));
    terminal.wait_for("__main__.<module>");
    terminal.press(&["q"]);
    terminal.wait_for("i interrupt");
    terminal.press(&["i"]);
    terminal.wait("the shell", |_| terminal.state() == (true, false));
}

#[test]
fn a_process_that_runs_is_watched_and_left() {
    let Some(interpreter) = both_ends().pop() else { return };
    let Some(place) = Place::for_recording() else { return };
    let Some(terminal) = Terminal::new(&place, 80, 24) else { return };
    let mut program = std::process::Command::new(&interpreter.path)
        .arg(fixture("top/program.py"))
        .env("PYTHONPATH", Path::new(env!("CARGO_MANIFEST_DIR")).join("../python"))
        .current_dir(place.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let worked = || std::fs::read_to_string(place.file("progress")).ok()?.parse::<f64>().ok();
    until("the program", worked);
    let watch = format!("{} top --pid {}", env!("CARGO_BIN_EXE_pronk"), program.id());
    terminal.run(&watch);
    let screen = terminal.wait_for("__main__.hot");
    assert!(screen.contains("program.py"), "the head has the process's own command:\n{screen}");
    // It is nobody's to be asked about.
    terminal.press(&["q"]);
    terminal.wait("the shell's screen", |_| terminal.state() == (true, false));
    terminal.run("echo \"left with $?\"");
    terminal.wait_for("left with 0");
    let before = worked().unwrap();
    until("the program to go on", || worked().filter(|now| *now > before));
    // Once more, until it ends.
    terminal.run(&watch);
    terminal.wait_for("__main__.hot");
    std::fs::write(place.file("stop"), "").unwrap();
    assert_eq!(program.wait().unwrap().code(), Some(3));
    terminal.wait("the end", |screen| screen.lines().next().is_some_and(|line| line.ends_with("ended")));
    terminal.press(&["q"]);
    terminal.run("echo \"then with $?\"");
    terminal.wait_for("then with 0");
}
