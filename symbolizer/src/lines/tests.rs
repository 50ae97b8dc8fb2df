//! Line tables of the real interpreters, and tables that no interpreter writes.

use super::*;
use pronk_bench::interpreter::interpreters_for_tests;
use std::process::Command;

/// Prints, for each code object of some modules, its first line, its line table, and for each instruction its line, or `-`.
const PROGRAM: &str = r#"
import dis, importlib.util, sys, types
MODULES = "_pydecimal argparse ast asyncio.base_events dataclasses datetime difflib enum inspect json.decoder tarfile " \
    "typing unittest.mock"

def codes(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes(constant)

def lines(code):
    if hasattr(code, "co_lines"):
        ranges = [(start, end, line) for start, end, line in code.co_lines()]
    else:
        starts = list(dis.findlinestarts(code))
        ends = [start for start, _ in starts[1:]] + [len(code.co_code)]
        ranges = [(start, end, line) for (start, line), end in zip(starts, ends)]
    for start, end, line in ranges:
        for _ in range(start, end, 2):
            yield "-" if line is None else str(line)

for module in MODULES.split():
    path = importlib.util.find_spec(module).origin
    with open(path, "rb") as file:
        whole = compile(file.read(), path, "exec")
    for code in codes(whole):
        table = code.co_linetable if sys.version_info >= (3, 10) else code.co_lnotab
        print(code.co_firstlineno, table.hex() or "-", len(code.co_code), *lines(code))
"#;

fn code(first_line: u32, line_table_format: LineTableFormat, line_table: Vec<u8>) -> PythonCode {
    let (module, qualname, file) = ("m".to_owned(), "f".to_owned(), "m.py".to_owned());
    PythonCode { module, qualname, file, first_line, line_table_format, line_table }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.trim_matches('-').as_bytes();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[test]
fn every_instruction_is_on_the_line_that_the_interpreter_says() {
    for interpreter in interpreters_for_tests() {
        let output = Command::new(&interpreter.path).args(["-I", "-c", PROGRAM]).output().unwrap();
        assert!(output.status.success(), "{interpreter}: {}", String::from_utf8_lossy(&output.stderr));
        let format = match interpreter.python.minor {
            9 => LineTableFormat::Lnotab,
            10 => LineTableFormat::Pep626,
            _ => LineTableFormat::Pep657,
        };
        let (mut codes, mut without_line) = (0, 0);
        for described in String::from_utf8(output.stdout).unwrap().lines() {
            let mut words = described.split(' ');
            let mut word = || words.next().unwrap();
            let (first_line, table, size) = (word().parse().unwrap(), bytes(word()), word().parse::<u32>().unwrap());
            let code = code(first_line, format, table);
            let expected: Vec<Option<u32>> = words.map(|line| line.parse().ok()).collect();
            let found: Vec<Option<u32>> = (0..size).step_by(2).map(|offset| line(&code, Some(offset))).collect();
            assert!(found == expected, "{interpreter}: {described}\nfound {found:?}");
            codes += 1;
            without_line += found.iter().filter(|line| line.is_none()).count();
        }
        assert!(codes > 1_000, "{interpreter}: {codes} code objects");
        assert_eq!(without_line > 0, interpreter.python.minor > 9, "{interpreter}: {without_line}");
    }
}

#[test]
fn before_its_first_instruction_a_function_is_on_its_first_line() {
    for format in [LineTableFormat::None, LineTableFormat::Lnotab, LineTableFormat::Pep626, LineTableFormat::Pep657] {
        assert_eq!(line(&code(7, format, vec![]), None), Some(7));
    }
}

#[test]
fn what_is_behind_a_table_has_no_line_but_on_3_9() {
    assert_eq!(line(&code(7, LineTableFormat::None, vec![2, 1]), Some(0)), None);
    assert_eq!(line(&code(7, LineTableFormat::Lnotab, vec![2, 1]), Some(u32::MAX - 1)), Some(8));
    assert_eq!(line(&code(7, LineTableFormat::Pep626, vec![2, 1]), Some(2)), None);
    // One unit, no columns, two lines on.
    assert_eq!(line(&code(7, LineTableFormat::Pep657, vec![0xe8, 4]), Some(0)), Some(9));
    assert_eq!(line(&code(7, LineTableFormat::Pep657, vec![0xe8, 4]), Some(2)), None);
}

#[test]
fn lines_below_the_first_of_a_file_are_none() {
    assert_eq!(line(&code(1, LineTableFormat::Lnotab, vec![0, 0x80]), Some(0)), None);
    assert_eq!(line(&code(1, LineTableFormat::Pep626, vec![2, 0x81]), Some(0)), None);
    assert_eq!(line(&code(1, LineTableFormat::Pep657, vec![0xe8, 5]), Some(0)), None);
}

#[test]
fn any_table_can_be_read() {
    // Every table of two bytes, and long ones of every byte: numbers that never end, and lines far away.
    let short = (0..=u16::MAX).map(|pair| pair.to_le_bytes().to_vec());
    let long = (0..=u8::MAX).flat_map(|byte| [vec![byte; 4096], [&[0xe8], &[byte; 4096][..]].concat()]);
    for table in short.chain(long) {
        for format in [LineTableFormat::Lnotab, LineTableFormat::Pep626, LineTableFormat::Pep657] {
            let code = code(u32::MAX, format, table.clone());
            for instruction in [0, 2, 4094, u32::MAX] {
                let _ = line(&code, Some(instruction));
            }
        }
    }
}
