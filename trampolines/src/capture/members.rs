//! The threads that ran already when the session began: each is told to join it, and to leave it, by a signal of its own.
//!
//! What a thread keeps, its timers and its place in the session, only it can make, and give back while a sample may be taken
//! of it. So it does both in the signal handler. One thread, the agent's own, looks for threads and sends the signals.
//!
//! # Safety
//! The table is mapped once and stays. Places in it are given out by the agent's thread only; what a place has of its thread
//! is exchanged as a whole, by that thread, or by the agent's when the thread is gone.

use super::thread::SampledThread;
use super::{
    Moving, SESSION, SIGNAL, begin_thread, end_thread, interpose, is_still, is_stopping, one_fewer, ring,
    sampled_threads,
};
use crate::sys::{self, KeepErrno, Refused};
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};

/// The place of a thread that has none.
pub const NOBODY: u32 = u32::MAX;
/// The threads that there can be. More are not sampled, and counted.
const MOST_MEMBERS: usize = 1 << 15;
/// How many signals to stay without an answer before a thread is taken for one that holds them back.
const PATIENCE_MS: u32 = 1000;

/// What a signal tells a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// Join the session, at a place.
    Join(u32),
    /// Leave it.
    Leave,
}

/// The upper half of the values that come with signals of ours: they are told from a program's own by it.
const JOIN: u32 = 0x706a_6f69;
const LEAVE: u32 = 0x706c_6561;

impl Message {
    fn value(self) -> usize {
        let (kind, place) = match self {
            Message::Join(place) => (JOIN, place),
            Message::Leave => (LEAVE, 0),
        };
        ((u64::from(kind) << 32) | u64::from(place)) as usize
    }

    /// The message that a value is.
    pub fn parse(value: usize) -> Option<Message> {
        match ((value as u64 >> 32) as u32, value as u32) {
            (JOIN, place) => Some(Message::Join(place)),
            (LEAVE, 0) => Some(Message::Leave),
            _ => None,
        }
    }
}

/// A thread that was found.
#[derive(Debug)]
struct Member {
    /// Its id; 0 where the place is free.
    tid: AtomicU32,
    /// The look at which it was there last.
    seen: AtomicU32,
    /// Whether it has got the signal to join.
    told: AtomicBool,
    /// What it keeps, once it has joined and until it has left.
    thread: AtomicPtr<SampledThread>,
}

static TABLE: AtomicPtr<Member> = AtomicPtr::new(ptr::null_mut());

fn table() -> &'static [Member] {
    match NonNull::new(TABLE.load(Ordering::Acquire)) {
        // SAFETY: the mapping holds so many places, and zeros are valid ones.
        Some(table) => unsafe { core::slice::from_raw_parts(table.as_ptr(), MOST_MEMBERS) },
        None => &[],
    }
}

/// The threads of the process, as the agent's thread finds them.
#[derive(Debug, Default)]
pub struct Members {
    /// Behind the last place that was ever used.
    used: usize,
    looks: u32,
}

impl Members {
    /// Knows no thread yet.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn new() -> Result<Members, Refused> {
        const SIZE: usize = MOST_MEMBERS * size_of::<Member>();
        match NonNull::new(TABLE.load(Ordering::Relaxed)) {
            // In the child of a fork it is its parent's, with threads that are not here.
            // SAFETY: the table is one mapping of that size, and between sessions nobody has a place in it.
            Some(table) => unsafe { sys::map_anonymous_over(table.cast(), SIZE) }?,
            None => TABLE.store(sys::map_anonymous(SIZE)?.cast().as_ptr(), Ordering::Release),
        }
        // In a handler it could not be made.
        let _made = interpose::end_key();
        Ok(Members::default())
    }

    /// Looks for threads: new ones are told to join, and what the ones that are gone have left behind is given back.
    pub fn look(&mut self) {
        self.looks = self.looks.wrapping_add(1);
        let mut place = 0;
        let own = sys::thread_id().cast_unsigned();
        sys::each_thread(|tid| {
            if tid == own {
                return;
            }
            let Some(found) = self.find(tid, place).or_else(|| self.add(tid)) else {
                if let Some(ring) = ring() {
                    ring.header().unsampled_threads.fetch_add(1, Ordering::Relaxed);
                }
                return;
            };
            place = found;
            if let Some(member) = table().get(place) {
                member.seen.store(self.looks, Ordering::Relaxed);
                // A signal that comes while another one of ours is pending is lost (signal(7)).
                if !member.told.load(Ordering::Relaxed) && !is_stopping() {
                    tell(tid, Message::Join(place as u32));
                }
            }
        });
        let gone = |member: &&Member| {
            member.tid.load(Ordering::Relaxed) != 0 && member.seen.load(Ordering::Relaxed) != self.looks
        };
        table().iter().take(self.used).filter(gone).for_each(Member::clear);
    }

    /// Those that have joined and not left.
    fn joined(&self) -> impl Iterator<Item = &'static Member> {
        table().iter().take(self.used).filter(|member| !member.thread.load(Ordering::Acquire).is_null())
    }

    /// The place of a thread. The kernel lists threads in the order in which they began, and so does the table mostly: it
    /// is looked through from the place of the thread before on.
    fn find(&self, tid: u32, after: usize) -> Option<usize> {
        let used = table().get(..self.used)?;
        let is = |place: &usize| used.get(*place).is_some_and(|member| member.tid.load(Ordering::Relaxed) == tid);
        (after..self.used).chain(0..after.min(self.used)).find(is)
    }

    fn add(&mut self, tid: u32) -> Option<usize> {
        let is_free = |member: &Member| member.tid.load(Ordering::Relaxed) == 0;
        let free = table().iter().take(self.used).position(is_free);
        let place = free.or_else(|| (self.used < MOST_MEMBERS).then_some(self.used))?;
        self.used = self.used.max(place.saturating_add(1));
        let member = table().get(place)?;
        member.told.store(false, Ordering::Relaxed);
        member.tid.store(tid, Ordering::Relaxed);
        Some(place)
    }

    /// Has all threads leave, and waits until they have. Returns how many did not: they hold back the signal.
    pub fn leave(mut self) -> u32 {
        let mut waited_ms = 0_u32;
        // In this order: who was joining is done, and has joined, or does not any more.
        while waited_ms < PATIENCE_MS && (!is_still() || sampled_threads() > 0) {
            // One that has not yet got another signal of ours does not get this one. Who came by the agent when it was made
            // is sampled, and may have no place yet.
            if waited_ms.is_multiple_of(50) {
                self.look();
                let tid = |member: &Member| member.tid.load(Ordering::Relaxed);
                let used = table().iter().take(self.used).map(tid).filter(|tid| *tid != 0);
                used.for_each(|tid| tell(tid, Message::Leave));
            }
            sys::sleep_ms(1);
            waited_ms = waited_ms.wrapping_add(1);
        }
        let mut left_behind = 0_u32;
        for member in self.joined() {
            left_behind = left_behind.wrapping_add(1);
            if let Some(thread) = NonNull::new(member.thread.swap(ptr::null_mut(), Ordering::AcqRel)) {
                // SAFETY: the thread holds the signal back, so that its handler does not run; what it keeps stays, in case that
                // it is just about to.
                unsafe { (*thread.as_ptr()).stop_driver() };
            }
        }
        for member in table().iter().take(self.used) {
            member.tid.store(0, Ordering::Relaxed);
        }
        left_behind.max(sampled_threads())
    }
}

