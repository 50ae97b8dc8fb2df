//! The scopes of a sample: which labels its frames have.

use super::Capture;
use super::memory::Straight;
use crate::context::{Pairs, Said, ScopeNumber};
use crate::python::{Layout, Link, SCOPES, inherited_scope};
use crate::ring::RingWriter;
use crate::wire::{RingRecord, RingRecordKind, ScopeRecord};
use core::sync::atomic::Ordering;

/// Finds the scopes of links.
pub fn find(links: &mut [Link]) {
    if !SCOPES.is_any_open() {
        return;
    }
    for link in links.iter_mut().filter(|link| link.code != 0) {
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

/// The labels that context variables and the span in one of them give to the calling thread, by its states.
///
/// # Safety
/// As for [`inherited`].
pub unsafe fn of_variables(capture: &Capture, ring: &RingWriter, states: [Option<u64>; 2]) -> Pairs {
    let [Some(state), _] = states else { return Pairs::new() };
    let Capture { sampled, settings, .. } = capture;
    // SAFETY: as promised by the caller.
    unsafe {
        let mut labels = sampled.variables.labels(sampled, settings.variables(), state);
        if settings.spans != 0 && sampled.spans.push(sampled, state, &mut labels) {
            ring.header().had_span.store(1, Ordering::Relaxed);
        }
        labels
    }
}

/// What a thread's samples had lately of labels that are no block's: of each the serial number, and when it was said in the
/// ring.
#[derive(Clone, Copy, Debug)]
pub struct SaidLabels([(u64, u64); 64]);

impl SaidLabels {
    /// Nothing.
    pub const fn new() -> SaidLabels {
        SaidLabels([(0, 0); 64])
    }

    /// Says such labels in the ring, unless its reader knows them; returns their serial number. `None` when the ring has no room.
    pub fn say(&mut self, ring: &RingWriter, kind: RingRecordKind, said: Said<'_>) -> Option<u64> {
        let serial = serial_of(kind, &said);
        let place = self.0.get_mut((serial >> 32) as usize % 64)?;
        if place.0 != serial || !SCOPES.is_remembered(place.1) {
            if !write(ring, kind, Said { serial, ..said }) {
                return None;
            }
            *place = (serial, SCOPES.count_said());
        }
        Some(serial)
    }
}

/// Says in the ring what context variables have, as a scope that inherits another one; returns the serial number of what is
/// inherited then. `None` when the ring has no room.
pub fn say_variables(ring: &RingWriter, labels: &Pairs, inherits: u64, said: &mut SaidLabels) -> Option<u64> {
    if labels.as_bytes().is_empty() {
        return Some(inherits);
    }
    said.say(ring, RingRecordKind::Scope, Said { serial: 0, outer: 0, inherits, labels: labels.as_bytes() })
}

/// A number for labels that are no block's: above those of all scopes (FNV-1a, 64 bits).
fn serial_of(kind: RingRecordKind, said: &Said<'_>) -> u64 {
    let others = [kind as u64, said.outer, said.inherits].into_iter().flat_map(u64::to_ne_bytes);
    let bytes = said.labels.iter().copied().chain(others);
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    hash | 1 << 63
}

/// Says in the ring what is not known there of the scopes of links, and of the one that is inherited, and returns the
/// serial number of that, or 0. `None` when the ring has no room.
pub fn say(ring: &RingWriter, links: &[Link], inherited: Option<ScopeNumber>) -> Option<u64> {
    ring.header().unrecorded_scopes.store(SCOPES.unrecorded(), Ordering::Relaxed);
    let say = |number: ScopeNumber| SCOPES.say(number, |said| write(ring, RingRecordKind::Scope, said)).then_some(());
    for link in links.iter().filter(|link| link.scope != 0) {
        SCOPES.outward(SCOPES.newest_on(link.address, link.code)).try_for_each(say)?;
    }
    SCOPES.inherited(inherited).try_for_each(say)?;
    Some(inherited.map_or(0, |number| SCOPES.serial(number)))
}

fn write(ring: &RingWriter, kind: RingRecordKind, said: Said<'_>) -> bool {
    let head = size_of::<RingRecord>().wrapping_add(size_of::<ScopeRecord>());
    let Some(mut room) = ring.reserve(head.wrapping_add(said.labels.len()).next_multiple_of(8)) else { return false };
    let Said { serial, outer, inherits, labels } = said;
    room.write_value(ScopeRecord { serial, outer, inherits });
    room.write(labels);
    room.commit(kind);
    true
}
