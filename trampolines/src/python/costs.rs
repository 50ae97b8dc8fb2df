//! What a stub costs on this machine.
//!
//! Nearly all of it is what CPython would have saved: from 3.11 on a call that is not led through a hook is run within the evaluator of
//! its caller. To time that, Python code would have to run in the program. So it was measured once, with each version on two machines
//! ([`Layout::stub_costs_ns`], with the command in `bench/README.md`), and what this machine is compared with those is found out when
//! the session begins: by how long it takes to make calls that cannot be foreseen as little as those.

use super::layout::Layout;
use crate::sys;
use crate::wire::KINDS;
use core::hint::black_box;

/// How long [`CALLS`] calls took on the machine that the layouts' numbers are for, in nanoseconds.
const REFERENCE_NS: u64 = 2400;
/// How many calls are timed.
const CALLS: u32 = 2048;
/// So often, and the shortest time counts.
const ROUNDS: u32 = 5;
/// A machine is taken to be at most so many times faster or slower.
const MOST_DIFFERENT: u64 = 8;

/// What a stub that is entered costs here, by kind, in picoseconds.
pub fn of(layout: &Layout) -> [u32; KINDS] {
    let took_ns = (0..ROUNDS).map(|_| time_calls_ns()).min().unwrap_or(REFERENCE_NS);
    let took_ns = took_ns.clamp(REFERENCE_NS / MOST_DIFFERENT, REFERENCE_NS * MOST_DIFFERENT);
    layout.stub_costs_ns.map(|cost_ns| (u64::from(cost_ns) * 1000 * took_ns / REFERENCE_NS) as u32)
}

fn time_calls_ns() -> u64 {
    let began_ns = sys::monotonic_ns();
    let mut value = 1;
    for _ in 0..CALLS {
        let function: extern "C" fn(u64) -> u64 = black_box(step);
        value = function(value);
    }
    black_box(value);
    sys::monotonic_ns().saturating_sub(began_ns)
}

/// A step of a linear congruential generator: none can begin before the one before has ended.
extern "C" fn step(value: u64) -> u64 {
    value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::layout;
    use crate::python::version::SUPPORTED;

    #[test]
    fn every_version_has_costs_and_they_are_this_machines() {
        std::eprintln!("{CALLS} calls take {} ns here", (0..50).map(|_| time_calls_ns()).min().unwrap());
        for minor in SUPPORTED {
            let layout = layout::of(minor).unwrap();
            let here = of(layout);
            assert!(layout.stub_costs_ns.iter().zip(here).all(|(reference_ns, here_ps)| {
                let reference_ps = u64::from(*reference_ns) * 1000;
                *reference_ns > 0
                    && (reference_ps / MOST_DIFFERENT..=reference_ps * MOST_DIFFERENT).contains(&here_ps.into())
            }));
        }
    }
}
