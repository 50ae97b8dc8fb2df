//! Samples less what stubs have cost.
//!
//! A call through a stub takes longer than one that the interpreter makes by itself. Most of that passes before the frame of the
//! function that is called is the thread's newest one, so samples show it as the caller's own time, at the line of the call. Each
//! call was counted, and what one costs is known; which callers a function has, and how many of its calls each makes, samples tell
//! only by how often it was on a stack above each of them.

use super::shows;
use crate::profile::{FrameId, FunctionId, NativeFrames, Profile, Stack};
use std::collections::HashMap;

/// How much of what a call costs is seen as its caller's own time; the rest is the called function's. Measured with CPython 3.11 to
/// 3.15, where it is 0.83 to 0.95 and 0.55 to 0.7. The perf engine knows of a function from its stub on, which is earlier.
fn of_caller(engine: &str) -> f64 {
    if engine == "perf" { 0.62 } else { 0.9 }
}

/// How many samples each sample of a profile counts as, when those are left out that stubs have cost: as many of each frame's own
/// as its calls have cost, evenly over time.
pub(super) fn weights(profile: &Profile) -> Vec<u32> {
    let frames = Frames::of(profile);
    let own = frames.own(profile);
    let costs = frames.costs(profile, &own);
    let per_second = f64::from(profile.meta.frequency);
    let mut accounts: HashMap<FrameId, Account> = HashMap::new();
    let mut frames_own: Vec<(FrameId, u64)> = own.into_iter().collect();
    frames_own.sort_unstable_by_key(|&(frame, _)| frame.index());
    // An account begins with what is left of the one before it: so all together pay what all together owe, to the sample, and of
    // many frames that owe a small part of one the right number pay it.
    let mut left = 0.5;
    for (frame, own) in frames_own {
        let share = costs.get(&frame).map_or(0.0, |cost_ns| (cost_ns / 1e9 * per_second / own as f64).min(1.0));
        accounts.insert(frame, Account { share, owed: left });
        left = (left + share * own as f64).fract();
    }
    let weights = profile.samples.iter().map(|sample| {
        let newest = sample.stack.and_then(|stack| frames.newest[stack.index()]);
        let Some(account) = newest.and_then(|newest| accounts.get_mut(&newest)) else { return sample.weight };
        sample.weight - account.pay(sample.weight)
    });
    weights.collect()
}

/// What is taken from a frame's samples.
struct Account {
    /// Of each sample, from 0 to 1.
    share: f64,
    /// In samples, and less than one between them.
    owed: f64,
}

impl Account {
    /// How many of so many samples of the frame's are taken.
    fn pay(&mut self, samples: u32) -> u32 {
        self.owed += f64::from(samples) * self.share;
        let taken = self.owed.floor().min(samples.into());
        self.owed -= taken;
        taken as u32
    }
}

/// The frames of stacks that are not the interpreter's machinery.
struct Frames {
    /// For each stack, the newest of them.
    newest: Vec<Option<FrameId>>,
    /// For each stack, that below the newest.
    caller: Vec<Option<FrameId>>,
}

impl Frames {
    fn of(profile: &Profile) -> Frames {
        let is_shown = |stack: &Stack| {
            let function = &profile.functions[profile.frames[stack.frame.index()].function.index()];
            shows(&profile.strings, function, NativeFrames::Extensions)
        };
        let mut frames = Frames { newest: Vec::new(), caller: Vec::new() };
        for stack in &profile.stacks {
            let below = stack.below.map(|below| below.index());
            let newest_below = below.and_then(|below| frames.newest[below]);
            let (newest, caller) = match is_shown(stack) {
                true => (Some(stack.frame), newest_below),
                false => (newest_below, below.and_then(|below| frames.caller[below])),
            };
            frames.newest.push(newest);
            frames.caller.push(caller);
        }
        frames
    }

