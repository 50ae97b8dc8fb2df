//! What is kept from sample to sample, and what it costs.

use super::*;

/// Numbers that look like anything, by a generator with a known start.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    /// Returns from some calls, and makes others.
    fn go_on(&mut self, calls: &mut Vec<Call>, borders: Borders) {
        let returned = self.below(6) as usize;
        calls.truncate(calls.len().saturating_sub(returned).max(1));
        for _ in 0..self.below(6) {
            let in_evaluator = calls.iter().rev().find(|call| !matches!(call, Python(_)));
            let runs_python = matches!(calls.last(), Some(Python(_)));
            let next = match self.below(8) {
                0 | 1 => EVALUATE,
                2 | 3 if in_evaluator == Some(&EVALUATE) && (borders == Addressed || !runs_python) => {
                    Python(self.below(3) as u32)
                }
                4 if self.below(4) == 0 => C(OPAQUE + 5),
                5 if self.below(4) == 0 => C(BY_TRAIL + 5),
                6 => Stub(self.below(2)),
                _ => c(self.below(4)),
            };
            // A stub calls an evaluator, and nothing else.
            calls.push(if matches!(calls.last(), Some(Stub(_))) { EVALUATE } else { next });
        }
        if matches!(calls.last(), Some(Stub(_))) {
            calls.push(EVALUATE);
        }
    }
}

#[test]
fn what_is_kept_of_the_sample_before_is_what_would_be_found_anew() {
    for (seed, borders) in (1..60).flat_map(|seed| [(seed, Addressed), (seed, Counted)]) {
        let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ seed);
        let mut profiler = Profiler::new();
        let mut calls = vec![c(2)];
        let mut before: Option<Moment> = None;
        for _ in 0..60 {
            random.go_on(&mut calls, borders);
            let mut moment = Moment::of(&calls, borders);
            if random.below(10) == 0 {
                moment.limit = 8 * random.below(60) as usize;
            }
            moment.torn = random.below(20) == 0;
            moment.links_cut = random.below(20) == 0;
            if moment.links_cut {
                moment.links.drain(..moment.links.len().min(2));
            }
            let moment = match &before {
                Some(before) => moment.after(before),
                None => moment,
            };
            let merged = profiler.sample(&moment);
            let anew = Moment { unchanged_from: u64::MAX, links_kept: 0, ..moment };
            let expected = ThreadWalk::default();
            let thread = std::mem::replace(&mut profiler.thread, expected);
            let expected = profiler.sample(&anew);
            assert_eq!(profiler.show(merged.stack), profiler.show(expected.stack), "{seed} {borders:?} {calls:?}");
            assert_eq!(merged, expected);
            profiler.thread = thread;
            before = Some(anew);
        }
    }
}

#[test]
fn a_sample_costs_what_has_changed() {
    for borders in [Addressed, Counted] {
        let mut calls = vec![c(2)];
        for code in 0..20_000 {
            calls.extend([EVALUATE, Python(code % 7), c(1)]);
        }
        let mut profiler = Profiler::new();
        let first = Moment::of(&calls, borders);
        profiler.sample(&first);
        assert!(profiler.unwinder.steps > 40_000);
        let stacks = profiler.stacks.len();
        profiler.unwinder.steps = 0;
        calls.truncate(calls.len() - 7);
        calls.extend([c(3), EVALUATE, Python(8), c(3)]);
        let second = Moment::of(&calls, borders).after(&first);
        let merged = profiler.sample(&second);
        assert!(profiler.unwinder.steps < 10, "{}", profiler.unwinder.steps);
        assert_eq!(profiler.stacks.len() - stacks, 4);
        assert_eq!(profiler.show(merged.stack).len(), calls.len() + 1);
    }
}

#[test]
fn a_deep_run_is_not_built_anew_because_its_evaluator_has_gone_on() {
    let mut calls = vec![c(2), EVALUATE];
    calls.extend((0..20_000).map(|code| Python(code % 7)));
    let mut profiler = Profiler::new();
    let first = Moment::of(&calls, Addressed);
    profiler.sample(&first);
    let stacks = profiler.stacks.len();
    calls[1] = C(EVALUATOR + 9);
    profiler.sample(&Moment::of(&calls, Addressed).after(&first));
    assert_eq!(profiler.stacks.len() - stacks, 1);
}

