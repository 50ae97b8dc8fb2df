//! `pronk timeline`: who ran when, as a picture.

use super::selection;
use crate::args::TimelineArguments;
use crate::ending::Ending;
use crate::export::{Export, Format, TimelineSvg};
use crate::messages::say;
use crate::output::{Existing, Output};
use anyhow::{Result, bail};
use pronk_symbolizer::profile::Profile;
use pronk_symbolizer::view::{By, View};

/// Reads the profile and draws it.
///
/// # Errors
/// When the profile cannot be read or the picture cannot be written.
pub fn run(arguments: TimelineArguments) -> Result<Ending> {
    let path = &arguments.output;
    if Format::of(path) != Some(Format::Svg) {
        bail!("a timeline is an SVG file, so -o takes a name that ends in .svg, not {}", path.display());
    }
    let profile = super::read(&arguments.profile)?;
    let has_rows = has_tasks(&profile) || profile.samples.is_empty();
    if arguments.grouping.by.is_none() && !has_rows {
        say!("the profile has no tasks, so the timeline is by thread; --by asks for something else");
    }
    let by = arguments.grouping.by(Some(if has_rows { By::Task } else { By::Thread }))?;
    let options = selection::options(arguments.samples, by, &profile)?;
    let view = View::new(&profile, &options);
    let svg = TimelineSvg { title: arguments.title, top: arguments.top.get() };
    let output = Output::new(path, Format::Svg, Existing::Replace)?;
    output.write_here(|file| svg.write(&profile, &view, file))?;
    Ok(Ending::Status(0))
}

fn has_tasks(profile: &Profile) -> bool {
    profile.contexts.iter().any(|context| context.task.is_some())
}
