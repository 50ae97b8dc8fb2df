//! What a recording says of mappings: each has its place in it once a frame refers to it.

use crate::files::{FileId, Files, Mapped};
use crate::mappings::{Image, Mapping};
use crate::recording::{Address, Frame, MappedFile, MappedObject, Mapping as RecordedMapping, MappingId};
use crate::unwind::Found;
use crate::unwind::modules::Modules;
use pronk_trampolines::wire::code_of_mapping;
use std::os::unix::ffi::OsStrExt;

/// The files that are mapped, and the mappings that frames refer to.
#[derive(Debug, Default)]
pub(crate) struct Published {
    files: Files,
    pub(crate) mappings: Vec<RecordedMapping>,
}

impl Published {
    /// What is behind a mapping.
    pub(crate) fn image(&mut self, file: &FileId, mapped: &Mapped, modules: &mut Modules) -> Image {
        let name = file.path.as_os_str().as_bytes();
        if let Some((kind, token)) = code_of_mapping(name) {
            return Image::Ours(kind, token);
        }
        if name == b"[vdso]" {
            return Image::Vdso;
        }
        // Memory without a file has names like these (perf_event_mmap_event of kernel/events/core.c, Linux 6.1;
        // memfd_create(2), shmem_zero_setup of mm/shmem.c).
        let without_file = ["//", "/memfd:", "/dev/zero", "/SYSV", "/anon_hugepage"];
        if !name.starts_with(b"/") || without_file.iter().any(|prefix| name.starts_with(prefix.as_bytes())) {
            return Image::Anonymous(String::from_utf8_lossy(name).into_owned());
        }
        Image::File(self.files.get(file, mapped, modules))
    }

    /// What a frame that was found is in the recording.
    pub(crate) fn frame(&mut self, found: Found, modules: &mut Modules) -> Frame {
        match found {
            Found::Native(mapping, code) => Frame::Native(self.mapping_id(mapping, modules), code),
            Found::Stub(mapping, stub) => Frame::Stub(self.mapping_id(mapping, modules), stub),
            Found::Unmapped(code) => Frame::Unmapped(code),
            Found::Gap => Frame::Gap,
            Found::Truncated => Frame::Truncated,
        }
    }

    /// A mapping's place in the recording, which it gets with the first sample that refers to it.
    fn mapping_id(&mut self, mapping: &Mapping, modules: &mut Modules) -> MappingId {
        if let Some(id) = mapping.published.get() {
            return id;
        }
        let object = match &mapping.image {
            Image::File(file) => {
                let module = file.module(modules);
                MappedObject::File(MappedFile {
                    path: file.path.clone(),
                    found: file.found.clone(),
                    device: file.device,
                    inode: file.inode,
                    build_id: module.and_then(|module| module.build_id().map(<[u8]>::to_vec)),
                })
            }
            Image::Vdso => MappedObject::Vdso,
            Image::Ours(kind, token) => MappedObject::Ours(*kind, *token),
            Image::Anonymous(name) => MappedObject::Anonymous(name.clone()),
        };
        let (start, end) = (Address(mapping.range.start), Address(mapping.range.end));
        self.mappings.push(RecordedMapping { start, end, file_offset: mapping.offset, object });
        let id = MappingId(self.mappings.len() as u32 - 1);
        mapping.published.set(Some(id));
        id
    }
}
