//! What contexts cost: `cargo bench -p pronk-trampolines --bench contexts`.
//!
//! The figures that are kept are in `bench/runs`.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use pronk_trampolines::context::stack::{self, Context, Key, Scope};
use std::hint::black_box;
use std::sync::Arc;

/// How many labels a context has.
const SIZES: [usize; 3] = [0, 10, 10_000];

fn keys(count: usize) -> Vec<Key> {
    (0..count).map(|index| Key::named(format!("key {index}"))).collect()
}

fn scope_of(keys: &[Key]) -> Scope {
    keys.iter().fold(Scope::new(), |scope, key| scope.with(key, "value"))
}

fn snapshots(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("snapshot");
    for size in SIZES {
        let _switch = stack::switch(Context::new().for_task("task").pushed(scope_of(&keys(size))));
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| bencher.iter(stack::snapshot));
    }
}

fn switches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("switch");
    for size in SIZES {
        // There and back, and the clone of the context that is switched to.
        let context = Context::new().for_task("task").pushed(scope_of(&keys(size)));
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter(|| drop(black_box(stack::switch(black_box(&context).clone()))));
        });
    }
}

fn reads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read");
    for size in [1, 10_000] {
        let keys = keys(size);
        let key = &keys[size / 2];
        let _scope = stack::push(scope_of(&keys));
        group.bench_function(BenchmarkId::new("cached", size), |bencher| {
            bencher.iter(|| black_box(key).with(|value| value.map(str::len)));
        });
        group.bench_function(BenchmarkId::new("cached, with a handle of the value", size), |bencher| {
            bencher.iter(|| black_box(key).get());
        });
        let context = stack::snapshot();
        let nothing = stack::switch(Context::new());
        group.bench_function(BenchmarkId::new("not cached, with the switch that makes it so", size), |bencher| {
            bencher.iter(|| {
                let _switch = stack::switch(black_box(&context).clone());
                black_box(key).with(|value| value.map(str::len))
            });
        });
        drop(nothing);
        group.bench_function(BenchmarkId::new("searched for", size), |bencher| {
            bencher.iter(|| context.get(black_box(key)).map(|value| value.len()));
        });
        let deep = (0..10).fold(context, |context, _| context.pushed(Scope::new().with(&Key::new("other"), "value")));
        group.bench_function(BenchmarkId::new("searched for below ten scopes", size), |bencher| {
            bencher.iter(|| deep.get(black_box(key)).map(|value| value.len()));
        });
    }
}

fn sets(criterion: &mut Criterion) {
    let value: Arc<str> = "another value".into();
    let mut group = criterion.benchmark_group("set");
    for size in [1, 10, 10_000] {
        let keys = keys(size);
        let _scope = stack::push(scope_of(&keys));
        let key = &keys[size / 2];
        group.bench_function(BenchmarkId::new("in place", size), |bencher| {
            bencher.iter(|| key.set(value.clone()));
        });
        // With the snapshot, and what goes with it in the end: the branches that were copied.
        group.bench_function(BenchmarkId::new("after a snapshot", size), |bencher| {
            bencher.iter(|| {
                let snapshot = stack::snapshot();
                key.set(value.clone());
                drop(snapshot);
            });
        });
    }
}

fn pushes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("push and pop");
    for size in SIZES {
        let _around = stack::push(scope_of(&keys(10)));
        let scope = scope_of(&keys(size));
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter(|| drop(black_box(stack::push(black_box(&scope).clone()))));
        });
    }
    let key = Key::new("key");
    group.bench_function("made anew, with one label", |bencher| {
        bencher.iter(|| drop(black_box(stack::push(Scope::new().with(black_box(&key), "value")))));
    });
}

criterion_group!(contexts, snapshots, switches, reads, sets, pushes);
criterion_main!(contexts);
