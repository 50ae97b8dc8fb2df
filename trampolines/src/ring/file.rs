//! Makes a ring: a file in the session's directory for rings, mapped for good.

use super::RingWriter;
use crate::sys::{self, File, PathText, Refused, Text};
use crate::wire::{RING_DATA, RING_EXTENSION, RING_MAGIC, RING_VERSION, RingHeader, RingLine, Token};
use core::ffi::CStr;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering, fence};

/// What a new ring says about its process, beside what the system knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    /// See [`RingHeader::python_hexversion`].
    pub(crate) python_hexversion: u32,
    /// See [`RingHeader::evaluator`].
    pub(crate) evaluator: u64,
    /// See [`RingHeader::forked_from`].
    pub(crate) forked_from: u64,
}

/// Makes the ring of this process. A forked child does not have it.
///
/// # Errors
/// When the file cannot be made, filled or mapped.
pub(crate) fn create(directory: &CStr, capacity: u64, identity: &Identity) -> Result<(RingWriter, Token), Refused> {
    let token = sys::random_token();
    let mut path = PathText::new();
    let whole = path.push(directory.to_bytes())
        && path.push(b"/")
        && path.push(Text::<32>::format(format_args!("{token}.{RING_EXTENSION}")).as_bytes());
    if !whole {
        return Err(Refused { what: "open", errno: libc::ENAMETOOLONG });
    }
    let file = File::create_new(path.as_c())?;
    let size = RING_DATA.saturating_add(capacity as usize);
    let prepare = || {
        // With its blocks reserved, writing through the mapping cannot fail.
        file.reserve(size)?;
        file.map_shared(size)
    };
    let base = prepare().inspect_err(|_| sys::remove(path.as_c()))?;
    sys::keep_from_children(base, size);
    // SAFETY: the file is as large as the mapping, which is aligned to a page, and nobody else writes it.
    unsafe { write_header(base, header(token, capacity, identity)) };
    // SAFETY: the mapping stays for good.
    Ok((unsafe { RingWriter::new(base, capacity) }, token))
}

/// Gives a ring's memory back.
///
/// # Safety
/// It was made by [`create`], and nobody uses it any more.
pub(crate) unsafe fn unmap(ring: RingWriter) {
    let size = RING_DATA.saturating_add(ring.capacity() as usize);
    // SAFETY: the mapping has that size; the rest is the caller's promise.
    unsafe { sys::unmap(ring.base(), size) };
}

fn header(token: Token, capacity: u64, identity: &Identity) -> RingHeader {
    RingHeader {
        magic: RING_MAGIC,
        version: RING_VERSION,
        header_size: RING_DATA as u32,
        token: token.0,
        pid: sys::process_id(),
        parent_pid: sys::parent_process_id(),
        created_ns: sys::monotonic_ns(),
        capacity,
        evaluator: identity.evaluator,
        python_hexversion: identity.python_hexversion,
        reserved: 0,
        forked_from: identity.forked_from,
        name: sys::thread_name(),
        pid_namespace: sys::pid_namespace(),
        head: RingLine(AtomicU64::new(0)),
        tail: RingLine(AtomicU64::new(0)),
        stop: AtomicU64::new(0),
        lost: AtomicU64::new(0),
        retaken: AtomicU64::new(0),
        torn: AtomicU64::new(0),
        unregistered: AtomicU64::new(0),
        other_driver: AtomicU64::new(0),
        unsampled_threads: AtomicU64::new(0),
        held_back: AtomicU64::new(0),
        unrecorded_scopes: AtomicU64::new(0),
        unsaid_since: AtomicU64::new(0),
        heartbeat: AtomicU64::new(0),
        found_arguments: AtomicU64::new(0),
        read_arguments: AtomicU64::new(0),
        had_span: AtomicU64::new(0),
    }
}

/// Writes the header, its magic number last: who sees that sees all.
///
/// # Safety
/// The memory is mapped, aligned, and nobody else writes it.
unsafe fn write_header(base: NonNull<u8>, header: RingHeader) {
    // SAFETY: as promised by the caller.
    unsafe {
        base.cast::<RingHeader>().write(RingHeader { magic: [0; 8], ..header });
        fence(Ordering::Release);
        base.cast::<[u8; 8]>().as_ptr().write_volatile(RING_MAGIC);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;
    use std::format;

    #[test]
    fn a_new_ring_says_whose_it_is_and_its_file_is_as_large_as_it_will_ever_be() {
        let directory = tempfile::tempdir().unwrap();
        let path = CString::new(directory.path().to_str().unwrap()).unwrap();
        let identity = Identity { python_hexversion: 0x030d_00f0, evaluator: 0x1234, forked_from: 7 };
        let (writer, token) = create(&path, 4096, &identity).unwrap();
        let header = writer.header();
        assert_eq!((header.magic, header.token, header.capacity), (RING_MAGIC, token.0, 4096));
        assert_eq!((header.pid, header.forked_from), (std::process::id(), 7));
        let namespace = std::fs::metadata("/proc/self/ns/pid").unwrap();
        assert_eq!(header.pid_namespace, std::os::unix::fs::MetadataExt::ino(&namespace));
        let file = std::fs::metadata(directory.path().join(format!("{token}.ring"))).unwrap();
        assert_eq!(file.len(), RING_DATA as u64 + 4096);
        let missing = CString::new("/nonexistent").unwrap();
        assert_eq!(create(&missing, 4096, &identity).unwrap_err().errno, libc::ENOENT);
    }
}
