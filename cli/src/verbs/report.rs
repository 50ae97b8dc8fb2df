//! `pronk report`: the functions of a profile, or the lines of a file, or who its samples are of, on stdout.

use super::{selection, source};
use crate::args::ReportArguments;
use crate::ending::Ending;
use crate::export::{Export, Json, LinesJson, LinesTable, Order, Table, ValuesJson, ValuesTable};
use anyhow::{Context, Result, bail};
use pronk_symbolizer::profile::{Counting, Profile};
use pronk_symbolizer::view::{View, ViewOptions};
use std::io::{self, BufWriter, Write};
use std::num::NonZeroUsize;

/// How many functions or values the table has if nothing else is asked for.
const TABLE_ROWS: usize = 20;

/// Reads the profile and writes the report.
///
/// # Errors
/// When the profile cannot be read or stdout cannot be written.
pub fn run(arguments: ReportArguments) -> Result<Ending> {
    let profile = super::read_along(&arguments.profile, arguments.selection.await_chains)?;
    let by = arguments.grouping.by(None)?;
    let options = ViewOptions {
        native: arguments.selection.native.map(Into::into),
        ..selection::options(arguments.selection.samples, by, &profile)?
    };
    let view = View::new(&profile, &options);
    let print = |report: &dyn Export| print(report, &profile, &view);
    if let Some(file) = &arguments.lines {
        let source = source::find(&profile, &view, file)?;
        return match arguments.json {
            true => print(&LinesJson { source }),
            false => print(&LinesTable { source }),
        };
    }
    let top = arguments.top.map_or(if arguments.json { usize::MAX } else { TABLE_ROWS }, NonZeroUsize::get);
    let order = match (arguments.total, arguments.calls) {
        (true, _) => Order::Total,
        (_, true) => Order::Calls,
        _ => Order::Itself,
    };
    if order == Order::Calls {
        check_calls(&profile, &view)?;
    }
    match (options.by, arguments.json) {
        (Some(by), true) => print(&ValuesJson { by, top }),
        (Some(by), false) => print(&ValuesTable { by, top }),
        (None, true) => print(&Json { order, top }),
        (None, false) => print(&Table { order, top }),
    }
}

/// There has to be what to sort by.
fn check_calls(profile: &Profile, view: &View<'_>) -> Result<()> {
    if profile.quality.counting == Counting::Not {
        bail!(
            "--calls needs a profile with numbers of calls: record it with --budget 2, with --stubs full, or with --engine perf"
        );
    }
    if !view.shows_calls() {
        bail!("--calls cannot be combined with --thread or --only: calls are counted, but not for whom they are");
    }
    Ok(())
}

fn print(report: &dyn Export, profile: &Profile, view: &View<'_>) -> Result<Ending> {
    let mut stdout = BufWriter::new(io::stdout().lock());
    report.write(profile, view, &mut stdout).and_then(|()| stdout.flush()).context("cannot write the report")?;
    Ok(Ending::Status(0))
}
