//! What samples can be set apart by.

use crate::profile::{Context, Profile, StringId, Thread};
use std::fmt;
use std::str::FromStr;

/// The value of samples without a task.
pub const NO_TASK: &str = "(no task)";
/// The value of samples without a label of the key.
pub const NO_LABEL: &str = "(none)";

/// What samples are set apart by. Each sample has one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// The task's name, where the program gave it one; tasks with names such as `Task-12`, which asyncio gives by itself,
    /// are one by the function that they run.
    Task,
    /// The task's name, whatever it is.
    EachTask,
    /// The function that the task runs.
    TaskGroup,
    /// The kernel's name of the thread.
    Thread,
    /// The process, as `name (pid)`.
    Process,
    /// The label of this key.
    Label(String),
}

/// A text does not say what to set samples apart by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is task, task-group, thread, process, or label:KEY with the key of a label")]
pub struct ParseByError;

impl FromStr for By {
    type Err = ParseByError;

    fn from_str(text: &str) -> Result<By, ParseByError> {
        match text {
            "task" => Ok(By::Task),
            "task-group" => Ok(By::TaskGroup),
            "thread" => Ok(By::Thread),
            "process" => Ok(By::Process),
            text => match text.strip_prefix("label:") {
                Some(key) if !key.is_empty() => Ok(By::Label(key.to_owned())),
                _ => Err(ParseByError),
            },
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            By::Task | By::EachTask => to.write_str("task"),
            By::TaskGroup => to.write_str("task-group"),
            By::Thread => to.write_str("thread"),
            By::Process => to.write_str("process"),
            By::Label(key) => write!(to, "label:{key}"),
        }
    }
}

impl By {
    /// Whether threads have the values, and not contexts.
    pub(super) fn is_of_threads(&self) -> bool {
        matches!(self, By::Thread | By::Process)
    }

    /// The value of samples that have none.
    pub(super) fn lacking(&self) -> Option<&'static str> {
        match self {
            By::Task | By::EachTask | By::TaskGroup => Some(NO_TASK),
            By::Label(_) => Some(NO_LABEL),
            By::Thread | By::Process => None,
        }
    }

    /// The value of a thread's samples.
    pub(super) fn of_thread(&self, profile: &Profile, thread: &Thread) -> String {
        let process = &profile.processes[thread.process.index()];
        let text = |id| text(&profile.strings, id);
        match self {
            By::Process => format!("{} ({})", text(process.name), process.pid),
            _ => text(thread.name).to_owned(),
        }
    }

    /// The value of the samples of a context, if they have one.
    pub(crate) fn of_context(&self, strings: &[String], context: &Context) -> Option<String> {
        if let By::Label(key) = self {
            let label = context.labels.iter().find(|(id, _)| text(strings, *id) == key);
            return label.map(|(_, value)| text(strings, *value).to_owned());
        }
        let task = context.task?;
        let (name, root) = (text(strings, task.name), text(strings, task.root));
        Some(match self {
            By::Task if is_given_by_asyncio(name) && root.is_empty() => "Task-*".to_owned(),
            By::Task if is_given_by_asyncio(name) => format!("{root} (Task-*)"),
            By::TaskGroup if !root.is_empty() => root.to_owned(),
            _ => name.to_owned(),
        })
    }
}

fn text(strings: &[String], id: StringId) -> &str {
    &strings[id.index()]
}

/// Whether a name is one that asyncio gives to tasks without one: `Task-` and a number (`Lib/asyncio/tasks.py`,
/// `_task_name_counter`, and `Modules/_asynciomodule.c`).
fn is_given_by_asyncio(name: &str) -> bool {
    let number = name.strip_prefix("Task-");
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_read_and_written_alike() {
        for text in ["task", "task-group", "thread", "process", "label:tenant", "label:a=b", "label:task"] {
            assert_eq!(text.parse::<By>().unwrap().to_string(), text);
        }
        for text in ["", "tasks", "label", "label:", "Task", "each-task"] {
            assert_eq!(text.parse::<By>(), Err(ParseByError), "{text}");
        }
    }

    #[test]
    fn asyncios_own_names_are_a_word_and_a_number() {
        assert!(is_given_by_asyncio("Task-1") && is_given_by_asyncio("Task-123"));
        for name in ["Task-", "Task-a", "Task-1a", "task-1", "Task-1 ", "Task-\u{661}", "", "worker"] {
            assert!(!is_given_by_asyncio(name), "{name}");
        }
    }
}