#[test]
fn a_sample_whose_stack_is_cut_costs_what_was_copied() {
    const LIMIT: usize = 10_000;
    for borders in [Addressed, Counted] {
        let mut calls = vec![c(2)];
        for code in 0..20_000 {
            calls.extend([EVALUATE, Python(code % 7), c(1)]);
        }
        let mut profiler = Profiler::new();
        let first = Moment { limit: LIMIT, ..Moment::of(&calls, borders) };
        profiler.sample(&first);
        let stacks = profiler.stacks.len();
        calls.truncate(calls.len() - 7);
        calls.extend([c(3), EVALUATE, Python(8), c(3)]);
        let second = Moment { limit: LIMIT, ..Moment::of(&calls, borders) }.after(&first);
        let merged = profiler.sample(&second);
        assert!(profiler.stacks.len() - stacks < LIMIT / 8);
        let python = profiler.show(merged.stack).into_iter().filter(|frame| frame.starts_with("py"));
        assert_eq!(python.count(), calls.iter().filter(|call| matches!(call, Python(_))).count());
    }
}

#[test]
fn other_mappings_are_walked_anew() {
    let mut profiler = Profiler::new();
    let first = Moment::of(&CALLBACK, Addressed);
    profiler.sample(&first);
    let walked = profiler.unwinder.steps;
    profiler.sample(&Moment::of(&CALLBACK, Addressed).after(&first));
    assert_eq!(profiler.unwinder.steps, walked);
    profiler.mappings = Rc::new(mappings());
    profiler.sample(&Moment::of(&CALLBACK, Addressed).after(&first));
    assert_eq!(profiler.unwinder.steps, 2 * walked);
}

#[test]
fn frames_that_hang_on_more_than_the_stack_are_walked_anew() {
    let calls = [c(2), c(1), C(BY_TRAIL + 5), c(1), c(3)];
    let mut profiler = Profiler::new();
    let first = Moment::of(&calls, Addressed);
    profiler.sample(&first);
    profiler.unwinder.steps = 0;
    profiler.sample(&Moment::of(&calls, Addressed).after(&first));
    // From the frame behind it on, all is known.
    assert_eq!(profiler.unwinder.steps, 3);
}

#[test]
fn links_that_make_no_sense_do_no_harm() {
    let mut random = Random(0x0bad_5eed);
    let mut profiler = Profiler::new();
    for _ in 0..2000 {
        let mut calls = vec![c(2)];
        random.go_on(&mut calls, Addressed);
        let mut moment = Moment::of(&calls, Addressed);
        let sp = moment.stack.sp();
        moment.links = (0..random.below(20))
            .map(|_| Link {
                code: (random.below(2) == 0).then(|| CodeId(random.below(3) as u32)),
                instruction: None,
                address: [0, 1, sp, sp + random.below(500), u64::MAX][random.below(5) as usize],
            })
            .collect();
        // What is said to be as it was before is not.
        moment.links_kept = random.below(30) as usize;
        moment.unchanged_from = sp.wrapping_add(random.below(900));
        moment.links_cut = random.below(2) == 0;
        let merged = profiler.sample(&moment);
        assert!(profiler.show(merged.stack).len() < 100);
    }
}

#[test]
fn borders_out_of_order_cost_no_more_than_others() {
    let mut calls = vec![c(2)];
    for code in 0..20_000 {
        calls.extend([EVALUATE, Python(code % 7), c(1)]);
    }
    let mut moment = Moment::of(&calls, Addressed);
    moment.links.reverse();
    let mut profiler = Profiler::new();
    for _ in 0..100 {
        let merged = profiler.sample(&moment);
        moment = Moment { links: moment.links.clone(), ..Moment::of(&calls, Addressed) }.after(&moment);
        let python = profiler.show(merged.stack).into_iter().filter(|frame| frame.starts_with("py")).count();
        assert_eq!(python, 20_000);
    }
    assert!(profiler.stacks.len() < 200_000);
}
