//! Builds the tables of a profile, each row once.

use crate::profile::{Category, Frame, FrameId, Function, FunctionId, Stack, StackId, StringId};
use std::collections::HashMap;
use std::hash::Hash;

/// A table in which equal rows are one row.
#[derive(Clone, Debug)]
struct Table<T> {
    rows: Vec<T>,
    known: HashMap<T, u32>,
}

impl<T> Default for Table<T> {
    fn default() -> Table<T> {
        Table { rows: Vec::new(), known: HashMap::new() }
    }
}

impl<T: Clone + Eq + Hash> Table<T> {
    fn row(&mut self, value: T) -> u32 {
        if let Some(&row) = self.known.get(&value) {
            return row;
        }
        // 2^32 rows would need more memory than the ids of the recording can name.
        let row = u32::try_from(self.rows.len()).expect("fewer than 2^32 rows");
        self.rows.push(value.clone());
        self.known.insert(value, row);
        row
    }
}

/// A function in words, before its texts are in the table.
#[derive(Clone, Copy, Debug)]
pub struct FunctionText<'a> {
    /// See [`Function::name`].
    pub name: &'a str,
    /// See [`Function::file`].
    pub file: Option<&'a str>,
    /// See [`Function::first_line`].
    pub first_line: Option<u32>,
    /// See [`Function::binary`].
    pub binary: Option<&'a str>,
    /// See [`Function::category`].
    pub category: Category,
}

/// The tables of a profile that refer to each other, while they grow.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    strings: Table<String>,
    functions: Table<Function>,
    frames: Table<Frame>,
    stacks: Table<Stack>,
}

/// The finished tables: strings, functions, frames and stacks.
pub type Finished = (Vec<String>, Vec<Function>, Vec<Frame>, Vec<Stack>);

impl Tables {
    /// Empty tables.
    pub fn new() -> Tables {
        Tables::default()
    }

    /// The row of a text.
    pub fn string(&mut self, text: &str) -> StringId {
        match self.strings.known.get(text) {
            Some(&row) => StringId(row),
            None => StringId(self.strings.row(text.to_owned())),
        }
    }

    /// The row of a function.
    pub fn function(&mut self, text: FunctionText) -> FunctionId {
        let function = Function {
            name: self.string(text.name),
            file: text.file.map(|file| self.string(file)),
            first_line: text.first_line,
            binary: text.binary.map(|binary| self.string(binary)),
            category: text.category,
        };
        FunctionId(self.functions.row(function))
    }

    /// The row of a frame.
    pub fn frame(&mut self, function: FunctionId, line: Option<u32>, inlined: bool) -> FrameId {
        FrameId(self.frames.row(Frame { function, line, inlined }))
    }

    /// The row of a stack.
    pub fn stack(&mut self, below: Option<StackId>, frame: FrameId) -> StackId {
        StackId(self.stacks.row(Stack { below, frame }))
    }

    /// The texts so far.
    pub fn strings(&self) -> &[String] {
        &self.strings.rows
    }

    /// The functions so far.
    pub fn functions(&self) -> &[Function] {
        &self.functions.rows
    }

    /// The frames so far.
    pub fn frames(&self) -> &[Frame] {
        &self.frames.rows
    }

    /// The stacks so far.
    pub fn stacks(&self) -> &[Stack] {
        &self.stacks.rows
    }

    /// The tables.
    pub fn finish(self) -> Finished {
        (self.strings.rows, self.functions.rows, self.frames.rows, self.stacks.rows)
    }
}
