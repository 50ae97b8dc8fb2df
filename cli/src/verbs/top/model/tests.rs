use super::super::testing::live;
use super::*;
use pronk_symbolizer::live::Seen;

fn texts(model: &Model) -> Vec<&str> {
    model.rows().iter().map(|row| row.text.split(" (").next().unwrap()).collect()
}

fn model(live: &Live) -> Model {
    let mut model = Model::default();
    model.refresh(live);
    model
}

#[test]
fn functions_are_in_the_order_that_is_asked_for() {
    let live = live();
    let mut model = model(&live);
    assert_eq!(texts(&model), ["shop.pack", "shop.fib", "shop.main", "shop.serve"]);
    let mut with = |by_total, by_so_far| {
        (model.by_total, model.by_so_far) = (by_total, by_so_far);
        model.refresh(&live);
        texts(&model).join(" ").replace("shop.", "")
    };
    assert_eq!(with(true, false), "main pack serve fib");
    assert_eq!(with(false, true), "fib pack serve main");
    assert_eq!(with(true, true), "main serve fib pack");
}

#[test]
fn a_filter_is_of_functions_and_files_in_either_case() {
    let live = live();
    let mut model = model(&live);
    let mut with = |filter: &str| {
        model.set_filter(filter.to_owned());
        model.refresh(&live);
        texts(&model).join(" ").replace("shop.", "")
    };
    assert_eq!(with("SERVE"), "serve");
    assert_eq!(with("/lib/"), "pack fib");
    assert_eq!(with("nothing"), "");
    assert_eq!(with(""), "pack fib main serve");
}

#[test]
fn a_row_that_was_chosen_stays_so_wherever_it_goes() {
    let live = live();
    let mut model = model(&live);
    model.go(Move::Down(1));
    assert_eq!(model.rows()[model.position()].text, "shop.fib (numbers.py:3)");
    model.by_total = true;
    model.refresh(&live);
    assert_eq!((model.position(), texts(&model)[model.position()]), (3, "shop.fib"));
    model.go(Move::Last);
    model.go(Move::Down(9));
    assert_eq!(model.position(), 3);
    model.go(Move::First);
    model.by_total = false;
    model.refresh(&live);
    assert_eq!(texts(&model)[model.position()], "shop.pack");
    model.set_filter("nothing".to_owned());
    model.refresh(&live);
    model.go(Move::Last);
    assert_eq!(model.position(), 0);
}

#[test]
fn a_function_is_between_those_that_call_it_and_those_that_it_calls() {
    let live = live();
    let mut model = model(&live);
    model.by_so_far = true;
    model.refresh(&live);
    model.zoom();
    model.refresh(&live);
    let rows: Vec<(bool, &str, u64)> =
        model.rows().iter().map(|row| (matches!(row.id, Id::Caller(_)), row.text.as_str(), row.total.so_far)).collect();
    let (fib, serve) = ("shop.fib (numbers.py:3)", "shop.serve (shop.py:3)");
    assert_eq!(rows, [(true, fib, 500), (true, serve, 550), (false, fib, 550), (false, fib, 500)]);
    // What is in the middle is zoomed into already.
    assert_eq!(model.position(), 2);
    model.zoom();
    assert_eq!(model.zoomed.len(), 1);
    model.go(Move::Up(1));
    model.zoom();
    model.refresh(&live);
    assert_eq!(texts(&model), ["shop.main", "shop.serve", "shop.fib"]);
    model.back();
    model.back();
    model.refresh(&live);
    assert_eq!((texts(&model).len(), texts(&model)[model.position()]), (4, "shop.fib"));
}

#[test]
fn threads_and_labels_have_their_shares() {
    let live = live();
    let mut model = model(&live);
    model.show(Tab::Threads);
    model.refresh(&live);
    let threads: Vec<(&str, Seen, Option<f64>)> =
        model.rows().iter().map(|row| (row.text.as_str(), row.total, row.processors)).collect();
    let worker = ("worker (7/8)", Seen { now: 150, so_far: 250 }, Some(0.3));
    assert_eq!(threads, [worker, ("python3 (7)", Seen { now: 50, so_far: 750 }, Some(0.1))]);
    model.next_label();
    model.refresh(&live);
    let labels: Vec<(&str, Seen)> = model.rows().iter().map(|row| (row.text.as_str(), row.total)).collect();
    let white = ("b & w", Seen { now: 150, so_far: 250 });
    let (without, acme) = (("(none)", Seen { now: 50, so_far: 100 }), ("acme", Seen { now: 0, so_far: 650 }));
    assert_eq!(labels, [white, without, acme]);
    model.show(Tab::Tasks);
    model.refresh(&live);
    assert_eq!(texts(&model).len(), 1);
}

#[test]
fn a_frozen_view_stands_still() {
    let mut live = live();
    let mut model = model(&live);
    model.freeze(&live);
    let before = model.rows().to_vec();
    let recording = pronk_sampler::recording::Recording { samples: Vec::new(), ..whole(&live) };
    live.finish(recording);
    model.refresh(&live);
    assert_eq!(model.rows(), before);
    model.freeze(&live);
    assert!(!model.is_frozen());
    model.refresh(&live);
    assert_ne!(model.rows(), before);
}

/// The recording that a live one was made of, at a later time.
fn whole(live: &Live) -> pronk_sampler::recording::Recording {
    let so_far = live.recording();
    let mut stacks = pronk_sampler::recording::StackTable::default();
    for id in 0..so_far.stacks.len() {
        let (below, frame) = so_far.stacks.get(pronk_sampler::recording::StackId(id as u32));
        stacks.push(below, frame);
    }
    let mut contexts = pronk_sampler::recording::ContextTable::default();
    so_far.contexts.all().iter().for_each(|context| _ = contexts.id(context.clone()));
    pronk_sampler::recording::Recording {
        started: so_far.started,
        ended: pronk_sampler::recording::MonotonicNs(so_far.ended.0 + 60_000_000_000),
        started_at: so_far.started_at,
        event: so_far.event,
        frequency: so_far.frequency,
        processes: so_far.processes.clone(),
        threads: so_far.threads.clone(),
        mappings: so_far.mappings.clone(),
        codes: so_far.codes.clone(),
        stacks,
        contexts,
        samples: Vec::new(),
        losses: so_far.losses.clone(),
        notes: Vec::new(),
        exit: None,
        session: so_far.session.clone(),
        counts: so_far.counts.clone(),
    }
}
