//! The current span of OpenTelemetry as labels: `pronk record --label-otel`.
//!
//! `opentelemetry.context` keeps its context, a dictionary, in a context variable, and that has the span under a key of
//! `opentelemetry.trace` (opentelemetry-api 1.41 and 1.45: `context/__init__.py`, `context/contextvars_context.py`,
//! `trace/propagation/__init__.py`, `trace/span.py`; opentelemetry-sdk: `sdk/trace/__init__.py`).
//!
//! # Safety
//! All reads are of what another thread may change or free meanwhile: who calls has faults caught.

use super::attributes::attribute;
use super::dict;
use super::int;
use super::labels::{self, Variable};
use super::objects::{is_subtype, type_of};
use super::sampled::Sampled;
use super::search::Search;
use super::values;
use crate::capture::memory::{Memory, Straight};
use crate::context::Pairs;
use crate::sys::Text;
use core::sync::atomic::{AtomicU64, Ordering};

/// The keys of the labels: a span's name, and its trace's identity, as 32 hexadecimal digits (W3C Trace Context, `trace-id`).
const SPAN: &[u8] = b"span";
const TRACE: &[u8] = b"trace";
/// How many keys of a context are looked through.
const MOST_KEYS: usize = 256;

/// What leads to the spans of the process's first interpreter, once it was found.
#[derive(Debug, Default)]
pub struct Spans {
    /// The context variable.
    variable: AtomicU64,
    /// The key of a span, a text that is told by its address.
    key: AtomicU64,
    search: Search,
}

impl Spans {
    /// Adds the labels that the current span of a thread gives, by the thread's state. Whether there is one.
    ///
    /// # Safety
    /// The state is the calling thread's own, which is in a signal handler, and a fault is caught.
    pub unsafe fn push(&self, sampled: &Sampled, state: u64, pairs: &mut Pairs) -> bool {
        // SAFETY: as promised by the caller.
        unsafe {
            self.find(sampled, state);
            self.span(sampled, state).and_then(|span| Self::push_span(sampled, span, pairs)).is_some()
        }
    }

    /// Looks for what leads to spans, if it was not found yet.
    ///
    /// # Safety
    /// As for [`Spans::push`].
    unsafe fn find(&self, sampled: &Sampled, state: u64) -> Option<()> {
        if self.variable.load(Ordering::Acquire) != 0 {
            return None;
        }
        let layout = sampled.walker.layout;
        // SAFETY: as promised by the caller.
        unsafe {
            let modules = self.search.modules(sampled, state)?;
            let module_type = sampled.tasks.module_type;
            let global =
                |module: &[u8], name: &[u8]| dict::global(&Straight, layout, modules, module_type, (module, name));
            let key = global(b"opentelemetry.trace.propagation", b"_SPAN_KEY")?;
            let runtime = global(b"opentelemetry.context", b"_RUNTIME_CONTEXT")?;
            let variable = attribute(layout, runtime, b"_current_context")?;
            if labels::is_variable(type_of(variable)) {
                self.key.store(key, Ordering::Relaxed);
                self.variable.store(variable, Ordering::Release);
            }
        }
        Some(())
    }

    /// The current span.
    ///
    /// # Safety
    /// As for [`Spans::push`].
    unsafe fn span(&self, sampled: &Sampled, state: u64) -> Option<u64> {
        let variable = Some(self.variable.load(Ordering::Acquire)).filter(|variable| *variable != 0)?;
        let (layout, key) = (sampled.walker.layout, self.key.load(Ordering::Relaxed));
        // SAFETY: as promised by the caller.
        unsafe {
            let context = labels::value_of(&Straight, layout, state, Variable::at(&Straight, variable)?)?;
            if !is_subtype(type_of(context)?, sampled.tasks.dict_type) {
                return None;
            }
            let mut entries = dict::entries(Straight, layout, context)?.take(MOST_KEYS);
            entries.find(|(at, value)| *at == key && *value != 0).map(|(_, span)| span)
        }
    }

    /// Adds what a span says of itself. One without a valid context, as there is where nothing is recorded, says nothing.
    ///
    /// # Safety
    /// As for [`Spans::push`].
    unsafe fn push_span(sampled: &Sampled, span: u64, pairs: &mut Pairs) -> Option<()> {
        let layout = sampled.walker.layout;
        // SAFETY: as promised by the caller.
        unsafe {
            // A tuple whose first item is the identity of the trace.
            let context = attribute(layout, span, b"_context")?;
            let trace = Straight.word(context.wrapping_add(layout.awaits.items.into()))?;
            if type_of(trace)? != sampled.tasks.int_type {
                return None;
            }
            let trace = int::magnitude(&Straight, layout, trace).filter(|trace| *trace != 0)?;
            // One that comes from another process has no name here.
            if let Some(name) = attribute(layout, span, b"_name") {
                values::push(sampled, SPAN, name, pairs);
            }
            pairs.push(TRACE, Text::<33>::format(format_args!("{trace:032x}")).as_bytes()).then_some(())
        }
    }
}
