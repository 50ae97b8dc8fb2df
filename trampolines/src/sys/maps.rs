//! The process's own mappings, as `/proc/self/maps` has them (proc_pid_maps(5)).

use super::{Refused, refused};

/// How much is read at a time, in bytes. A line is shorter: a path has at most 4096 bytes.
const CHUNK: usize = 8192;

/// Hands over the lines of all executable mappings, as many whole lines at a time as there are at hand.
pub fn each_executable_mapping(mut hand_over: impl FnMut(&[u8])) {
    let _ = read_maps(|mut lines| {
        while let Some(end) = lines.iter().position(|byte| *byte == b'\n') {
            let Some((line, rest)) = lines.split_at_checked(end.wrapping_add(1)) else { break };
            let mut fields = line.split(|byte| *byte == b' ');
            if fields.nth(1).and_then(|permissions| permissions.get(2)) == Some(&b'x') {
                hand_over(line);
            }
            lines = rest;
        }
    });
}

/// The region that holds an address: its first address, and the one behind its last. Can be called in a signal handler.
pub fn region_of(address: usize) -> Option<(usize, usize)> {
    let mut found = None;
    let _ = read_maps(|lines| {
        let mut ranges = lines.split(|byte| *byte == b'\n').filter_map(range_of);
        found = found.or_else(|| ranges.find(|(low, high)| (*low..*high).contains(&address)));
    });
    found
}

/// The addresses with which a line begins.
fn range_of(line: &[u8]) -> Option<(usize, usize)> {
    let mut numbers = line.split(|byte| *byte == b' ').next()?.split(|byte| *byte == b'-').map(|digits| {
        digits.iter().try_fold(0_usize, |number, digit| {
            let digit = char::from(*digit).to_digit(16)?;
            Some(number << 4 | digit as usize)
        })
    });
    Some((numbers.next()??, numbers.next()??))
}

/// Reads the whole file, and hands over whole lines.
fn read_maps(mut hand_over: impl FnMut(&[u8])) -> Result<(), Refused> {
    // SAFETY: the path is zero-terminated.
    let file = unsafe { libc::open(c"/proc/self/maps".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    if file < 0 {
        return Err(refused("open"));
    }
    let mut buffer = [0; CHUNK];
    let mut filled = 0_usize;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        // SAFETY: the pointer and the length are those of a slice.
        let got = unsafe { libc::read(file, rest.as_mut_ptr().cast(), rest.len()) };
        let Ok(got) = usize::try_from(got) else { break };
        if got == 0 {
            break;
        }
        filled = filled.saturating_add(got);
        let lines = buffer.get(..filled).unwrap_or_default();
        let whole = lines.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end.saturating_add(1));
        hand_over(lines.get(..whole).unwrap_or_default());
        // SAFETY: what is left begins within the buffer, and is no longer than the rest of it.
        unsafe { core::ptr::copy(buffer.as_ptr().add(whole), buffer.as_mut_ptr(), filled.saturating_sub(whole)) };
        filled = filled.saturating_sub(whole);
    }
    // SAFETY: the descriptor is ours.
    unsafe { libc::close(file) };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    #[test]
    fn the_region_of_a_variable_holds_it() {
        let variable = 1_u8;
        let address = (&raw const variable).addr();
        let (low, high) = region_of(address).unwrap();
        assert!((low..high).contains(&address));
        assert_eq!(
            (range_of(b"7f00-7f10 r-xp 0"), range_of(b"x-1 r"), range_of(b"")),
            (Some((0x7f00, 0x7f10)), None, None)
        );
        assert_eq!(region_of(1), None);
    }

    #[test]
    fn the_code_of_this_process_is_among_the_mappings() {
        let mut lines = Vec::new();
        each_executable_mapping(|line| lines.push(String::from_utf8(line.to_vec()).unwrap()));
        assert!(lines.iter().all(|line| line.ends_with('\n') && line.contains("x")), "{lines:?}");
        let here = the_code_of_this_process_is_among_the_mappings as *const () as usize;
        let holds = |line: &String| {
            let (start, rest) = line.split_once('-').unwrap();
            let end = rest.split(' ').next().unwrap();
            let number = |text| usize::from_str_radix(text, 16).unwrap();
            (number(start)..number(end)).contains(&here)
        };
        assert_eq!(lines.iter().filter(|line| holds(line)).count(), 1);
    }
}