    /// How many samples each frame has of its own.
    fn own(&self, profile: &Profile) -> HashMap<FrameId, u64> {
        let mut own = HashMap::new();
        for sample in &profile.samples {
            if let Some(newest) = sample.stack.and_then(|stack| self.newest[stack.index()]) {
                *own.entry(newest).or_insert(0) += u64::from(sample.weight);
            }
        }
        own
    }

    /// What calls have cost, in nanoseconds, by the frame that it is seen in.
    fn costs(&self, profile: &Profile, own: &HashMap<FrameId, u64>) -> HashMap<FrameId, f64> {
        let of_caller = of_caller(&profile.meta.engine);
        let function = |frame: FrameId| profile.frames[frame.index()].function;
        let of_function: HashMap<FunctionId, f64> =
            profile.calls.iter().map(|calls| (calls.function, calls.cost_ns as f64)).collect();
        let mut seen: HashMap<(FunctionId, FrameId), u64> = HashMap::new();
        let mut all: HashMap<FunctionId, u64> = HashMap::new();
        // A damaged profile can have very deep stacks of very many samples.
        let add = |sum: &mut u64, samples| *sum = sum.saturating_add(samples);
        for ((stack, samples), caller) in profile.stacks.iter().zip(samples_above(profile)).zip(&self.caller) {
            let called = function(stack.frame);
            if let Some(caller) = caller.filter(|_| of_function.contains_key(&called)) {
                add(seen.entry((called, caller)).or_insert(0), samples);
                add(all.entry(called).or_insert(0), samples);
            }
        }
        let mut costs: HashMap<FrameId, f64> = HashMap::new();
        for ((called, caller), samples) in seen {
            let share = samples as f64 / all[&called].max(1) as f64;
            *costs.entry(caller).or_insert(0.0) += of_function[&called] * of_caller * share;
        }
        let mut all_own: HashMap<FunctionId, u64> = HashMap::new();
        own.iter().for_each(|(&frame, samples)| *all_own.entry(function(frame)).or_insert(0) += samples);
        for (&frame, &samples) in own {
            if let Some(cost_ns) = of_function.get(&function(frame)) {
                let share = samples as f64 / all_own[&function(frame)] as f64;
                *costs.entry(frame).or_insert(0.0) += cost_ns * (1.0 - of_caller) * share;
            }
        }
        costs
    }
}

/// For each stack, the samples in which its newest frame is on the stack in its place.
fn samples_above(profile: &Profile) -> Vec<u64> {
    let mut samples = vec![0; profile.stacks.len()];
    for sample in &profile.samples {
        if let Some(stack) = sample.stack {
            samples[stack.index()] += u64::from(sample.weight);
        }
    }
    // A stack comes after the one that it goes on from.
    for (index, stack) in profile.stacks.iter().enumerate().rev() {
        if let Some(below) = stack.below {
            samples[below.index()] += samples[index];
        }
    }
    samples
}

#[cfg(test)]
mod tests {
    use crate::profile::{Calls, Category, Frame, Profile, Sample, StackId, ThreadId};
    use crate::testing::profile;
    use crate::view::{View, ViewOptions};

