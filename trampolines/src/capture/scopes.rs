//! The scopes of a sample: which labels its frames have.

use super::Capture;
use super::memory::Straight;
use crate::context::{Pairs, Said, ScopeNumber};
use crate::python::{Layout, Link, SCOPES, inherited_scope};
use crate::ring::RingWriter;
use crate::wire::{RingRecord, RingRecordKind, ScopeRecord};
use core::sync::atomic::Ordering;

/// Finds the scopes of the first `count` links.
pub fn find(links: &mut [Link], count: usize) {
    if !SCOPES.is_any_open() {
        return;
    }
    for link in links.iter_mut().take(count).filter(|link| link.code != 0) {
        link.scope = SCOPES.newest_on(link.address, link.code).map_or(0, |number| SCOPES.serial(number));
    }
}

/// The scope that the context of the calling thread inherits, by its states.
///
/// # Safety
/// The first state is the calling thread's own, and a fault is caught.
pub unsafe fn inherited(layout: &Layout, states: [Option<u64>; 2]) -> Option<ScopeNumber> {
    let [Some(state), _] = states else { return None };
    // SAFETY: as promised by the caller.
    unsafe { inherited_scope(&Straight, layout, state) }
}

/// The labels that context variables give to the calling thread, by its states.
///
/// # Safety
/// As for [`inherited`].
pub unsafe fn of_variables(capture: &Capture, states: [Option<u64>; 2]) -> Pairs {
    let [Some(state), _] = states else { return Pairs::new() };
    let names = capture.settings.variables();
    // SAFETY: as promised by the caller.
    unsafe { capture.sampled.variables.labels(&capture.sampled, names, state) }
}

/// What a thread's last sample had from context variables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SaidVariables(u64);

/// Says in the ring what context variables have, as a scope that inherits another one, unless the thread's last sample had
/// the same; returns the serial number of what is inherited then. `None` when the ring has no room.
pub fn say_variables(ring: &RingWriter, labels: &Pairs, inherits: u64, said: &mut SaidVariables) -> Option<u64> {
    if labels.as_bytes().is_empty() {
        *said = SaidVariables::default();
        return Some(inherits);
    }
    let serial = serial_of(labels, inherits);
    if said.0 != serial {
        if !write(ring, Said { serial, outer: 0, inherits, labels: labels.as_bytes() }) {
            return None;
        }
        said.0 = serial;
    }
    Some(serial)
}

/// A number for labels that are no block's: above those of all scopes (FNV-1a, 64 bits).
fn serial_of(labels: &Pairs, inherits: u64) -> u64 {
    let bytes = labels.as_bytes().iter().copied().chain(inherits.to_ne_bytes());
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    hash | 1 << 63
}

/// Says in the ring what is not known there of the scopes of links, and of the one that is inherited, and returns the
/// serial number of that, or 0. `None` when the ring has no room.
pub fn say(ring: &RingWriter, links: &[Link], inherited: Option<ScopeNumber>) -> Option<u64> {
    ring.header().unrecorded_scopes.store(SCOPES.unrecorded(), Ordering::Relaxed);
    let say = |number: ScopeNumber| SCOPES.say(number, |said| write(ring, said)).then_some(());
    for link in links.iter().filter(|link| link.scope != 0) {
        SCOPES.outward(SCOPES.newest_on(link.address, link.code)).try_for_each(say)?;
    }
    SCOPES.inherited(inherited).try_for_each(say)?;
    Some(inherited.map_or(0, |number| SCOPES.serial(number)))
}

fn write(ring: &RingWriter, said: Said<'_>) -> bool {
    let head = size_of::<RingRecord>().wrapping_add(size_of::<ScopeRecord>());
    let Some(mut room) = ring.reserve(head.wrapping_add(said.labels.len()).next_multiple_of(8)) else { return false };
    let Said { serial, outer, inherits, labels } = said;
    room.write_value(ScopeRecord { serial, outer, inherits });
    room.write(labels);
    room.commit(RingRecordKind::Scope);
    true
}
