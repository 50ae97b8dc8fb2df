//! The task of a sample: where on its chain of frames it begins, what it is called, and who awaits it.

use super::memory::Straight;
use crate::python::{Chain, Link, Sampled, Task, TaskName, push_text};
use crate::sys::Text;
use crate::wire::LONGEST_TASK_NAME;
use core::fmt::Write;

/// The name of a task.
pub type Name = Text<{ LONGEST_TASK_NAME + 1 }>;

/// A task that runs.
#[derive(Clone, Copy, Debug)]
pub struct RunningTask {
    /// The position, from 1 on, of the link of the frame in which it began, from the oldest link on.
    pub root: u32,
    /// Its name; a long one is cut.
    pub name: Name,
    /// How many frames await it; 0 as long as those were not looked for.
    pub awaiters: usize,
    /// What it is.
    task: Task,
}

/// The task that the calling thread runs, by its state and the links of its frames.
///
/// # Safety
/// The state is the calling thread's own, and a fault is caught.
pub unsafe fn running(sampled: &Sampled, state: u64, chain: &Chain<'_>) -> Option<RunningTask> {
    let layout = sampled.walker.layout;
    // SAFETY: as promised by the caller.
    let task = unsafe { sampled.tasks.running(layout, state, chain) }?;
    let mut name = Name::new();
    match task.name {
        TaskName::Text(text) => {
            let mut room = [0; LONGEST_TASK_NAME];
            // SAFETY: as above.
            let size = unsafe { push_text(&Straight, &layout.text, text, &mut room) };
            name.push(room.get(..size).unwrap_or_default());
        }
        TaskName::Number(number) => {
            // It has room for any number.
            let _fits = write!(name, "Task-{number}");
        }
    }
    Some(RunningTask { root: task.root as u32 + 1, name, awaiters: 0, task })
}

/// Writes the links of the frames that await a task, those nearest to it first; how many they are.
///
/// # Safety
/// The calling thread runs the task, and a fault is caught.
pub unsafe fn awaiters(sampled: &Sampled, running: &RunningTask, room: &mut [Link]) -> usize {
    // SAFETY: as promised by the caller.
    sampled.awaits.as_ref().map_or(0, |awaits| unsafe { awaits.find(&sampled.walker, &running.task, room) })
}
