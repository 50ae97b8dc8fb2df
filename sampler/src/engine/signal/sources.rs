//! The sources of labels that a program need not know of, and which of them have given none: names that are wrong would be
//! silent otherwise.

use crate::label_argument::LabelArgument;
use crate::session::Request;
use pronk_trampolines::wire::RingHeader;
use std::sync::atomic::Ordering;

/// What was asked for, and what came of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    arguments: Vec<LabelArgument>,
    spans: bool,
    /// `None` while nothing was sampled.
    seen: Option<Seen>,
}

/// What the agents of a session say.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// Which of the arguments are those of a function that was seen, and which have given a label, a bit each.
    found_arguments: u64,
    read_arguments: u64,
    had_span: bool,
}

impl Sources {
    /// Those that a request asks for.
    pub(crate) fn of(request: &Request) -> Sources {
        Sources { arguments: request.label_arguments.clone(), spans: request.label_spans, seen: None }
    }

    /// Takes what a process says.
    pub(super) fn see(&mut self, header: &RingHeader) {
        let seen = self.seen.get_or_insert_default();
        seen.found_arguments |= header.found_arguments.load(Ordering::Relaxed);
        seen.read_arguments |= header.read_arguments.load(Ordering::Relaxed);
        seen.had_span |= header.had_span.load(Ordering::Relaxed) != 0;
    }

    /// What to say of those that have given no label, a line each.
    pub(super) fn unused(&self) -> Vec<String> {
        let Some(seen) = self.seen else { return Vec::new() };
        let arguments = self.arguments.iter().enumerate().filter_map(|(index, argument)| {
            let has = |which: u64| which >> index & 1 != 0;
            (!has(seen.read_arguments)).then(|| argument.unused(has(seen.found_arguments)))
        });
        let no_span =
            "--label-otel has given no label: no sample was taken within a span of opentelemetry-api".to_owned();
        arguments.chain((self.spans && !seen.had_span).then_some(no_span)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_given_no_label_is_said() {
        let argument = |text: &str| text.parse().unwrap();
        let arguments = vec![argument("a.f:x"), argument("a.g:y.z"), argument("a.h:x")];
        let sources = Sources { arguments, spans: true, seen: None };
        assert!(sources.unused().is_empty());
        let seen = Seen { found_arguments: 0b011, read_arguments: 0b001, had_span: false };
        let lines = Sources { seen: Some(seen), ..sources.clone() }.unused();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].contains("z=a.g:y.z") && lines[0].contains("neither a text nor a whole number"), "{lines:?}");
        assert!(lines[1].contains("no sample has a function a.h with an argument x"), "{lines:?}");
        assert!(lines[2].starts_with("--label-otel"), "{lines:?}");
        let seen = Seen { found_arguments: 0b111, read_arguments: 0b111, had_span: true };
        assert!(Sources { seen: Some(seen), ..sources }.unused().is_empty());
    }
}
