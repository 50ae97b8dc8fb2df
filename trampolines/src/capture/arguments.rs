//! The labels that the arguments of functions give to the frames of a sample: `pronk record --label-arg`.

use super::scopes::SaidLabels;
use super::{Capture, faults};
use crate::context::Said;
use crate::python::{Link, SCOPES, may_be_left};
use crate::ring::RingWriter;
use crate::wire::RingRecordKind;
use core::sync::atomic::Ordering;

/// Has the links of frames lead to what the arguments of their functions have, and says that in the ring. `known` older links
/// are not among these. `None` when the ring has no room.
///
/// # Safety
/// The links are of the calling thread's frames, which is in a signal handler.
pub unsafe fn find(
    capture: &Capture,
    ring: &RingWriter,
    links: &mut [Link],
    known: usize,
    said: &mut SaidLabels,
) -> Option<()> {
    let Capture { sampled, settings, .. } = capture;
    let arguments = &sampled.arguments;
    if arguments.noted() == 0 {
        return Some(());
    }
    // Of the frames that have the same label the newest one counts. The others are asked nevertheless if it can happen that a later
    // sample no longer sees them, and has none of the newer ones.
    let ask_all = may_be_left(sampled.walker.layout, links.len().saturating_add(known));
    let mut had = 0;
    for link in links.iter_mut().filter(|link| link.code != 0) {
        let which = arguments.of(link) & !had;
        if which == 0 {
            continue;
        }
        // SAFETY: as promised by the caller; there is nothing to drop.
        let found = unsafe { faults::attempt(|| arguments.labels(sampled, settings.arguments(), which, link)) };
        let Some((labels, have)) = found.filter(|(_, have)| *have != 0) else { continue };
        let block = SCOPES.newest_on(link.address, link.code).map_or(0, |number| SCOPES.serial(number));
        let labels = Said { serial: 0, outer: block, inherits: 0, labels: labels.as_bytes() };
        link.scope = said.say(ring, RingRecordKind::Arguments, labels)?;
        if !ask_all {
            had |= have;
        }
    }
    let [found, read] = arguments.seen();
    ring.header().found_arguments.store(found, Ordering::Relaxed);
    ring.header().read_arguments.store(read, Ordering::Relaxed);
    Some(())
}
