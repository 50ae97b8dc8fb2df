//! `pronk top`: run a command, and show live in the terminal where it spends its time.
//!
//! One thread does all of this: it waits for keys, for the command and for the next step, four times a second. The sampler's
//! threads go on meanwhile, and what they have recorded is asked of them step by step.

mod head;
mod keys;
mod model;
mod save;
mod screen;
#[cfg(test)]
mod testing;
mod view;

use super::sampling;
use crate::args::{Sampling, TopArguments};
use crate::ending::Ending;
use crate::messages::{describe, say};
use anyhow::{Context, Result};
use head::Head;
use keys::Action;
use model::{Dialog, Model};
use pronk_sampler::{Request, Session, Streams};
use pronk_symbolizer::live::Live;
use ratatui::crossterm::event::{self, Event};
use screen::Screen;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a step is.
const STEP: Duration = Duration::from_millis(250);

/// Runs the command and shows where it spends its time.
///
/// # Errors
/// When the command was not run. Once it runs, pronk ends as the command does.
pub fn run(arguments: TopArguments) -> Result<Ending> {
    Screen::check()?;
    let keyboard = screen::keyboard()?;
    let request = Request { streams: streams(arguments.output.as_deref())?, ..sampling::request(&arguments.sampling)? };
    let mut session = sampling::start(&arguments.sampling, request)?;
    // A fault of pronk's own must not change how the command ends.
    let watched = catch_unwind(AssertUnwindSafe(|| watch(&arguments.sampling, &mut session, &keyboard)));
    // Nothing is made of what was not saved. What cannot be stopped ends with this process.
    let _ = session.stop();
    match watched {
        Ok(Ok(Left { interrupt: true })) => session.interrupt(),
        Ok(Ok(Left { interrupt: false })) => {}
        Ok(Err(error)) => say!("the view has ended: {}; the program goes on", describe(&error)),
        Err(_) => say!("showing the profile failed: this is a fault of pronk's; please report it"),
    }
    let status = session.wait().context("the command ran, and how it ended is not known")?;
    Ok(status.map_or(Ending::Status(0), Ending::LikeProgram))
}

/// How the view was left.
struct Left {
    interrupt: bool,
}

/// Where the command reads and writes, while the terminal is the view's.
fn streams(output: Option<&Path>) -> Result<Streams> {
    let nowhere = || OpenOptions::new().read(true).write(true).open("/dev/null").context("cannot open /dev/null");
    let output = match output {
        Some(path) => {
            let file = OpenOptions::new().append(true).create(true).open(path);
            file.with_context(|| format!("cannot write {}", path.display()))?
        }
        None => nowhere()?,
    };
    // The view reads the keys.
    let input = io::stdin().is_terminal().then(nowhere).transpose()?;
    Ok(Streams { input: input.map(Arc::new), output: Some(Arc::new(output)) })
}

/// Shows the session until the user leaves the view, or is asked to by a signal.
fn watch(sampling: &Sampling, session: &mut Session, keyboard: &File) -> Result<Left> {
    let command: Vec<String> = session.command().iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let mut screen = Screen::take()?;
    let mut top =
        Top { live: Live::new(session.nothing_yet(), sampling.native.into()), model: Model::default(), ended: None };
    // Nobody has to be asked what becomes of it.
    let is_process = sampling.pid.is_some();
    let mut next_step = Instant::now();
    loop {
        if Instant::now() >= next_step {
            next_step = Instant::now() + STEP;
            if let Some(growth) = session.growth() {
                top.live.grow(growth);
            }
        }
        top.model.refresh(&top.live);
        let head = Head::new(&command, &top.model, &top.live, top.ended);
        screen.draw(|to| view::draw(to, &head, &top.model))?;
        let watched = session.watch(Some(keyboard.as_fd()), next_step)?;
        if watched.asked_to_end {
            return Ok(Left { interrupt: false });
        }
        if top.ended.is_none() && watched.has_ended {
            top.live.finish(session.stop()?);
            top.ended = Some(watched.status);
            // There is nothing to ask any more.
            top.model.dialog = match std::mem::take(&mut top.model.dialog) {
                Dialog::Quit => Dialog::None,
                other => other,
            };
        }
        while event::poll(Duration::ZERO)? {
            let Event::Key(key) = event::read()? else { continue };
            match keys::take(key, &mut top.model, &top.live, top.ended.is_some() || is_process) {
                Some(Action::Quit { interrupt }) => return Ok(Left { interrupt }),
                Some(Action::Suspend) => screen.suspend()?,
                Some(Action::Redraw) => screen.redraw()?,
                Some(Action::AskForName) => top.model.dialog = Dialog::Save(save::free_name()),
                Some(Action::Save { name, replace }) => top.save(&name, replace, sampling, session),
                None => {}
            }
            // What a key is for is what the key before has made of the rows.
            top.model.refresh(&top.live);
        }
    }
}

/// What is shown.
struct Top {
    live: Live,
    model: Model,
    /// Once it has ended: how, if that is known.
    ended: Option<Option<ExitStatus>>,
}

impl Top {
    /// Saves what was recorded so far, unless the user has to be asked first.
    fn save(&mut self, name: &str, replace: bool, sampling: &Sampling, session: &Session) {
        let path = save::path(name);
        if !replace && save::is_there(&path) {
            self.model.dialog = Dialog::Replace(path.display().to_string());
            return;
        }
        let profile = self.live.profile(sampling::meta(sampling, self.live.recording(), session));
        self.model.message = Some(match save::save(&profile, &path) {
            Ok(()) => format!("saved {} samples in {}", profile.quality.samples, path.display()),
            Err(error) => describe(&error),
        });
    }
}
