//! The order of tasks: by name, and each behind the one that awaits it.

use crate::target::python::tasks::Task;
use std::collections::HashMap;

/// Puts tasks in order.
pub(super) fn in_order(mut tasks: Vec<Task>) -> Vec<Task> {
    tasks.sort_by(|one, other| key(&one.name).cmp(&key(&other.name)));
    let positions: HashMap<u64, usize> = tasks.iter().map(|task| task.address).zip(0..).collect();
    let mut awaited: HashMap<usize, Vec<usize>> = HashMap::new();
    let mut waiting: Vec<usize> = Vec::new();
    for (position, task) in tasks.iter().enumerate() {
        match task.awaited_by.and_then(|awaiter| positions.get(&awaiter)) {
            Some(awaiter) => awaited.entry(*awaiter).or_default().push(position),
            None => waiting.push(position),
        }
    }
    // Those that await each other in a circle are behind all others.
    waiting.extend(0..tasks.len());
    waiting.reverse();
    let mut places: Vec<Option<Task>> = tasks.into_iter().map(Some).collect();
    let mut ordered = Vec::new();
    while let Some(position) = waiting.pop() {
        if let Some(task) = places[position].take() {
            ordered.push(task);
            waiting.extend(awaited.remove(&position).unwrap_or_default().into_iter().rev());
        }
    }
    ordered
}

/// What a name is compared by: `Task-2` is before `Task-10`.
fn key(name: &str) -> (&str, u64, &str) {
    let words = name.trim_end_matches(|character: char| character.is_ascii_digit());
    (words, name[words.len()..].parse().unwrap_or(u64::MAX), name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(address: u64, name: &str, awaited_by: Option<u64>) -> Task {
        Task { address, name: name.to_owned(), links: vec![], waits_for: None, awaited_by, identifier: None }
    }

    #[test]
    fn tasks_are_behind_what_awaits_them() {
        let tasks = vec![
            task(1, "Task-10", None),
            task(2, "child", Some(5)),
            task(3, "circle b", Some(4)),
            task(4, "circle a", Some(3)),
            task(5, "parent", Some(6)),
            task(6, "Task-9", Some(77)),
            task(7, "child 2", Some(5)),
        ];
        let names: Vec<String> = in_order(tasks).into_iter().map(|task| task.name).collect();
        assert_eq!(names, ["Task-9", "parent", "child", "child 2", "Task-10", "circle a", "circle b"]);
    }
}