impl Member {
    /// Gives back what a thread that is gone has left behind, and its place.
    fn clear(&self) {
        if let Some(thread) = NonNull::new(self.thread.swap(ptr::null_mut(), Ordering::AcqRel)) {
            // SAFETY: the thread is gone, and with it its handler.
            unsafe {
                (*thread.as_ptr()).stop_driver();
                SampledThread::free(thread);
            }
            one_fewer();
        }
        self.tid.store(0, Ordering::Relaxed);
    }
}

/// Sends a thread of this process a message. One that has ended is not there to get it.
fn tell(tid: u32, message: Message) {
    sys::queue_signal(tid, SIGNAL, message.value());
}

/// In the signal handler: the calling thread, whose stack pointer was that, is told something.
pub fn receive(message: Message, stack_pointer: usize) {
    let _errno = KeepErrno::new();
    // Until the table says so, too.
    let _moving = Moving::new();
    let own = SampledThread::of_this_thread();
    match message {
        Message::Join(place) => join(place, own, stack_pointer),
        Message::Leave => {
            if let Some(thread) = own {
                end_thread(thread);
            }
        }
    }
}

fn join(place: u32, own: Option<NonNull<SampledThread>>, stack_pointer: usize) {
    let Some(member) = table().get(place as usize) else { return };
    member.told.store(true, Ordering::Relaxed);
    if let Some(own) = own {
        // SAFETY: the thread's own, which nobody else uses meanwhile.
        let sampled = unsafe { &mut *own.as_ptr() };
        if sampled.session == SESSION.load(Ordering::Relaxed) && !is_stopping() {
            // It came by the agent when it was made.
            sampled.member = place;
            return member.thread.store(own.as_ptr(), Ordering::Release);
        }
        // The parent of a fork had a session, or one before this one was not left.
        end_thread(own);
    }
    let Ok(thread) = SampledThread::allocate(None) else { return };
    // SAFETY: nobody else has the thread's memory yet.
    unsafe { (*thread.as_ptr()).member = place };
    let (low, mut high) = sys::region_of(stack_pointer).unwrap_or_default();
    // A thread's own block is at the end of its stack, where the C library has allocated that (nptl/allocatestack.c).
    let block = sys::thread_pointer();
    if (stack_pointer..high).contains(&block) {
        high = block;
    }
    begin_thread(thread, (low, high));
    if SampledThread::of_this_thread() == Some(thread) {
        member.thread.store(thread.as_ptr(), Ordering::Release);
    }
}

/// A thread that had a place keeps nothing any more.
pub fn forget(place: u32) {
    if let Some(member) = table().get(place as usize) {
        member.thread.store(ptr::null_mut(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back_and_nothing_else_is_one() {
        for message in [Message::Join(0), Message::Join(77), Message::Leave] {
            assert_eq!(Message::parse(message.value()), Some(message));
        }
        for other in [0, 1, usize::MAX, (LEAVE as usize) << 32 | 1] {
            assert_eq!(Message::parse(other), None);
        }
    }
}
