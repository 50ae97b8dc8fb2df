//! Names in ELF files that the tests build with the machine's compilers.

use super::elf::{self, Image};
use super::{Module, Place, debug_files};
use crate::testing::run;
use object::{Object, ObjectSegment, ObjectSymbol};
use pronk_sampler::recording::MappedFile;
use std::fs;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const SOURCE: &str = "\
static inline __attribute__((always_inline)) int inner(volatile int *at) {
    int sum = 0;
    for (int i = 0; i < 10; i++) sum += at[i];
    return sum;
}

int outer(volatile int *at) {
    at[0] = 1;
    return inner(at) + 1;
}

static __attribute__((noinline)) int hidden(volatile int *at) {
    return at[0] * 3 + at[1];
}

int caller(volatile int *at) {
    return hidden(at) + 7;
}
";

/// A directory with a compiled binary.
struct Built {
    directory: TempDir,
    binary: PathBuf,
}

impl Built {
    fn new(file: &str, source: &str, compiler: &str, options: &[&str]) -> Built {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(file), source).unwrap();
        let arguments = [&["-o", "libdemo.so", file], options].concat();
        run(compiler, &arguments, directory.path());
        let binary = directory.path().join("libdemo.so");
        Built { directory, binary }
    }

    fn c(options: &[&str]) -> Built {
        Built::new("demo.c", SOURCE, "gcc", &[&["-shared", "-fPIC", "-O2", "-Wl,--build-id"], options].concat())
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Where a function is in the file. Ask before stripping.
    fn code_of(&self, function: &str) -> Range<u64> {
        let bytes = fs::read(&self.binary).unwrap();
        let elf = object::File::parse(bytes.as_slice()).unwrap();
        let symbol = elf.symbols().find(|symbol| symbol.name() == Ok(function)).unwrap();
        let segment = elf
            .segments()
            .find(|segment| (segment.address()..segment.address() + segment.size()).contains(&symbol.address()));
        let segment = segment.unwrap();
        let start = symbol.address() - segment.address() + segment.file_range().0;
        start..start + symbol.size()
    }

    /// The binary as the kernel would describe it now.
    fn mapped(&self) -> MappedFile {
        let metadata = self.binary.metadata().unwrap();
        let image = elf::read(fs::read(&self.binary).unwrap().as_slice()).unwrap();
        MappedFile {
            path: self.binary.clone(),
            found: Some(self.binary.clone()),
            device: metadata.dev(),
            inode: metadata.ino(),
            build_id: image.build_id,
        }
    }

    fn module(&self) -> Module {
        Module::open(&self.mapped(), &self.path().join("root"))
    }

    /// Moves the debug information into `demo.debug`, and links to it.
    fn split(&self) {
        run("objcopy", &["--only-keep-debug", "libdemo.so", "demo.debug"], self.path());
        run("strip", &["--strip-all", "libdemo.so"], self.path());
        run("objcopy", &["--add-gnu-debuglink=demo.debug", "libdemo.so"], self.path());
    }
}

fn names(places: &[Place]) -> Vec<&str> {
    places.iter().map(|place| place.name.as_str()).collect()
}

fn name_at(module: &mut Module, offset: u64) -> String {
    module.places(offset).last().unwrap().name.clone()
}

#[test]
fn inlined_functions_have_names_files_and_lines() {
    for options in [&["-g"][..], &["-gdwarf-4"], &["-gdwarf-5", "-gz"]] {
        let built = Built::c(options);
        let mut module = built.module();
        let all: Vec<_> = built.code_of("outer").map(|offset| module.places(offset)).collect();
        for places in &all {
            let outer = places.last().unwrap();
            assert_eq!((outer.name.as_str(), outer.first_line, outer.named), ("outer", Some(7), true));
            let path = built.path().canonicalize().unwrap().join("demo.c");
            assert_eq!(outer.file.as_deref().map(Path::new), Some(path.as_path()));
        }
        let inlined = all.iter().find(|places| names(places) == ["inner", "outer"] && places[0].line == Some(3));
        let inlined = inlined.unwrap_or_else(|| panic!("{options:?}: the loop of `inner` is nowhere"));
        assert_eq!((inlined[0].first_line, inlined[1].line), (Some(1), Some(9)));
        assert!(all.iter().any(|places| names(places) == ["outer"] && places[0].line == Some(8)));
    }
}

#[test]
fn symbols_name_functions_without_debug_information() {
    let built = Built::c(&["-g0"]);
    let mut module = built.module();
    let outer = built.code_of("outer");
    assert_eq!(name_at(&mut module, outer.start), "outer");
    assert_eq!(name_at(&mut module, outer.end - 1), "outer");
    let hidden = built.code_of("hidden").start;
    assert_eq!(name_at(&mut module, hidden), "hidden");
    assert!(module.defines("caller") && !module.defines("inner"));
}

