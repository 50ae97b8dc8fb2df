//! The `.pronk` file: a header, then the profile in postcard's encoding, compressed.
//!
//! ```text
//! 0        8         12      16           24        32
//! | MAGIC  | version | crc32 | compressed | content | zlib(postcard(profile))
//! ```
//!
//! `compressed` and `content` are the sizes in bytes of what follows the header, before and after decompression; the
//! crc32 is that of what follows the header. All numbers are little-endian.

use crate::OutOfRange;
use crate::profile::Profile;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use std::io::{self, Read, Write};

/// The first eight bytes of a profile. The first is no letter and the last two are a line end, so that a transfer as
/// text is noticed.
const MAGIC: [u8; 8] = *b"\x89pronk\r\n";

/// The version of the format that this crate writes and reads. It goes up whenever [`Profile`] changes.
pub const VERSION: u32 = 7;

const HEADER_SIZE: usize = 32;

/// Deflate makes nothing smaller than by 1032 to 1 (zlib's technical notes, "Maximum Compression Factor").
const MAX_RATIO: u64 = 1032;

/// Why a file is not a profile that can be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file does not begin as a profile does.
    #[error("it is not a profile of pronk's")]
    NotAProfile,
    /// A newer pronk made it.
    #[error(
        "it was made by a newer pronk: its format has version {found}, and this pronk reads up to version {supported}"
    )]
    Newer {
        /// The version of the file's format.
        found: u32,
        /// [`VERSION`].
        supported: u32,
    },
    /// An older pronk made it.
    #[error(
        "it was made by an older pronk: its format has version {found}, and this pronk reads version {supported}; record \
         it again, or read it with the pronk that made it"
    )]
    Older {
        /// The version of the file's format.
        found: u32,
        /// [`VERSION`].
        supported: u32,
    },
    /// The end is missing.
    #[error("it is truncated: it has {found} bytes of at least {expected}")]
    Truncated {
        /// The size of the file in bytes.
        found: u64,
        /// The size that it should have, as far as that can be told.
        expected: u64,
    },
    /// The contents are not what was written.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// The contents contradict themselves.
    #[error("its contents contradict themselves: {0}")]
    OutOfRange(#[from] OutOfRange),
}

/// Writes a profile.
///
/// # Errors
/// When `to` cannot be written.
pub fn write(profile: &Profile, to: &mut impl Write) -> io::Result<()> {
    write_content(&postcard::to_stdvec(profile).map_err(io::Error::other)?, Compression::default(), to)
}

fn write_content(content: &[u8], compression: Compression, to: &mut impl Write) -> io::Result<()> {
    let mut encoder = ZlibEncoder::new(Vec::new(), compression);
    encoder.write_all(content)?;
    let payload = encoder.finish()?;
    to.write_all(&MAGIC)?;
    to.write_all(&VERSION.to_le_bytes())?;
    to.write_all(&crc32fast::hash(&payload).to_le_bytes())?;
    to.write_all(&(payload.len() as u64).to_le_bytes())?;
    to.write_all(&(content.len() as u64).to_le_bytes())?;
    to.write_all(&payload)
}

/// A file with these contents, whatever they are.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn with_content(content: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    write_content(content, Compression::none(), &mut file).expect("a vector takes everything");
    file
}

/// Reads a profile from the bytes of a file, and validates it.
///
/// # Errors
/// When the bytes are not a whole, undamaged profile of a version that this crate reads.
pub fn read(bytes: &[u8]) -> Result<Profile, FileError> {
    let found = bytes.len() as u64;
    if !bytes.iter().zip(&MAGIC).all(|(a, b)| a == b) {
        return Err(FileError::NotAProfile);
    }
    let Some((header, payload)) = bytes.split_first_chunk::<HEADER_SIZE>() else {
        return Err(FileError::Truncated { found, expected: HEADER_SIZE as u64 });
    };
    match u32_at(header, 8) {
        VERSION => {}
        0 => return Err(FileError::Damaged("its version is 0")),
        found if found < VERSION => return Err(FileError::Older { found, supported: VERSION }),
        found => return Err(FileError::Newer { found, supported: VERSION }),
    }
    let (compressed, content) = (u64_at(header, 16), u64_at(header, 24));
    if (payload.len() as u64) < compressed {
        return Err(FileError::Truncated { found, expected: compressed.saturating_add(HEADER_SIZE as u64) });
    }
    if payload.len() as u64 > compressed {
        return Err(FileError::Damaged("it is longer than its header says"));
    }
    if crc32fast::hash(payload) != u32_at(header, 12) {
        return Err(FileError::Damaged("its checksum is wrong"));
    }
    let profile: Profile = postcard::from_bytes(&decompress(payload, content)?)
        .map_err(|_| FileError::Damaged("its contents are not a profile"))?;
    profile.validate()?;
    Ok(profile)
}

