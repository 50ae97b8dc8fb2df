//! `pronk report`: the functions of a profile, or the lines of a file, on stdout.

use super::source;
use crate::args::ReportArguments;
use crate::ending::Ending;
use crate::export::{Export, Json, LinesJson, LinesTable, Order, Table};
use anyhow::{Context, Result};
use pronk_symbolizer::profile::Profile;
use pronk_symbolizer::view::View;
use std::io::{self, BufWriter, Write};
use std::num::NonZeroUsize;

/// How many functions the table has if nothing else is asked for.
const TABLE_ROWS: usize = 20;

/// Reads the profile and writes the report.
///
/// # Errors
/// When the profile cannot be read or stdout cannot be written.
pub fn run(arguments: ReportArguments) -> Result<Ending> {
    let profile = super::read(&arguments.profile)?;
    let options = super::options(arguments.selection, &profile)?;
    let view = View::new(&profile, &options);
    let (native, thread) = (options.native.unwrap_or(profile.meta.native), options.thread);
    if let Some(file) = &arguments.lines {
        let source = source::find(&profile, &view, file)?;
        return match arguments.json {
            true => print(&LinesJson { source, native, thread }, &profile, &view),
            false => print(&LinesTable { source, thread }, &profile, &view),
        };
    }
    let order = if arguments.total { Order::Total } else { Order::Itself };
    let top = arguments.top.map(NonZeroUsize::get);
    match arguments.json {
        true => print(&Json { order, top: top.unwrap_or(usize::MAX), native, thread }, &profile, &view),
        false => print(&Table { order, top: top.unwrap_or(TABLE_ROWS), thread }, &profile, &view),
    }
}

fn print(report: &dyn Export, profile: &Profile, view: &View<'_>) -> Result<Ending> {
    let mut stdout = BufWriter::new(io::stdout().lock());
    report.write(profile, view, &mut stdout).and_then(|()| stdout.flush()).context("cannot write the report")?;
    Ok(Ending::Status(0))
}
