//! Python frames among native ones.
//!
//! A call of the evaluator runs the Python frames from its entry frame to its newest one, and what it calls in C is
//! called by the newest. So the frames of one call, a run, lie below the evaluator's native frame: what that does, it does
//! for the newest. A stub lies there, too.
//!
//! From CPython 3.11 on the border below a run is an address within the evaluator's native frame, which tells it from all
//! others. On 3.9 and 3.10 each Python frame is a call of the evaluator of its own, and they are counted: from the root
//! if the walk got there, and from the newest frame if it did not.
//!
//! Stacks are put together from the root on, so that what a sample has in common with the one before stays as it is.

use crate::recording::{CodeId, Frame, StackId, StackTable};

/// One link of the chain of interpreter frames: a frame, or the border between two calls of the evaluator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// The frame's code object; `None` for a border.
    pub(crate) code: Option<CodeId>,
    /// Of a frame: the offset of the instruction in the bytecode, in bytes; `None` before the first one.
    pub(crate) instruction: Option<u32>,
    /// Of a border: an address within the evaluator's native frame, or 0 where the version keeps none there.
    pub(crate) address: u64,
}

impl Link {
    /// The border below a frame of CPython 3.9 and 3.10, where it is no place on the stack.
    pub(crate) const BORDER: Link = Link { code: None, instruction: None, address: 0 };
}

/// The chain of a sample, from the oldest link to the newest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chain<'a> {
    pub(super) links: &'a [Link],
    /// How many of the oldest are as they were at the sample before.
    pub(super) kept: usize,
    /// Whether older links are missing.
    pub(super) is_cut: bool,
}

/// The native frames of a sample, from the root to the newest, or to a mark where frames are missing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Natives<'a> {
    pub(super) frames: &'a [Native],
    /// How many of those at the root are as they were at the sample before.
    pub(super) kept: usize,
}

/// A native frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Native {
    pub(super) frame: Frame,
    /// Where it begins. It ends where the one before it begins.
    pub(super) sp: u64,
    /// The evaluator's frames from the root to this one.
    pub(super) evaluators: Seen,
    /// The places where frames are missing, from the root to this one.
    pub(super) marks: Seen,
}

/// What was met of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    count: usize,
    first: usize,
    last: usize,
}

impl Seen {
    /// With one more at an index, if it `is` of the kind.
    pub(super) fn and(self, index: usize, is: bool) -> Seen {
        match (is, self.count) {
            (false, _) => self,
            (true, 0) => Seen { count: 1, first: index, last: index },
            (true, count) => Seen { count: count + 1, last: index, ..self },
        }
    }
}

/// A sample's stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Merged {
    pub(crate) stack: Option<StackId>,
    /// Whether it has a [`Frame::Gap`].
    pub(crate) gap: bool,
    /// Whether it has a [`Frame::Truncated`].
    pub(crate) truncated: bool,
}

impl Merged {
    /// With a frame on top.
    pub(super) fn with(self, frame: Frame, stacks: &mut StackTable) -> Merged {
        Merged {
            stack: Some(stacks.push(self.stack, frame)),
            gap: self.gap | matches!(frame, Frame::Gap),
            truncated: self.truncated | matches!(frame, Frame::Truncated),
        }
    }
}

/// The stack of a thread, as it was put together for the last sample.
#[derive(Debug, Default)]
pub(super) struct Merge {
    items: Vec<Item>,
    /// For each link, the number of borders up to it.
    borders: Vec<usize>,
    order: Order,
    is_cut: bool,
}

/// A frame of the stack.
#[derive(Clone, Copy, Debug)]
struct Item {
    /// The stack up to here.
    merged: Merged,
    /// How many native frames and links are in it, or were left out of it.
    used: Used,
    /// The first link of the run that it is of; `None` for a native frame.
    run: Option<usize>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Used {
    natives: usize,
    links: usize,
}

/// How runs find their places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Order {
    /// There are none. Native frames are alone, stubs among them.
    #[default]
    Alone,
    /// By the addresses of their borders. A run whose border is missing lies at `cut_run`.
    ByAddress { cut_run: u64 },
    /// By their number, from the root on.
    Counted,
    /// By their number: from the root up to the native frame at `from`, and from the newest frame down to the one at
    /// `to`. What lies between is left out for a mark, before which all other runs come. There are `more` runs than
    /// evaluators.
    CountedFromBothEnds { from: usize, to: usize, more: isize },
}

