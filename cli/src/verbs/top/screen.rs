//! The terminal while the view has it. Whatever way the view ends, the terminal is as it was.

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::getpgrp;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Stdout};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// More bytes than a page has on most screens.
const PAGE_SIZE: usize = 1 << 16;

/// Whether the view has the terminal.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal.
#[derive(Debug)]
pub struct Screen {
    /// Each page is written at once, so that none is seen half.
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
}

impl Screen {
    /// Whether there is a terminal that can be drawn on.
    ///
    /// # Errors
    /// When there is none, with what to do instead.
    pub fn check() -> Result<()> {
        let instead = "use `pronk record`, which needs no terminal";
        if !io::stdout().is_terminal() {
            bail!("pronk top draws on a terminal, and its stdout is none: {instead}");
        }
        match std::env::var("TERM").unwrap_or_default().as_str() {
            "" => bail!("pronk top cannot draw on this terminal, since TERM does not say what it is: {instead}"),
            "dumb" => bail!("pronk top cannot draw on this terminal (TERM=dumb): {instead}"),
            _ => Ok(()),
        }
    }

    /// Takes the terminal.
    ///
    /// # Errors
    /// When it cannot be set up.
    pub fn take() -> Result<Screen> {
        give_back_in_a_panic();
        take()?;
        let terminal = Terminal::new(CrosstermBackend::new(BufWriter::with_capacity(PAGE_SIZE, io::stdout())));
        let terminal = terminal.inspect_err(|_| give_back()).context("cannot draw on the terminal")?;
        Ok(Screen { terminal })
    }

    /// Draws.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn draw(&mut self, draw: impl FnOnce(&mut ratatui::buffer::Buffer)) -> io::Result<()> {
        self.terminal.draw(|frame| draw(frame.buffer_mut())).map(|_| ())
    }

    /// Has everything drawn again, whatever is on the screen.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn redraw(&mut self) -> io::Result<()> {
        self.terminal.clear()
    }

    /// Gives the terminal back and stops, with the command, as Ctrl-Z has a program do; takes it again when the shell has the
    /// program go on.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn suspend(&mut self) -> Result<()> {
        give_back();
        // This thread stops before it comes back from the call: it is the process's first one, which the kernel prefers.
        killpg(getpgrp(), Signal::SIGTSTP).context("cannot stop")?;
        take()?;
        Ok(self.redraw()?)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn take() -> Result<()> {
    TAKEN.store(true, Ordering::Relaxed);
    let taken = enable_raw_mode().and_then(|()| execute!(io::stdout(), EnterAlternateScreen));
    taken.inspect_err(|_| give_back()).context("cannot set up the terminal")
}

fn give_back() {
    if TAKEN.swap(false, Ordering::Relaxed) {
        // A terminal that is gone needs nothing.
        let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}

/// A panic's message would be written onto the view and be gone with it.
fn give_back_in_a_panic() {
    let before = panic::take_hook();
    let drawing = thread::current().id();
    panic::set_hook(Box::new(move |panic| {
        if thread::current().id() == drawing {
            give_back();
        }
        before(panic);
    }));
}

/// Where keys come from: stdin if that is a terminal, else the one that this process belongs to, as crossterm has it.
///
/// # Errors
/// When there is none.
pub fn keyboard() -> Result<File> {
    let path = if io::stdin().is_terminal() { "/dev/stdin" } else { "/dev/tty" };
    File::open(path).context("there is no terminal to read keys from")
}
