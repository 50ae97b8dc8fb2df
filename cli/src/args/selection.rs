//! What verbs that show a profile have in common: which samples and frames, and in which groups.

use super::Native;
use clap::Args;
use pronk_symbolizer::view::{By, Only};

const BY_HELP: &str = "\
Group samples by what they were taken for:
  task        the task's name; tasks with asyncio's own names are one by the function that they run
  task-group  the function that the task runs
  thread      the kernel's name of the thread
  process     the process
  label:KEY   the value of the label KEY
A report has a row for each value instead of functions, a flamegraph a tower, a timeline a row.";

const ONLY_HELP: &str = "\
Only the samples that have this; if it is given again, those that have all of it:
  label:KEY=VALUE     the label KEY with just this value, or (none) without it
  task=PATTERN        the task's name
  task-group=PATTERN  the function that the task runs
  thread=PATTERN      the kernel's name of the thread
  process=PATTERN     the process, as name (pid)
In a pattern, * is any text and ? any character.";

/// How to set samples apart.
#[derive(Args, Debug)]
pub struct Grouping {
    /// Group samples by task, task-group, thread, process, or label:KEY
    #[arg(long, value_name = "WHAT", long_help = BY_HELP)]
    pub by: Option<By>,

    /// With --by task: tasks with asyncio's own names (Task-1, Task-2) one by one, and not by what they run
    #[arg(long)]
    pub each_task: bool,
}

/// Which samples and frames of a profile to show.
#[derive(Args, Debug)]
pub struct Selection {
    /// Which samples to show.
    #[command(flatten)]
    pub samples: Samples,

    /// Put each task on top of the tasks that await it, and leave out the loop of events (needs a profile that was recorded
    /// with --await-chains)
    #[arg(long, conflicts_with = "compensate")]
    pub await_chains: bool,

    /// Native frames to show [default: as was asked for when the profile was made]
    #[arg(long, value_enum)]
    pub native: Option<Native>,
}

/// Which samples of a profile to show.
#[derive(Args, Debug)]
pub struct Samples {
    /// Only the samples of threads of this name or thread id
    #[arg(long, value_name = "NAME")]
    pub thread: Option<String>,

    /// Only the samples that have this, such as label:tenant=acme or task=worker-*; can be given again
    #[arg(long, value_name = "WHAT=VALUE", long_help = ONLY_HELP)]
    pub only: Vec<Only>,

    /// Leave out the samples that were taken while stubs were on in windows, so that they bend no shares (needs a profile that
    /// was recorded with --budget or --stubs windowed)
    #[arg(long)]
    pub unperturbed: bool,

    /// Leave out as many samples as calls through stubs are estimated to have cost, in the functions that made them (needs a profile
    /// with numbers of calls)
    #[arg(long, conflicts_with = "unperturbed")]
    pub compensate: bool,
}
