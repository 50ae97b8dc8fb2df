//! The contents of sections of ELF files, decompressed.
//!
//! A program can map any file as a binary. A section that claims to be huge, or that a few bytes decompress to, must not fill
//! the memory.

use object::{CompressionFormat, ObjectSection};
use ruzstd::decoding::StreamingDecoder;
use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// The biggest section that is read. The biggest ones of the biggest programs there are have some 100 MiB.
const LARGEST: u64 = 1 << 30;
/// What is smaller than by this ratio is no compressed section: deflate ends at 1032 to 1 (zlib's technical notes), and what
/// Zstandard makes of debug information is far from it.
const MAX_RATIO: u64 = 2048;

/// The contents of a section, decompressed. `None` where they are damaged, or too large.
pub fn section_contents<'data>(section: &impl ObjectSection<'data>) -> Option<Cow<'data, [u8]>> {
    let range = section.compressed_file_range().ok()?;
    let most = range.compressed_size.saturating_mul(MAX_RATIO).min(LARGEST);
    if range.compressed_size > LARGEST || range.uncompressed_size > most {
        return None;
    }
    let compressed = section.compressed_data().ok()?;
    match compressed.format {
        CompressionFormat::Zstandard => decompress(compressed.data, compressed.uncompressed_size).map(Cow::Owned),
        _ => compressed.decompress().ok(),
    }
}

/// The contents of a section of a file as [`section_contents`] has them, in memory that is shared. What is not compressed is read to
/// there at once.
pub fn shared_section<'data>(section: &impl ObjectSection<'data>, file: &File) -> Option<Arc<[u8]>> {
    let range = section.compressed_file_range().ok()?;
    if range.format != CompressionFormat::None {
        return section_contents(section).map(Arc::from);
    }
    let end = range.offset.checked_add(range.compressed_size)?;
    if range.compressed_size > LARGEST || end > file.metadata().ok()?.len() {
        return None;
    }
    let mut bytes: Arc<[u8]> = std::iter::repeat_n(0, range.compressed_size as usize).collect();
    file.read_exact_at(Arc::get_mut(&mut bytes)?, range.offset).ok()?;
    Some(bytes)
}

/// Decompresses frames of Zstandard to so many bytes, and never to more.
fn decompress(mut data: &[u8], size: u64) -> Option<Vec<u8>> {
    let mut contents = Vec::new();
    while !data.is_empty() {
        let left = size.checked_sub(contents.len() as u64)?;
        // One byte more than is right, so that too much is seen.
        StreamingDecoder::new(&mut data).ok()?.take(left + 1).read_to_end(&mut contents).ok()?;
    }
    (contents.len() as u64 == size).then_some(contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of Zstandard with blocks that are one byte, over and over (RFC 8878, sections 3.1.1.1 and 3.1.1.2).
    fn frame(blocks: usize) -> Vec<u8> {
        // A window of 128 KiB, and no size of the contents.
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38];
        for block in 1..=blocks {
            let last = u32::from(block == blocks);
            frame.extend(&(LONGEST_BLOCK << 3 | 1 << 1 | last).to_le_bytes()[..3]);
            frame.push(7);
        }
        frame
    }

    const LONGEST_BLOCK: u32 = 128 << 10;

    #[test]
    fn a_section_is_as_large_as_it_says() {
        let size = u64::from(LONGEST_BLOCK);
        assert_eq!(decompress(&frame(2), 2 * size), Some(vec![7; 2 * size as usize]));
        assert_eq!(decompress(&[frame(1), frame(1)].concat(), 2 * size), Some(vec![7; 2 * size as usize]));
        for wrong in [0, size, 2 * size - 1, 2 * size + 1] {
            assert_eq!(decompress(&frame(2), wrong), None, "{wrong}");
        }
        // 4 MiB that would be 128 GiB.
        assert_eq!(decompress(&frame(1 << 20), 1000), None);
        assert_eq!(decompress(b"no frame", 8), None);
    }
}