fn decompress(payload: &[u8], size: u64) -> Result<Vec<u8>, FileError> {
    let most = (payload.len() as u64).saturating_mul(MAX_RATIO);
    let fits = usize::try_from(size).ok().filter(|_| size <= most);
    let Some(size) = fits else {
        return Err(FileError::Damaged("it claims more contents than it can hold"));
    };
    let mut content = Vec::new();
    // One byte more than is right, so that too much is seen.
    match ZlibDecoder::new(payload).take(size as u64 + 1).read_to_end(&mut content) {
        Ok(read) if read == size => Ok(content),
        Ok(_) => Err(FileError::Damaged("its contents have another size than its header says")),
        Err(_) => Err(FileError::Damaged("its contents cannot be decompressed")),
    }
}

fn u32_at(header: &[u8; HEADER_SIZE], at: usize) -> u32 {
    header.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |chunk| u32::from_le_bytes(*chunk))
}

fn u64_at(header: &[u8; HEADER_SIZE], at: usize) -> u64 {
    header.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |chunk| u64::from_le_bytes(*chunk))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{ContextId, FrameId, StackId};
    use crate::testing::profile;

    fn bytes(profile: &Profile) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(profile, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_profile_comes_back_as_it_was() {
        assert_eq!(read(&bytes(&profile())).unwrap(), profile());
        assert_eq!(read(&bytes(&Profile::default())).unwrap(), Profile::default());
    }

    #[test]
    fn every_truncation_is_told() {
        let whole = bytes(&profile());
        for length in 0..whole.len() {
            match read(&whole[..length]) {
                Err(FileError::Truncated { found, expected }) => {
                    assert_eq!(found, length as u64);
                    let known = if length < HEADER_SIZE { HEADER_SIZE } else { whole.len() };
                    assert_eq!(expected, known as u64);
                }
                other => panic!("{length}: {other:?}"),
            }
        }
    }

    #[test]
    fn every_changed_byte_is_told() {
        let whole = bytes(&profile());
        for at in 0..whole.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut changed = whole.clone();
                changed[at] ^= flip;
                let error = read(&changed).unwrap_err();
                let expected = match at {
                    0..8 => matches!(error, FileError::NotAProfile),
                    8..12 => matches!(error, FileError::Newer { .. } | FileError::Older { .. } | FileError::Damaged(_)),
                    16..24 => matches!(error, FileError::Truncated { .. } | FileError::Damaged(_)),
                    _ => matches!(error, FileError::Damaged(_)),
                };
                assert!(expected, "{at}: {error}");
            }
        }
    }

    #[test]
    fn errors_say_what_a_person_needs() {
        let mut newer = bytes(&profile());
        newer[8] = 9;
        let expected = "it was made by a newer pronk: its format has version 9, and this pronk reads up to version 7";
        assert_eq!(read(&newer).unwrap_err().to_string(), expected);
        let mut older = bytes(&profile());
        older[8] = 1;
        let said = read(&older).unwrap_err().to_string();
        assert!(said.starts_with("it was made by an older pronk: its format has version 1"), "{said}");
        let longer = [bytes(&profile()), vec![0]].concat();
        assert_eq!(read(&longer).unwrap_err().to_string(), "it is damaged: it is longer than its header says");
        assert_eq!(read(b"<svg>").unwrap_err().to_string(), "it is not a profile of pronk's");
        assert_eq!(read(b"").unwrap_err().to_string(), "it is truncated: it has 0 bytes of at least 32");
    }

    #[test]
    fn contents_out_of_range_are_told() {
        let error = |change: fn(&mut Profile)| {
            let mut changed = profile();
            change(&mut changed);
            match read(&bytes(&changed)) {
                Err(FileError::OutOfRange(error)) => (error.table, error.row, error.index),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(error(|p| p.stacks[1].frame = FrameId(99)), ("stacks", 1, 99));
        // A stack below itself would be walked for ever.
        assert_eq!(error(|p| p.stacks[1].below = Some(StackId(1))), ("stacks", 1, 1));
        assert_eq!(error(|p| p.samples[0].stack = Some(StackId(77))), ("samples", 0, 77));
        assert_eq!(error(|p| p.samples[0].context = Some(ContextId(77))), ("samples", 0, 77));
        assert_eq!(error(|p| p.contexts[1].labels[0].0.0 = 500), ("contexts", 1, 500));
        assert_eq!(error(|p| p.contexts[1].labels[0].1.0 = 500), ("contexts", 1, 500));
        assert_eq!(error(|p| p.contexts[0].task.as_mut().unwrap().name.0 = 500), ("contexts", 0, 500));
        assert_eq!(error(|p| p.contexts[0].task.as_mut().unwrap().root.0 = 500), ("contexts", 0, 500));
        assert_eq!(error(|p| p.samples[0].thread.0 = 5), ("samples", 0, 5));
        assert_eq!(error(|p| p.threads[0].process.0 = 5), ("threads", 0, 5));
        assert_eq!(error(|p| p.threads[0].name.0 = 500), ("threads", 0, 500));
        assert_eq!(error(|p| p.processes[0].parent = Some(crate::profile::ProcessId(0))), ("processes", 0, 0));
        assert_eq!(error(|p| p.functions[0].name.0 = 500), ("functions", 0, 500));
        assert_eq!(error(|p| p.frames[0].function.0 = 500), ("frames", 0, 500));
        assert_eq!(error(|p| p.calls[1].function.0 = 500), ("calls", 1, 500));
    }
}
