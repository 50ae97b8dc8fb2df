//! An allocator that asks for labels, as one would that counts what each request allocates: labels allocate themselves, so it
//! may ask while they are being changed.

use pronk_trampolines::context::stack::{self, Key, Scope};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

static REQUEST: Key = Key::new("request");

thread_local! {
    static IS_COUNTING: Cell<bool> = const { Cell::new(false) };
    /// Bytes with a label, and without.
    static BYTES: Cell<[usize; 2]> = const { Cell::new([0; 2]) };
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

/// What is allocated by counting is not counted.
fn count(size: usize) {
    if !IS_COUNTING.replace(true) {
        let mut bytes = BYTES.get();
        bytes[REQUEST.with(|value| usize::from(value.is_none()))] += size;
        BYTES.set(bytes);
        IS_COUNTING.set(false);
    }
}

// SAFETY: the system's allocator does it all; counting does not unwind.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: what holds for this call holds for that one.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0);
        // SAFETY: what holds for this call holds for that one.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[test]
fn labels_are_what_they_are_though_an_allocator_asks_for_them_meanwhile() {
    let other = Key::new("other");
    for round in 0..1000 {
        let _scope = stack::push(Scope::new().with(&REQUEST, "checkout"));
        let [before, _] = BYTES.get();
        drop(vec![0_u8; 1000]);
        assert!(BYTES.get()[0] >= before + 1000);
        let nested: Vec<_> = (0..20).map(|_| stack::push(Scope::new().with(&other, "value"))).collect();
        let snapshot = stack::snapshot();
        other.set(format!("{round}"));
        assert!(REQUEST.with(|value| value == Some("checkout")));
        REQUEST.set("payment");
        assert_eq!(REQUEST.get().as_deref(), Some("payment"));
        assert_eq!(other.get().as_deref(), Some(&*format!("{round}")));
        drop((nested, snapshot));
        assert_eq!(REQUEST.get().as_deref(), Some("checkout"));
        assert_eq!(other.get(), None);
    }
    assert_eq!(REQUEST.get(), None);
}
