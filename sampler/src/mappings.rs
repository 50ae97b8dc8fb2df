//! The executable mappings of a process.

use crate::files::MappedImage;
use crate::recording::MappingId;
use pronk_trampolines::stub::STUB_SIZE;
use pronk_trampolines::wire::{CodeKind, Token};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

/// An executable mapping.
#[derive(Clone, Debug)]
pub(crate) struct Mapping {
    pub(crate) range: Range<u64>,
    /// The offset in the object of the first byte.
    pub(crate) offset: u64,
    pub(crate) image: Image,
    /// Its place in the recording, once a sample refers to it.
    pub(crate) published: Cell<Option<MappingId>>,
}

/// What is behind a mapping.
#[derive(Clone, Debug)]
pub(crate) enum Image {
    /// A file.
    File(Rc<MappedImage>),
    /// The kernel's `[vdso]`.
    Vdso,
    /// Code of ours.
    Ours(CodeKind, Token),
    /// Memory without a file, by the kernel's name for it.
    Anonymous(String),
}

impl Mapping {
    /// A mapping of a range of addresses.
    pub(crate) fn new(range: Range<u64>, offset: u64, image: Image) -> Mapping {
        Mapping { range, offset, image, published: Cell::new(None) }
    }

    /// The offset in the object of what lies at an address.
    pub(crate) fn offset_of(&self, address: u64) -> u64 {
        address.wrapping_sub(self.range.start).wrapping_add(self.offset)
    }

    fn is_stubs(&self) -> bool {
        matches!(self.image, Image::Ours(CodeKind::Stubs, _))
    }

    /// Whether another mapping maps the same to the same place.
    fn is_like(&self, other: &Mapping) -> bool {
        let same_image = match (&self.image, &other.image) {
            (Image::File(this), Image::File(that)) => this.path == that.path && this.inode == that.inode,
            (Image::Ours(kind, token), Image::Ours(other_kind, other_token)) => {
                (kind, token) == (other_kind, other_token)
            }
            (Image::Anonymous(_), Image::Anonymous(_)) | (Image::Vdso, Image::Vdso) => true,
            _ => false,
        };
        same_image && self.range == other.range && self.offset == other.offset
    }

    /// The part of the mapping within a range, which lies in it.
    fn part(&self, range: Range<u64>) -> Mapping {
        let offset = self.offset.wrapping_add(range.start - self.range.start);
        Mapping::new(range, offset, self.image.clone())
    }
}

/// The executable mappings of a process: where each address belongs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mappings {
    by_start: BTreeMap<u64, Rc<Mapping>>,
    /// Where stubs are, rising.
    stubs: Vec<Range<u64>>,
}

impl Mappings {
    /// Adds a mapping. It replaces what lay in its range, as mmap does; what an older one has beside it stays.
    pub(crate) fn add(&mut self, mapping: Mapping) {
        let Range { start, end } = mapping.range;
        if start >= end {
            return;
        }
        let overlapping: Vec<_> = self
            .by_start
            .range(..end)
            .rev()
            .take_while(|(_, old)| old.range.end > start)
            .map(|(_, old)| old.clone())
            .collect();
        let mut stubs_change = mapping.is_stubs();
        for old in overlapping {
            stubs_change |= old.is_stubs();
            self.by_start.remove(&old.range.start);
            if old.range.start < start {
                self.by_start.insert(old.range.start, Rc::new(old.part(old.range.start..start)));
            }
            if end < old.range.end {
                self.by_start.insert(end, Rc::new(old.part(end..old.range.end)));
            }
        }
        self.by_start.insert(start, Rc::new(mapping));
        if stubs_change {
            let stubs = self.by_start.values().filter(|mapping| mapping.is_stubs());
            self.stubs = stubs.map(|mapping| mapping.range.clone()).collect();
        }
    }

    /// Whether there is a mapping of the same to the same place.
    pub(crate) fn has_like(&self, mapping: &Mapping) -> bool {
        self.by_start.get(&mapping.range.start).is_some_and(|known| known.is_like(mapping))
    }