#[test]
fn the_debug_file_is_found_by_its_link() {
    let places = |built: &Built, offset| built.module().places(offset).last().unwrap().clone();
    for directory in [".", ".debug", "under root"] {
        let built = Built::c(&["-g", "-Wl,--build-id=none"]);
        let hidden = built.code_of("hidden").start;
        built.split();
        let under_root = built.path().join("root").join(built.path().strip_prefix("/").unwrap());
        let to = if directory == "under root" { under_root } else { built.path().join(directory) };
        fs::create_dir_all(&to).unwrap();
        fs::rename(built.path().join("demo.debug"), to.join("demo.debug")).unwrap();
        let place = places(&built, hidden);
        assert_eq!((place.name.as_str(), place.first_line), ("hidden", Some(12)), "{directory}");
    }
}

#[test]
fn a_debug_file_of_another_build_is_not_used() {
    let built = Built::c(&["-g", "-Wl,--build-id=none"]);
    let hidden = built.code_of("hidden");
    built.split();
    let mut debug = fs::read(built.path().join("demo.debug")).unwrap();
    *debug.last_mut().unwrap() ^= 1;
    fs::write(built.path().join("demo.debug"), debug).unwrap();
    assert!(name_at(&mut built.module(), hidden.start).starts_with("libdemo.so+0x"));
}

#[test]
fn the_debug_file_is_found_by_build_id() {
    let built = Built::c(&["-g"]);
    let hidden = built.code_of("hidden").start;
    built.split();
    let id: String = built.mapped().build_id.unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
    let directory = built.path().join("root/.build-id").join(&id[..2]);
    fs::create_dir_all(&directory).unwrap();
    fs::rename(built.path().join("demo.debug"), directory.join(format!("{}.debug", &id[2..]))).unwrap();
    let place = built.module().places(hidden).last().unwrap().clone();
    assert_eq!((place.name.as_str(), place.first_line), ("hidden", Some(12)));
}

#[test]
fn a_function_without_a_name_is_one_function() {
    let built = Built::c(&["-g0"]);
    let (hidden, caller) = (built.code_of("hidden"), built.code_of("caller"));
    run("strip", &["--strip-all", "libdemo.so"], built.path());
    let mut module = built.module();
    let name = name_at(&mut module, hidden.start);
    assert!(name.starts_with("libdemo.so+0x"), "{name}");
    assert_eq!(name_at(&mut module, hidden.end - 1), name);
    assert!(!module.places(hidden.start)[0].named);
    // The dynamic symbols stay in a stripped library.
    assert_eq!(name_at(&mut module, caller.start), "caller");
}

#[test]
fn cpp_names_are_those_of_the_source() {
    let source = "namespace geo { struct Point { int x; int move(int by, double) const; }; \
        int Point::move(int by, double) const { return x + by; } \
        template <typename T> __attribute__((noinline)) T twice(T value) { return value * 2; } \
        template int twice<int>(int); }";
    for debug in ["-g0", "-g"] {
        let built = Built::new("demo.cc", source, "g++", &["-shared", "-fPIC", "-O2", debug]);
        let mut module = built.module();
        let offset = built.code_of("_ZNK3geo5Point4moveEid").start;
        assert_eq!(name_at(&mut module, offset), "geo::Point::move(int, double) const");
        let offset = built.code_of("_ZN3geo5twiceIiEET_S1_").start;
        assert_eq!(name_at(&mut module, offset), "int geo::twice<int>(int)");
    }
}

#[test]
fn rust_names_are_those_of_the_source() {
    let source = "pub mod shapes { #[inline(never)] pub fn area(side: &u32) -> u32 { side.wrapping_mul(*side) } }\n\
        #[unsafe(no_mangle)] pub extern \"C\" fn entry(side: &u32) -> u32 { shapes::area(side) + 1 }";
    for mangling in ["legacy", "v0"] {
        let version = format!("-Csymbol-mangling-version={mangling}");
        let options = ["--crate-type=cdylib", "--edition=2024", "-O", "-g", &version, "-Zunstable-options"];
        // Old compilers have the option only as an unstable one, new ones refuse `legacy` without it.
        let options = if mangling == "legacy" { &options[..4] } else { &options[..5] };
        let built = Built::new("demo.rs", source, "rustc", options);
        let bytes = fs::read(&built.binary).unwrap();
        let elf = object::File::parse(bytes.as_slice()).unwrap();
        let area = elf.symbols().find_map(|symbol| {
            let name = symbol.name().ok()?;
            (name.contains("shapes") && name.contains("area")).then(|| name.to_owned())
        });
        let offset = built.code_of(&area.unwrap()).start;
        let name = name_at(&mut built.module(), offset);
        assert!(name.ends_with("::shapes::area"), "{name}");
    }
}