impl Merge {
    /// The stack of the next sample.
    pub(super) fn merge(&mut self, natives: Natives, chain: Chain, stacks: &mut StackTable) -> Merged {
        self.count_borders(&chain);
        let order = self.order(natives.frames, &chain);
        if chain.is_cut != self.is_cut {
            self.items.clear();
            self.is_cut = chain.is_cut;
        }
        let mut kept = Used { natives: natives.kept, links: chain.kept.min(chain.links.len()) };
        if order != self.order {
            // Up to where something is left out, all are counted from the root.
            kept.natives = match (self.order, order) {
                (Order::CountedFromBothEnds { from: old, .. }, Order::CountedFromBothEnds { from: new, .. }) => {
                    kept.natives.min(old).min(new)
                }
                (Order::CountedFromBothEnds { from, .. }, Order::Counted)
                | (Order::Counted, Order::CountedFromBothEnds { from, .. }) => kept.natives.min(from),
                _ => {
                    self.items.clear();
                    0
                }
            };
            self.order = order;
        }
        let now = Now { natives: natives.frames, chain, order, borders: &self.borders };
        now.forget_what_changed(&mut self.items, kept);
        now.add(&mut self.items, stacks);
        self.items.last().map_or_else(Merged::default, |top| top.merged)
    }

    fn count_borders(&mut self, chain: &Chain) {
        self.borders.truncate(chain.kept);
        let new = chain.links.get(self.borders.len()..).unwrap_or_default();
        for link in new {
            let before = self.borders.last().copied().unwrap_or(0);
            self.borders.push(before + usize::from(link.code.is_none()));
        }
        self.borders.truncate(chain.links.len());
    }

    fn order(&self, natives: &[Native], chain: &Chain) -> Order {
        if chain.links.is_empty() {
            return Order::Alone;
        }
        let oldest_border = chain.links.iter().find(|link| link.code.is_none()).map(|border| border.address);
        if oldest_border != Some(0) {
            let cut_run = if chain.is_cut { place_of_cut_run(natives, oldest_border.unwrap_or(0)) } else { u64::MAX };
            return Order::ByAddress { cut_run };
        }
        let Some(newest) = natives.last() else { return Order::Counted };
        let runs = self.borders.last().copied().unwrap_or(0);
        let evaluators = newest.evaluators.count;
        let more = runs.wrapping_sub(evaluators).cast_signed();
        let counted = |from, to| Order::CountedFromBothEnds { from, to, more };
        if newest.marks.count > 0 {
            let Seen { first, last, .. } = newest.marks;
            let up_to = |index: usize| natives.get(index).map_or(0, |native| native.evaluators.count);
            if !chain.is_cut && up_to(first) + evaluators - up_to(last) <= runs {
                return counted(first, last);
            }
        } else if !chain.is_cut && (evaluators == runs || evaluators == runs + 1) {
            // One that has no frame is the newest: it has just been called, or is about to return.
            return Order::Counted;
        }
        // Evaluators that are not known as such, or run frames that are not in the chain, as those below a greenlet do.
        // Certain is only what called the oldest run, and what the newest has called.
        let first_mark = if newest.marks.count > 0 { newest.marks.first } else { usize::MAX };
        counted(newest.evaluators.first.min(first_mark), newest.evaluators.last.max(newest.marks.last))
    }
}

/// The evaluator's newest frame below the one with the oldest border ran what is left of the run that is cut.
fn place_of_cut_run(natives: &[Native], oldest_border: u64) -> u64 {
    let below = natives.partition_point(|native| native.sp > oldest_border);
    let seen = below.checked_sub(1).and_then(|newest| natives.get(newest)).map(|native| native.evaluators);
    let evaluator = seen.filter(|seen| seen.count > 0).and_then(|seen| natives.get(seen.last));
    evaluator.map_or(u64::MAX, |native| native.sp)
}

