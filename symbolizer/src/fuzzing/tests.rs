//! Seeds, which `PRONK_BLESS=1` writes into the corpus, and the whole corpus read once.

use crate::testing::{RegistryBytes, counts_bytes, profile, run};
use pronk_bench::corpus::{keep, replay};
use pronk_trampolines::wire::{LaneHead, Status, Token, lane_at};

#[test]
fn registries() {
    let registry = RegistryBytes::new(Token(0xdead_beef), 7, Status::Running, 100)
        .message("words")
        .function(0x1000, "shop", "Basket.total", "/srv/shop.py", 12)
        .function(0x1040, "", "main", "", 0);
    keep("registry", "functions", &registry.0);
    let understood = replay("registry", super::registry);
    assert!(understood >= 2, "{understood}");
}

#[test]
fn counts() {
    let token = Token(0xdead_beef);
    let registry = RegistryBytes::new(token, 7, Status::Running, 100).counted("f", 1, false).counted("g", 2, true);
    let size = u16::try_from(registry.0.len()).unwrap().to_le_bytes();
    for (name, parent) in [("process", None), ("child", Some((token, 1)))] {
        let counts = counts_bytes(token, parent, &[&[0, 10, u64::MAX]]);
        // A second lane would be megabytes behind.
        keep(
            "counts",
            name,
            &[&size[..], &registry.0, &counts[..lane_at(0) as usize + size_of::<LaneHead>() + 16]].concat(),
        );
    }
    let understood = replay("counts", super::counts);
    assert!(understood >= 4, "{understood}");
}

#[test]
fn line_tables() {
    // From the documents of the formats that symbolizer/src/lines names: lines go on and back, near and far, or there is none.
    keep("lines", "lnotab", &[1, 10, 2, 1, 4, 0xff, 0xff, 0, 0, 0x7f, 6, 2]);
    keep("lines", "pep626", &[2, 10, 2, 1, 4, 0x80, 0xfe, 0, 0, 0x7f, 6, 0xff]);
    keep(
        "lines",
        "pep657",
        &[3, 10, 0x80, 0x11, 0xd9, 1, 2, 3, 0xe9, 0x43, 1, 0xf3, 0x48, 0x01, 0, 4, 4, 0xf9, 0xdc, 5, 6],
    );
    let understood = replay("lines", super::lines);
    assert!(understood >= 30, "{understood}");
}

#[test]
fn names() {
    for (name, symbol) in [
        ("cpp", "_ZN3geo5twiceIiEET_S1_.constprop.0"),
        ("cpp_operators", "_ZNK1aplIiEEDTcl1fspcvT_ELi1EEERKSt6vectorIS1_SaIS1_EE"),
        ("rust", "_RNvNtCs1234_7mycrate3foo3bar"),
        ("rust_legacy", "_ZN4core3fmt5Write9write_str17h0123456789abcdefE"),
        ("rust_const", "_RIC1aKan0123_Kc1f_Ru3foo4_123E"),
    ] {
        keep("name", name, symbol.as_bytes());
    }
    let understood = replay("name", super::name);
    assert!(understood >= 3, "{understood}");
}

#[test]
fn profiles() {
    keep("profile", "contents", &postcard::to_stdvec(&profile()).unwrap());
    let understood = replay("profile", super::profile);
    assert!(understood >= 100, "{understood}");
}

const SOURCE: &str = "\
static inline __attribute__((always_inline)) int inner(int *at) { return at[0] + 1; }
static __attribute__((noinline)) int hidden(int *at) { return inner(at) * 3; }
int caller(int *at) { return hidden(at) + inner(at + 1) + 7; }
";

#[test]
fn elf_files() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a.c"), SOURCE).unwrap();
    for (name, options) in [
        ("dwarf5", &["-gdwarf-5"][..]),
        ("dwarf4", &["-gdwarf-4", "-gz"]),
        ("symbols", &["-Wl,--build-id"]),
        ("stripped", &["-s"]),
    ] {
        let common =
            ["-shared", "-fPIC", "-O2", "-nostdlib", "-Wl,-z,noseparate-code,-z,max-page-size=4096", "-o", name];
        run("gcc", &[&common, options, &["a.c"]].concat(), directory.path());
        let bytes = std::fs::read(directory.path().join(name)).unwrap();
        assert!(super::elf(&bytes) > 3, "{name}: {}", super::elf(&bytes));
        keep("elf", name, &bytes);
    }
    let understood = replay("elf", super::elf);
    assert!(understood >= 12, "{understood}");
}