    /// The mapping that an address lies in.
    pub(crate) fn find(&self, address: u64) -> Option<&Rc<Mapping>> {
        let (_, mapping) = self.by_start.range(..=address).next_back()?;
        (address < mapping.range.end).then_some(mapping)
    }

    /// Whether an address is the first one of a stub, or could be: whether it lies on the stubs' grid.
    pub(crate) fn is_stub(&self, address: u64) -> bool {
        let next = self.stubs.partition_point(|stubs| stubs.start <= address);
        next > 0
            && self
                .stubs
                .get(next - 1)
                .is_some_and(|stubs| address < stubs.end && (address - stubs.start).is_multiple_of(STUB_SIZE as u64))
    }

    /// The range that all stubs lie in, among other things. Empty when there are none.
    pub(crate) fn around_stubs(&self) -> Range<u64> {
        match (self.stubs.first(), self.stubs.last()) {
            (Some(first), Some(last)) => first.start..last.end,
            _ => 0..0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anonymous(range: Range<u64>, name: &str) -> Mapping {
        Mapping::new(range, 0x1000, Image::Anonymous(name.into()))
    }

    fn names(mappings: &Mappings) -> Vec<(u64, u64, u64, String)> {
        let name = |mapping: &Mapping| match &mapping.image {
            Image::Anonymous(name) => name.clone(),
            other => format!("{other:?}"),
        };
        let all = mappings.by_start.values();
        all.map(|mapping| (mapping.range.start, mapping.range.end, mapping.offset, name(mapping))).collect()
    }

    #[test]
    fn a_new_mapping_cuts_those_that_it_overlaps() {
        let mut mappings = Mappings::default();
        mappings.add(anonymous(0x1000..0x5000, "a"));
        mappings.add(anonymous(0x6000..0x7000, "b"));
        mappings.add(anonymous(0x8000..0x9000, "c"));
        mappings.add(anonymous(0x2000..0x3000, "hole"));
        mappings.add(anonymous(0x4000..0x8800, "over"));
        mappings.add(anonymous(0x9000..0x9000, "empty"));
        let expected = [
            (0x1000, 0x2000, 0x1000, "a"),
            (0x2000, 0x3000, 0x1000, "hole"),
            (0x3000, 0x4000, 0x3000, "a"),
            (0x4000, 0x8800, 0x1000, "over"),
            (0x8800, 0x9000, 0x1800, "c"),
        ];
        let expected: Vec<_> = expected.iter().map(|&(s, e, o, n)| (s, e, o, n.to_owned())).collect();
        assert_eq!(names(&mappings), expected);
        assert!(mappings.find(0xfff).is_none());
        assert_eq!(mappings.find(0x1fff).unwrap().range, 0x1000..0x2000);
        assert_eq!(mappings.find(0x8800).unwrap().range, 0x8800..0x9000);
        assert!(mappings.find(0x9000).is_none());
        assert!(mappings.has_like(&anonymous(0x4000..0x8800, "over")));
        assert!(!mappings.has_like(&anonymous(0x4000..0x8000, "over")));
        assert!(!mappings.has_like(&Mapping::new(0x4000..0x8800, 0x1000, Image::Vdso)));
    }

    #[test]
    fn stubs_lie_on_their_grid() {
        let stubs = |range| Mapping::new(range, 0, Image::Ours(CodeKind::Stubs, Token(1)));
        let mut mappings = Mappings::default();
        assert!(!mappings.is_stub(0x1000));
        assert!(mappings.around_stubs().is_empty());
        mappings.add(stubs(0x1000..0x2000));
        mappings.add(stubs(0x8000..0x9000));
        mappings.add(anonymous(0x4000..0x5000, "between"));
        assert_eq!(mappings.around_stubs(), 0x1000..0x9000);
        for (address, expected) in
            [(0x1000, true), (0x1040, true), (0x1041, false), (0x2000, false), (0x4000, false), (0x8fc0, true)]
        {
            assert_eq!(mappings.is_stub(address), expected, "{address:#x}");
        }
        mappings.add(anonymous(0x0..0x3000, "over"));
        assert!(!mappings.is_stub(0x1000));
        assert_eq!(mappings.around_stubs(), 0x8000..0x9000);
    }
}