#[test]
fn a_file_that_was_replaced_or_deleted_has_no_names() {
    let built = Built::c(&["-g"]);
    let outer = built.code_of("outer").start;
    let mapped = built.mapped();
    let expected = format!("libdemo.so+{outer:#x}");
    let name = |mapped: &MappedFile| name_at(&mut Module::open(mapped, Path::new("/nonexistent")), outer);
    assert_eq!(name(&mapped), "outer");

    let other_inode = MappedFile { inode: mapped.inode + 1, ..mapped.clone() };
    assert_eq!(name(&other_inode), expected);
    let other_device = MappedFile { device: mapped.device + 1, ..mapped.clone() };
    assert_eq!(name(&other_device), expected);
    let other_build = MappedFile { build_id: Some(vec![1; 20]), ..mapped.clone() };
    assert_eq!(name(&other_build), expected);
    let nothing_known = MappedFile { inode: 0, device: 0, build_id: None, ..mapped.clone() };
    assert_eq!(name(&nothing_known), "outer");
    let out_of_reach = MappedFile { found: None, ..mapped.clone() };
    assert_eq!(name(&out_of_reach), expected);

    // Written over in place: the inode is the same, the build id is not.
    fs::write(built.path().join("other.c"), SOURCE.replace("outer", "strange")).unwrap();
    run("gcc", &["-shared", "-fPIC", "-Wl,--build-id", "-o", "other.so", "other.c"], built.path());
    fs::copy(built.path().join("other.so"), &built.binary).unwrap();
    assert_eq!(name(&mapped), expected);
    fs::remove_file(&built.binary).unwrap();
    assert_eq!(name(&mapped), expected);
    fs::create_dir(&built.binary).unwrap();
    assert_eq!(name(&mapped), expected);

    let deleted = MappedFile { path: "/tmp/gone.so (deleted)".into(), found: None, ..mapped };
    assert_eq!(Module::open(&deleted, Path::new("/nonexistent")).name, "gone.so");
}

/// A function in which others are inlined, whose DWARF is written as assembly (DWARF 5, sections 7.5 and 7.5.3; version 4): what
/// their abbreviation has behind its tag, their entries, and other sections.
fn described(abbreviation: &str, entries: &str, more: &str) -> Built {
    let source = format!(
        ".text; .globl function; .type function, @function; function: nop; nop; nop; nop; ret; .size function, .-function\n\
        .section .debug_abbrev\n\
        .uleb128 1; .uleb128 0x11; .byte 1; .uleb128 0x11; .uleb128 1; .uleb128 0x12; .uleb128 6; .byte 0, 0\n\
        .uleb128 2; .uleb128 0x2e; .byte 1; .uleb128 0x11; .uleb128 1; .uleb128 0x12; .uleb128 6; .uleb128 3; \
        .uleb128 8; .byte 0, 0\n\
        .uleb128 3; .uleb128 0x1d; {abbreviation}; .byte 0, 0, 0\n{more}\n\
        .section .debug_info\n.long end - begin; begin: .short 4; .long 0; .byte 8\n\
        .uleb128 1; .quad function; .long 5\n.uleb128 2; .quad function; .long 5; .asciz \"function\"\n\
        {entries}\n.byte 0, 0\nend:\n"
    );
    Built::new("demo.s", &source, "gcc", &["-shared", "-nostdlib"])
}

#[test]
fn functions_that_are_inlined_in_each_other_without_an_end_cost_names_only() {
    let functions_at_once = |depth: usize| {
        let abbreviation = ".byte 1; .uleb128 0x11; .uleb128 1; .uleb128 0x12; .uleb128 6";
        let entries = [".uleb128 3; .quad function; .long 4;".repeat(depth), format!(".zero {depth}")].concat();
        let built = described(abbreviation, &entries, "");
        built.module().places(built.code_of("function").start).len()
    };
    assert_eq!([10, 900, 300_000].map(functions_at_once), [11, 901, 1]);
}

#[test]
fn a_list_of_ranges_that_all_functions_have_does_not_fill_the_memory() {
    let functions_at_once = |count: usize| {
        let abbreviation = ".byte 0; .uleb128 0x55; .uleb128 0x17";
        let ranges = [".section .debug_ranges; ", &".quad 0, 5;".repeat(count), ".quad 0, 0"].concat();
        let built = described(abbreviation, &".uleb128 3; .long 0;".repeat(count), &ranges);
        built.module().places(built.code_of("function").start).len()
    };
    // The last would be 10 GiB.
    assert_eq!([3, 20_000].map(functions_at_once), [2, 1]);
}