    /// A second, of which `__main__.<module>` has 100 samples, `shop.fib` that it calls 700, and a list that that sorts 200. So many
    /// calls of the function have cost so much.
    fn with(cost_ns: u64) -> Profile {
        let mut profile = profile();
        let function = |name: &str| {
            let position = profile.functions.iter().position(|one| profile.strings[one.name.index()] == name);
            crate::profile::FunctionId(position.unwrap() as u32)
        };
        let [main, fib, sort] = ["__main__.<module>", "shop.fib", "list_sort"].map(function);
        let interpreter = profile.functions.iter().position(|one| one.category == Category::Interpreter).unwrap();
        let frame = |function| Frame { function, line: Some(3), inlined: false };
        profile.frames =
            vec![frame(main), frame(fib), frame(sort), frame(crate::profile::FunctionId(interpreter as u32))];
        let stack = |below: Option<u32>, frame| crate::profile::Stack {
            below: below.map(StackId),
            frame: crate::profile::FrameId(frame),
        };
        // The evaluator is on each Python frame.
        profile.stacks =
            vec![stack(None, 0), stack(Some(0), 3), stack(Some(1), 1), stack(Some(2), 3), stack(Some(3), 2)];
        profile.samples = (0..1000)
            .map(|at| Sample {
                thread: ThreadId(0),
                time_ns: at * 1_000_000,
                stack: Some(StackId(match at % 10 {
                    0 => 1,
                    1 | 2 => 4,
                    _ => 3,
                })),
                context: None,
                weight: 1,
                in_window: false,
            })
            .collect();
        profile.calls = vec![Calls { function: fib, count: 7, error: None, cost_ns, resumes: false, at_least: false }];
        profile.meta.frequency = 1000;
        profile.meta.engine = "signal".to_owned();
        profile.validate().unwrap();
        profile
    }

    fn own(profile: &Profile) -> (Vec<u64>, u64) {
        let view = View::new(profile, &ViewOptions { compensate: true, ..ViewOptions::default() });
        let functions = view.functions();
        let of = |name: &str| {
            let one = functions.iter().find(|count| view.label(count.function).contains(name));
            one.map_or(0, |count| count.self_samples)
        };
        (["<module>", "fib", "list_sort"].map(of).to_vec(), view.compensated())
    }

    #[test]
    fn most_of_what_calls_cost_is_taken_from_who_makes_them() {
        assert_eq!(own(&with(0)), (vec![100, 700, 200], 0));
        assert_eq!(own(&with(50_000_000)), (vec![55, 695, 200], 50));
        let mut profile = with(50_000_000);
        profile.meta.engine = "perf".to_owned();
        assert_eq!(own(&profile), (vec![69, 681, 200], 50));
    }

    #[test]
    fn no_more_is_taken_than_there_is() {
        let (own, taken) = own(&with(500_000_000));
        assert_eq!((own, taken), (vec![0, 650, 200], 150));
        assert_eq!(self::own(&with(u64::MAX)), (vec![0, 0, 200], 800));
    }

    #[test]
    fn many_lines_with_few_samples_pay_as_much_as_one_with_many() {
        let mut profile = with(200_000_000);
        // Each of the function's 700 samples is on a line of its own.
        let function = profile.frames[1].function;
        for (at, sample) in (0..).zip(profile.samples.iter_mut().filter(|sample| sample.stack == Some(StackId(3)))) {
            profile.frames.push(Frame { function, line: Some(100 + at), inlined: false });
            profile.stacks.push(crate::profile::Stack {
                below: Some(StackId(1)),
                frame: crate::profile::FrameId(profile.frames.len() as u32 - 1),
            });
            sample.stack = Some(StackId(profile.stacks.len() as u32 - 1));
        }
        let (own, _) = own(&profile);
        assert!((678..=682).contains(&own[1]), "{own:?}");
    }

    #[test]
    fn it_is_taken_evenly_over_time() {
        let profile = with(50_000_000);
        let view = View::new(&profile, &ViewOptions { compensate: true, ..ViewOptions::default() });
        let early = view.samples().filter(|sample| sample.time_ns < 500_000_000).count();
        assert!((474..=476).contains(&early), "{early}");
    }

    #[test]
    fn a_native_function_that_calls_python_is_its_caller() {
        let mut profile = with(100_000_000);
        // The list's sort calls a function, and is called by the module.
        let stack = |below: Option<u32>, frame| crate::profile::Stack {
            below: below.map(StackId),
            frame: crate::profile::FrameId(frame),
        };
        profile.stacks =
            vec![stack(None, 0), stack(Some(0), 3), stack(Some(1), 2), stack(Some(2), 3), stack(Some(3), 1)];
        // Now 700 samples are the sort's, and 200 those of what it calls.
        assert_eq!(own(&profile), (vec![100, 190, 610], 100));
    }
}
