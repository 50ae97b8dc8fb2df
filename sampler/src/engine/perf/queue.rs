//! The way from the thread that empties the ring buffers to the thread that unwinds: bounded by memory.

use super::records::Record;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How much may wait, in bytes: two seconds of the most that two processors produce at the default rate. When it is
/// reached the ring buffers fill up, and the kernel counts what it has to drop.
const CAPACITY: usize = 256 << 20;

/// What one round over all ring buffers found.
#[derive(Debug, Default)]
pub(super) struct Round {
    pub(super) records: Vec<Record>,
    /// No later round has a record from before this time, barring a writer that was held up for long.
    pub(super) complete_until: u64,
}

/// A queue of rounds with one writer and one reader.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    rounds: VecDeque<(Round, usize)>,
    size: usize,
    closed: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a round; waits while there is no room. A queue that is closed takes nothing.
    pub(super) fn push(&self, round: Round) {
        let size = round.records.iter().map(Record::size).sum();
        let full = |state: &mut State| !state.closed && state.size > 0 && state.size + size > CAPACITY;
        let waited = self.changed.wait_while(self.lock(), full);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if !state.closed {
            state.size += size;
            state.rounds.push_back((round, size));
            self.changed.notify_all();
        }
    }

    /// The next round; waits for it. `None` when the queue is closed and empty.
    pub(super) fn pop(&self) -> Option<Round> {
        let empty = |state: &mut State| !state.closed && state.rounds.is_empty();
        let waited = self.changed.wait_while(self.lock(), empty);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        let (round, size) = state.rounds.pop_front()?;
        state.size -= size;
        self.changed.notify_all();
        Some(round)
    }

    /// Says that nothing more comes, or that nobody reads any more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}

/// Closes a queue when it is dropped, so that neither side waits for one that has failed.
#[derive(Debug)]
pub(super) struct CloseOnDrop<'q>(pub(super) &'q Queue);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Brings the records of all rounds into the order of time.
#[derive(Debug, Default)]
pub(super) struct Order {
    waiting: Vec<Record>,
}

impl Order {
    /// Adds a round. Returns the records that no later round can precede, by time.
    pub(super) fn add(&mut self, round: Round) -> Vec<Record> {
        self.waiting.extend(round.records);
        self.take(round.complete_until)
    }

    /// The records that still wait, by time.
    pub(super) fn finish(&mut self) -> Vec<Record> {
        self.take(u64::MAX)
    }

    fn take(&mut self, until: u64) -> Vec<Record> {
        // Stable: what a processor wrote at one time stays in its order.
        self.waiting.sort_by_key(|record| record.time);
        let ready = self.waiting.partition_point(|record| record.time <= until);
        let rest = self.waiting.split_off(ready);
        std::mem::replace(&mut self.waiting, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::super::records::Kind;
    use super::*;

    fn round(times: &[(u64, u64)], complete_until: u64) -> Round {
        let records = times.iter().map(|&(time, mark)| Record { time, kind: Kind::Lost(mark) }).collect();
        Round { records, complete_until }
    }

    fn marks(records: Vec<Record>) -> Vec<u64> {
        let mark = |record: Record| match record.kind {
            Kind::Lost(mark) => mark,
            other => panic!("{other:?}"),
        };
        records.into_iter().map(mark).collect()
    }

    #[test]
    fn records_of_several_rings_are_ordered_by_time() {
        let mut order = Order::default();
        // Two rings: 10, 30 and 20, 20. Up to 25 nothing can come any more.
        assert_eq!(marks(order.add(round(&[(10, 1), (30, 4), (20, 2), (20, 3)], 25))), [1, 2, 3]);
        assert_eq!(marks(order.add(round(&[(28, 5), (40, 6)], 35))), [5, 4]);
        // One that comes late is not lost, and comes at once.
        assert_eq!(marks(order.add(round(&[(5, 7)], 36))), [7]);
        assert_eq!(marks(order.finish()), [6]);
        assert!(order.finish().is_empty());
    }

    #[test]
    fn what_was_pushed_before_closing_is_still_there() {
        let queue = Queue::default();
        queue.push(round(&[(1, 1)], 1));
        queue.close();
        queue.push(round(&[(2, 2)], 2));
        assert_eq!(queue.pop().map(|round| marks(round.records)), Some(vec![1]));
        assert!(queue.pop().is_none());
    }

    #[test]
    fn a_writer_waits_for_room_and_ends_with_the_reader() {
        let queue = Queue::default();
        queue.lock().size = CAPACITY;
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| queue.push(round(&[(1, 1)], 1)));
            queue.close();
            writer.join().unwrap();
        });
        assert!(queue.pop().is_none());
    }
}