#[test]
fn shared_debug_information_is_found_by_path_and_build_id() {
    let built = Built::c(&["-g"]);
    let build_id = built.mapped().build_id.unwrap();
    let root = built.path().join("root");
    let link = |path: &str, build_id: &[u8]| {
        fs::write(built.path().join("link"), [path.as_bytes(), &[0], build_id].concat()).unwrap();
        fs::copy(&built.binary, built.path().join("user.so")).unwrap();
        run("objcopy", &["--add-section", ".gnu_debugaltlink=link", "user.so"], built.path());
        let image = elf::read(fs::read(built.path().join("user.so")).unwrap().as_slice()).unwrap();
        debug_files::shared(&root, &image, &built.path().join("user.so")).map(|shared| shared.path)
    };
    assert_eq!(link("./libdemo.so", &build_id), Some(built.path().join("./libdemo.so")));
    assert_eq!(link(built.binary.to_str().unwrap(), &build_id), Some(built.binary.clone()));
    assert_eq!(link("libdemo.so", &[7; 20]), None);
    assert_eq!(link("nowhere", &build_id), None);
    let hex: String = build_id.iter().map(|byte| format!("{byte:02x}")).collect();
    let debug = root.join(".build-id").join(&hex[..2]).join(format!("{}.debug", &hex[2..]));
    fs::create_dir_all(debug.parent().unwrap()).unwrap();
    fs::copy(&built.binary, &debug).unwrap();
    assert_eq!(link("nowhere", &build_id), Some(debug));
}

#[test]
fn this_test_finds_itself() {
    let address = this_test_finds_itself as *const () as u64;
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let numbers = |text: &str| u64::from_str_radix(text, 16).unwrap();
    let mapping = maps.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (start, end) = words[0].split_once('-')?;
        (numbers(start)..numbers(end))
            .contains(&address)
            .then(|| (numbers(start), numbers(words[2]), words[5].to_owned()))
    });
    let (start, file_offset, path) = mapping.unwrap();
    let metadata = fs::metadata(&path).unwrap();
    let mapped = MappedFile {
        path: path.clone().into(),
        found: Some(path.into()),
        device: metadata.dev(),
        inode: metadata.ino(),
        build_id: None,
    };
    let places = Module::open(&mapped, Path::new("/nonexistent")).places(address - start + file_offset);
    let place = places.last().unwrap();
    assert!(place.name.ends_with("native::tests::this_test_finds_itself"), "{place:?}");
    assert!(place.file.as_ref().unwrap().ends_with("native/tests.rs"), "{place:?}");
}

#[test]
fn the_vdso_has_names() {
    let module = Module::vdso();
    let function = if cfg!(target_arch = "x86_64") { "__vdso_clock_gettime" } else { "__kernel_clock_gettime" };
    assert!(module.defines(function));
    assert_eq!(module.name, "[vdso]");
}

/// Looks at everything that reading an image can give.
fn look_at(bytes: &[u8], binary: &Path, offsets: &[u64]) -> Option<Image> {
    fs::write(binary, bytes).unwrap();
    let mapped =
        MappedFile { path: binary.to_owned(), found: Some(binary.to_owned()), device: 0, inode: 0, build_id: None };
    let mut module = Module::open(&mapped, Path::new("/nonexistent"));
    for &offset in offsets {
        assert!(!module.places(offset).is_empty());
    }
    elf::read(bytes)
}

#[test]
fn damaged_files_cost_names_only() {
    let built = Built::c(&["-g", "-nostdlib"]);
    let bytes = fs::read(&built.binary).unwrap();
    let offsets: Vec<u64> = ["outer", "caller"].iter().map(|name| built.code_of(name).start + 4).collect();
    let victim = built.path().join("victim.so");
    assert!(look_at(&bytes, &victim, &offsets).is_some());
    for length in (0..bytes.len()).step_by(37) {
        look_at(&bytes[..length], &victim, &offsets);
    }
    // Every byte is changed once, sixteen distant ones at a time, to several values.
    let stride = bytes.len().div_ceil(16);
    for value in [0x00u8, 0x7f, 0xff] {
        for at in (0..stride).step_by(3) {
            let mut damaged = bytes.clone();
            for byte in damaged.iter_mut().skip(at).step_by(stride) {
                *byte = if *byte == value { value ^ 0x55 } else { value };
            }
            look_at(&damaged, &victim, &offsets);
            let mut damaged = bytes.clone();
            damaged[at] ^= value | 1;
            look_at(&damaged, &victim, &offsets);
        }
    }
}
