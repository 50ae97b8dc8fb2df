//! A terminal that tests type in and look at: a shell in a pane of tmux.

use super::{Place, run, text, until};
use std::path::PathBuf;
use std::process::Command;

/// A terminal with a shell in it.
pub struct Terminal {
    socket: PathBuf,
}

impl Terminal {
    /// A terminal of this size in which a shell runs, in a place. `None`, said loudly, where there is no tmux.
    pub fn new(place: &Place, width: u32, height: u32) -> Option<Terminal> {
        if Command::new("tmux").arg("-V").output().is_err() {
            let required = std::env::var_os("PRONK_TEST_REQUIRE_ALL").is_some_and(|value| value == "1");
            assert!(!required, "there is no tmux here, and PRONK_TEST_REQUIRE_ALL=1 wants it");
            eprintln!("SKIPPED: there is no tmux here, which this test types into");
            return None;
        }
        let terminal = Terminal { socket: place.file("tmux.socket") };
        let (width, height) = (width.to_string(), height.to_string());
        let mut start = terminal.command(&["-f", "/dev/null", "new-session", "-d", "-x", &width, "-y", &height]);
        start.args(["env", "PS1=ready> ", "/bin/sh"]).current_dir(place.path());
        let output = run(&mut start);
        assert!(output.status.success(), "{}", text(&output.stderr));
        terminal.wait("a shell", |screen| screen.contains("ready>"));
        Some(terminal)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut tmux = Command::new("tmux");
        tmux.arg("-S").arg(&self.socket).args(arguments).env_remove("TMUX");
        tmux
    }

    fn tell(&self, arguments: &[&str]) -> String {
        let output = run(&mut self.command(arguments));
        assert!(output.status.success(), "tmux {arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Presses keys, by tmux's names: `a`, `Enter`, `C-c`.
    pub fn press(&self, keys: &[&str]) {
        self.tell(&[&["send-keys"], keys].concat());
    }

    /// Types a text as it is.
    pub fn write(&self, text: &str) {
        self.tell(&["send-keys", "-l", text]);
    }

    /// Has the shell run a line.
    pub fn run(&self, line: &str) {
        self.write(line);
        self.press(&["Enter"]);
    }

    /// What is on the screen.
    pub fn screen(&self) -> String {
        self.tell(&["capture-pane", "-p"])
    }

    /// Waits until the screen is as it should be.
    pub fn wait(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let mut last = String::new();
        let mut look = || {
            last = self.screen();
            wanted(&last).then(|| last.clone())
        };
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| until(what, &mut look)));
        found.unwrap_or_else(|_| panic!("waited in vain for {what}; the screen is:\n{last}"))
    }

    /// Waits for a text.
    pub fn wait_for(&self, text: &str) -> String {
        self.wait(text, |screen| screen.contains(text))
    }

    /// Makes it another size.
    pub fn resize(&self, width: u32, height: u32) {
        self.tell(&["resize-window", "-x", &width.to_string(), "-y", &height.to_string()]);
    }

    /// Whether the cursor can be seen, and whether a program has the screen for itself.
    pub fn state(&self) -> (bool, bool) {
        let state = self.tell(&["display-message", "-p", "#{cursor_flag} #{alternate_on}"]);
        let mut flags = state.split_whitespace().map(|flag| flag == "1");
        (flags.next().unwrap(), flags.next().unwrap())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.command(&["kill-server"]).output();
    }
}