/// What a stack is put together of.
struct Now<'a> {
    natives: &'a [Native],
    chain: Chain<'a>,
    order: Order,
    borders: &'a [usize],
}

impl Now<'_> {
    /// Takes away those newest items that would not be added now.
    fn forget_what_changed(&self, items: &mut Vec<Item>, kept: Used) {
        while let Some(top) = items.last() {
            let Used { natives, links } = top.used;
            let is_kept = natives <= kept.natives && links <= kept.links;
            let would_be_added = || match top.run {
                // The native frame before which it was added may be another one.
                Some(run) => natives < kept.natives || self.is_due(run, natives),
                // The next run may have changed, and be due before it.
                None => links < kept.links || !self.is_due(links, natives - 1),
            };
            if is_kept && would_be_added() {
                return;
            }
            items.pop();
        }
    }

    /// Adds what is missing.
    fn add(&self, items: &mut Vec<Item>, stacks: &mut StackTable) {
        let Item { mut merged, mut used, run } =
            items.last().copied().unwrap_or(Item { merged: Merged::default(), used: Used::default(), run: None });
        let mut run = run.unwrap_or(0);
        loop {
            let link = self.chain.links.get(used.links);
            let frame = if let Some(link) = link.filter(|_| self.is_due(used.links, used.natives)) {
                if used.links == 0 && self.chain.is_cut {
                    merged = merged.with(Frame::Truncated, stacks);
                }
                run = if self.begins_run(used.links) { used.links } else { run };
                used.links += 1;
                link.code.map(|code| Frame::Python(code, link.instruction))
            } else if used.natives < self.natives.len() {
                used.natives += 1;
                self.shown(used.natives - 1)
            } else {
                return;
            };
            if let Some(frame) = frame {
                merged = merged.with(frame, stacks);
                items.push(Item { merged, used, run: matches!(frame, Frame::Python(..)).then_some(run) });
            }
        }
    }

    /// Whether a link comes next, when so many native frames are there already.
    fn is_due(&self, link: usize, natives: usize) -> bool {
        if link >= self.chain.links.len() {
            return false;
        }
        !self.begins_run(link) || natives >= self.natives.len() || self.is_at_or_below(link, natives)
    }

    fn begins_run(&self, link: usize) -> bool {
        link == 0 || self.chain.links.get(link).is_some_and(|link| link.code.is_none())
    }

    /// Whether the run that begins with a link is that of a native frame, or of one nearer to the root.
    fn is_at_or_below(&self, link: usize, native: usize) -> bool {
        let (Some(link), Some(number), Some(frame)) =
            (self.chain.links.get(link), self.borders.get(link), self.natives.get(native))
        else {
            return false;
        };
        let number = (*number).max(1);
        match self.order {
            Order::Alone => false,
            Order::ByAddress { cut_run } => {
                let address = if link.code.is_some() { cut_run } else { link.address };
                // A border without an address is one by the side of others that have one: it follows those.
                address >= frame.sp || address == 0
            }
            Order::CountedFromBothEnds { from, to, more } if native >= from => {
                let to = self.natives.get(to).map_or(0, |to| to.evaluators.count);
                number <= frame.evaluators.count.max(to).saturating_add_signed(more)
            }
            Order::Counted | Order::CountedFromBothEnds { .. } => number <= frame.evaluators.count,
        }
    }

    /// What a native frame is in the stack. Stubs are left out, as their functions are there as Python frames.
    fn shown(&self, native: usize) -> Option<Frame> {
        let frame = self.natives.get(native)?.frame;
        match self.order {
            Order::Alone => Some(frame),
            Order::CountedFromBothEnds { from, to, .. } if (from..=to).contains(&native) => {
                let first = self.natives.get(from)?.frame;
                (native == to).then_some(if is_missing(first) { first } else { Frame::Gap })
            }
            _ => (!matches!(frame, Frame::Stub(..))).then_some(frame),
        }
    }
}

fn is_missing(frame: Frame) -> bool {
    matches!(frame, Frame::Gap | Frame::Truncated)
}
