//! Checks that the tables of a profile refer to rows that exist.

use crate::profile::{Profile, StringId};

/// A row of a profile's table refers to a row that does not exist, or that does not come before it where it must.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("row {row} of the table of {table} refers to {field} {index}, and there are {limit} that it can refer to")]
pub struct OutOfRange {
    /// The table.
    pub table: &'static str,
    /// The row.
    pub row: usize,
    /// The field of the row.
    pub field: &'static str,
    /// The index in that field.
    pub index: u32,
    /// How many indices are allowed there, from 0 on.
    pub limit: usize,
}

/// One row of one table.
#[derive(Clone, Copy)]
struct Row(&'static str, usize);

impl Row {
    fn refers(self, field: &'static str, index: u32, limit: usize) -> Result<(), OutOfRange> {
        if (index as usize) < limit {
            return Ok(());
        }
        Err(OutOfRange { table: self.0, row: self.1, field, index, limit })
    }
}

fn rows<'a, T>(name: &'static str, table: &'a [T]) -> impl Iterator<Item = (Row, &'a T)> {
    table.iter().enumerate().map(move |(row, value)| (Row(name, row), value))
}

impl Profile {
    /// Checks that every index is in range, and that processes and stacks come after those that they refer to.
    ///
    /// # Errors
    /// The first index that is not.
    pub fn validate(&self) -> Result<(), OutOfRange> {
        let strings = self.strings.len();
        let text = |row: Row, field, id: Option<StringId>| id.map_or(Ok(()), |id| row.refers(field, id.0, strings));
        for (row, process) in rows("processes", &self.processes) {
            text(row, "string", Some(process.name))?;
            if let Some(parent) = process.parent {
                row.refers("earlier process", parent.0, row.1)?;
            }
        }
        for (row, thread) in rows("threads", &self.threads) {
            text(row, "string", Some(thread.name))?;
            row.refers("process", thread.process.0, self.processes.len())?;
        }
        for (row, function) in rows("functions", &self.functions) {
            text(row, "string", Some(function.name))?;
            text(row, "string", function.file)?;
            text(row, "string", function.binary)?;
        }
        for (row, frame) in rows("frames", &self.frames) {
            row.refers("function", frame.function.0, self.functions.len())?;
        }
        for (row, stack) in rows("stacks", &self.stacks) {
            row.refers("frame", stack.frame.0, self.frames.len())?;
            if let Some(below) = stack.below {
                row.refers("earlier stack", below.0, row.1)?;
            }
        }
        for (row, context) in rows("contexts", &self.contexts) {
            for &(key, value) in &context.labels {
                text(row, "string", Some(key))?;
                text(row, "string", Some(value))?;
            }
            if let Some(task) = context.task {
                text(row, "string", Some(task.name))?;
                text(row, "string", Some(task.root))?;
                if let Some(awaiters) = task.awaiters {
                    row.refers("stack", awaiters.0, self.stacks.len())?;
                }
            }
        }
        for (row, calls) in rows("calls", &self.calls) {
            row.refers("function", calls.function.0, self.functions.len())?;
        }
        for (row, sample) in rows("samples", &self.samples) {
            row.refers("thread", sample.thread.0, self.threads.len())?;
            if let Some(stack) = sample.stack {
                row.refers("stack", stack.0, self.stacks.len())?;
            }
            if let Some(context) = sample.context {
                row.refers("context", context.0, self.contexts.len())?;
            }
        }
        Ok(())
    }
}
