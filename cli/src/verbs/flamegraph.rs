//! `pronk flamegraph`: a profile as a picture.

use super::selection;
use crate::args::FlamegraphArguments;
use crate::ending::Ending;
use crate::export::{Export, Format, Svg};
use crate::output::{Existing, Output};
use anyhow::{Result, bail};
use pronk_symbolizer::view::{View, ViewOptions};

/// Reads the profile and draws it.
///
/// # Errors
/// When the profile cannot be read or the picture cannot be written.
pub fn run(arguments: FlamegraphArguments) -> Result<Ending> {
    let path = &arguments.output;
    if Format::of(path) != Some(Format::Svg) {
        bail!("a flamegraph is an SVG file, so -o takes a name that ends in .svg, not {}", path.display());
    }
    let profile = super::read_along(&arguments.profile, arguments.selection.await_chains)?;
    let by = arguments.grouping.by(None)?;
    let options = ViewOptions {
        native: arguments.selection.native.map(Into::into),
        lines: arguments.lines,
        ..selection::options(arguments.selection.samples, by, &profile)?
    };
    let view = View::new(&profile, &options);
    if arguments.lines && !view.knows_lines() {
        bail!("{}", super::no_lines(&profile));
    }
    let svg = Svg { title: arguments.title, reverse: arguments.reverse };
    let output = Output::new(path, Format::Svg, Existing::Replace)?;
    output.write_here(|file| svg.write(&profile, &view, file))?;
    Ok(Ending::Status(0))
}
