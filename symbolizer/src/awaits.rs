//! Stacks along what awaits what: tasks on top of the tasks that await them.

use crate::profile::{Category, ContextId, FrameId, Profile, Stack, StackId, Task};
use std::collections::HashMap;

/// The same profile, in which the stack of a sample with a task is: the frames of the tasks that await it, from the root of the
/// outermost on, as far as they were recorded; then the task's own, from the function that it runs on. What is below, which is
/// what runs the loop of events, is left out. Samples without a task are as they were.
pub fn along_awaits(profile: &Profile) -> Profile {
    let mut along = profile.clone();
    let mut stacks = Stacks::of(profile);
    let mut known: HashMap<(StackId, ContextId), StackId> = HashMap::new();
    for sample in &mut along.samples {
        let (Some(stack), Some(context)) = (sample.stack, sample.context) else { continue };
        let Some(task) = profile.contexts[context.index()].task else { continue };
        let joined = known.entry((stack, context)).or_insert_with(|| match own_frames(profile, stack, &task) {
            Some(own) => {
                own.iter().fold(task.awaiters, |below, &frame| Some(stacks.push(below, frame))).unwrap_or(stack)
            }
            None => stack,
        });
        sample.stack = Some(*joined);
    }
    along.stacks = stacks.all;
    along
}

/// The frames of a stack from the function on that a task runs. `None` if they are not where they must be.
fn own_frames(profile: &Profile, stack: StackId, task: &Task) -> Option<Vec<FrameId>> {
    let stacks = std::iter::successors(Some(stack), |stack| profile.stacks[stack.index()].below);
    let mut frames: Vec<FrameId> = stacks.map(|stack| profile.stacks[stack.index()].frame).collect();
    frames.reverse();
    let function = |frame: FrameId| &profile.functions[profile.frames[frame.index()].function.index()];
    let is_python = |(_, frame): &(usize, &FrameId)| function(**frame).category == Category::Python;
    let (root, &frame) = frames.iter().enumerate().filter(is_python).nth(task.below as usize)?;
    let is_root = profile.strings[function(frame).name.index()] == profile.strings[task.root.index()];
    is_root.then(|| frames.split_off(root))
}

/// A table of stacks that grows, each stack once.
struct Stacks {
    all: Vec<Stack>,
    known: HashMap<Stack, StackId>,
}

impl Stacks {
    fn of(profile: &Profile) -> Stacks {
        let known = profile.stacks.iter().enumerate().map(|(index, stack)| (*stack, StackId(index as u32)));
        Stacks { all: profile.stacks.clone(), known: known.collect() }
    }

    fn push(&mut self, below: Option<StackId>, frame: FrameId) -> StackId {
        let stack = Stack { below, frame };
        *self.known.entry(stack).or_insert_with(|| {
            self.all.push(stack);
            StackId(self.all.len() as u32 - 1)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::profile;
    use crate::view::{View, ViewOptions};

    fn folded(profile: &Profile) -> Vec<String> {
        View::new(profile, &ViewOptions::default()).folded().into_keys().collect()
    }

    /// The small profile, in which the task of a context runs `shop.fib`, above one Python frame, and is awaited by a stack.
    fn awaited(below: u32, awaiters: Option<StackId>) -> Profile {
        let mut profile = profile();
        let fib = profile.strings.iter().position(|text| text == "shop.fib").unwrap();
        let task = profile.contexts[0].task.as_mut().unwrap();
        task.root = crate::profile::StringId(fib as u32);
        (task.below, task.awaiters) = (below, awaiters);
        profile
    }

    const FIB: &str = "shop.fib (shop.py:10);shop.fib (shop.py:10)";

    #[test]
    fn a_task_is_on_top_of_what_awaits_it() {
        // The stack of the second sample, up to `sort`.
        let of_profile = profile();
        let sort = of_profile.samples[1].stack.unwrap();
        let sort = std::iter::successors(Some(sort), |stack| of_profile.stacks[stack.index()].below).nth(3);
        let along = along_awaits(&awaited(2, sort));
        along.validate().unwrap();
        let stack = format!("__main__.<module> (shop.py:1);shop.sort:er  (<string>:1);{FIB}");
        assert!(folded(&along).contains(&stack), "{:#?}", folded(&along));
        let counts = |profile: &Profile| View::new(profile, &ViewOptions::default()).sample_count();
        assert_eq!(counts(&along), counts(&of_profile));
    }

    #[test]
    fn a_task_that_nothing_awaits_begins_with_its_function() {
        let along = along_awaits(&awaited(1, None));
        along.validate().unwrap();
        assert!(folded(&along).contains(&format!("{FIB};shop.fib (shop.py:10)")), "{:#?}", folded(&along));
    }

    #[test]
    fn what_is_not_where_it_must_be_is_left_as_it_is() {
        for below in [0, 9] {
            assert_eq!(folded(&along_awaits(&awaited(below, None))), folded(&profile()));
        }
        assert_eq!(along_awaits(&Profile::default()), Profile::default());
    }
}
