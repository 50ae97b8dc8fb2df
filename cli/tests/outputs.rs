//! Where `pronk record` writes, what becomes of files that are there, and what happens when the disk is full.

mod common;

use common::{Place, run, text};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use pronk_symbolizer::file;
use std::io::Write;
use std::path::{Path, PathBuf};

fn record(place: &Place, output: &str) -> String {
    let output = run(&mut place.pronk(["record", "-o", output, "--", "/bin/sh", "-c", "exit 3"]));
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    text(&output.stderr)
}

#[test]
fn the_extension_says_what_is_written() {
    let Some(place) = Place::for_recording() else { return };
    record(&place, "a.svg");
    assert!(std::fs::read_to_string(place.file("a.svg")).unwrap().contains("<svg"));
    record(&place, "b.folded");
    let folded = std::fs::read_to_string(place.file("b.folded")).unwrap();
    assert!(folded.lines().all(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().is_ok()), "{folded}");
    assert_eq!(place.names(), ["a.svg", "b.folded"]);
    record(&place, "c.pronk");
    assert_eq!(place.names(), ["a.svg", "b.folded", "c.pronk", "c.svg"]);
    let profile = file::read(&std::fs::read(place.file("c.pronk")).unwrap()).unwrap();
    assert_eq!(profile.meta.command, ["/bin/sh", "-c", "exit 3"]);
    assert_eq!(profile.meta.exit, "exit code 3");
    assert_eq!(profile.meta.frequency, 999);
}

#[test]
fn the_default_is_a_profile_and_a_flamegraph_and_the_ones_before_are_kept() {
    let Some(place) = Place::for_recording() else { return };
    let again = || text(&run(&mut place.record(&["/bin/true"])).stderr);
    let said = again();
    assert!(said.contains("pronk: profile     profile.pronk\n"), "{said}");
    assert!(said.contains("pronk: flamegraph  profile.svg"), "{said}");
    assert_eq!(place.names(), ["profile.pronk", "profile.svg"]);
    let first = std::fs::read(place.file("profile.pronk")).unwrap();
    let said = again();
    assert!(said.contains("(the one before is profile.old.pronk)"), "{said}");
    assert_eq!(place.names(), ["profile.old.pronk", "profile.old.svg", "profile.pronk", "profile.svg"]);
    assert!(std::fs::read(place.file("profile.old.pronk")).unwrap() == first);
    again();
    assert_eq!(place.names().len(), 4);
}

#[test]
fn a_file_that_is_named_is_replaced_and_one_beside_it_kept() {
    let Some(place) = Place::for_recording() else { return };
    for name in ["a.pronk", "a.svg"] {
        std::fs::write(place.file(name), "before").unwrap();
    }
    record(&place, "a.pronk");
    assert_eq!(place.names(), ["a.old.svg", "a.pronk", "a.svg"]);
    assert_eq!(std::fs::read_to_string(place.file("a.old.svg")).unwrap(), "before");
}

/// A file system that is full, for as long as this lives.
struct FullDisk(PathBuf);

impl FullDisk {
    /// Mounts it. `None` where that is not permitted.
    fn mount(at: &Path) -> Option<FullDisk> {
        std::fs::create_dir(at).unwrap();
        if let Err(error) = mount(Some("tmpfs"), at, Some("tmpfs"), MsFlags::empty(), Some("size=64k")) {
            eprintln!("SKIPPED: a full disk needs a tmpfs, and mounting one needs root: {error}");
            return None;
        }
        let disk = FullDisk(at.to_owned());
        let mut filler = std::fs::File::create(at.join("filler")).unwrap();
        while filler.write_all(&[0; 512]).is_ok() {}
        Some(disk)
    }
}

impl Drop for FullDisk {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

#[test]
fn a_full_disk_costs_the_place_and_not_the_profile() {
    let Some(place) = Place::for_recording() else { return };
    let Some(_disk) = FullDisk::mount(&place.file("full")) else { return };
    let spare = place.file("spare");
    std::fs::create_dir(&spare).unwrap();
    let mut command = place.pronk(["record", "-o", "full/a.pronk", "--", "/bin/sh", "-c", "exit 3"]);
    let output = run(command.env("TMPDIR", &spare));
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("No space left on device") && said.contains("cannot write full/a.pronk"), "{said}");
    let saved = |extension: &str| {
        let mut files = std::fs::read_dir(&spare).unwrap().map(|entry| entry.unwrap().path());
        files.find(|file| file.extension().is_some_and(|found| found == extension)).expect("it is saved elsewhere")
    };
    let profile = saved("pronk");
    assert!(said.contains(profile.to_str().unwrap()), "{said}");
    assert_eq!(file::read(&std::fs::read(profile).unwrap()).unwrap().meta.exit, "exit code 3");
    assert!(std::fs::read_to_string(saved("svg")).unwrap().contains("<svg"));
    let left: Vec<_> = std::fs::read_dir(place.file("full")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["filler"], "nothing half-written stays");
}

#[test]
fn a_full_disk_is_an_error_for_a_flamegraph() {
    let place = Place::new();
    let Some(_disk) = FullDisk::mount(&place.file("full")) else { return };
    place.profile(&common::example());
    let output = run(&mut place.pronk(["flamegraph", "test.pronk", "-o", "full/a.svg"]));
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("cannot write full/a.svg: No space left on device"),
        "{}",
        text(&output.stderr)
    );
}
