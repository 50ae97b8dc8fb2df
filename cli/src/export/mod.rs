//! The output formats, each behind [`Export`].

mod calls;
mod folded;
mod json;
mod lines;
mod overhead_svg;
mod overhead_table;
mod pronk;
mod svg;
mod table;
mod timeline;
mod values;

pub use folded::Folded;
pub use json::Json;
pub use lines::{LinesJson, LinesTable, Source};
pub use overhead_svg::OverheadSvg;
pub use overhead_table::OverheadTable;
pub use pronk::Pronk;
pub use svg::Svg;
pub use table::{Order, Table};
pub use timeline::TimelineSvg;
pub use values::{ValuesJson, ValuesTable};

use pronk_symbolizer::profile::Profile;
use pronk_symbolizer::view::View;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::Path;

/// A way to write a profile.
pub trait Export {
    /// Writes the profile, or of it what the view shows.
    ///
    /// # Errors
    /// Those of `to`.
    fn write(&self, profile: &Profile, view: &View<'_>, to: &mut dyn Write) -> io::Result<()>;
}

/// What `pronk record` can write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A flamegraph.
    Svg,
    /// Collapsed stacks.
    Folded,
    /// The profile itself.
    Pronk,
}

impl Format {
    const ALL: [Format; 3] = [Format::Svg, Format::Folded, Format::Pronk];

    /// What the names of its files end with, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Svg => "svg",
            Format::Folded => "folded",
            Format::Pronk => "pronk",
        }
    }

    /// The format of a file, by its name.
    pub fn of(path: &Path) -> Option<Format> {
        let extension = path.extension().and_then(OsStr::to_str)?;
        Format::ALL.into_iter().find(|format| format.extension().eq_ignore_ascii_case(extension))
    }

    /// What writes it.
    pub fn exporter(self) -> Box<dyn Export> {
        match self {
            Format::Svg => Box::new(Svg::default()),
            Format::Folded => Box::new(Folded),
            Format::Pronk => Box::new(Pronk),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_tells_the_format() {
        assert_eq!(Format::of(Path::new("a.b/c.svg")), Some(Format::Svg));
        assert_eq!(Format::of(Path::new("C.SVG")), Some(Format::Svg));
        assert_eq!(Format::of(Path::new("x.folded")), Some(Format::Folded));
        assert_eq!(Format::of(Path::new("x.pronk")), Some(Format::Pronk));
        for name in ["x", ".svg", "svg", "x.svgz", "x.", ""] {
            assert_eq!(Format::of(Path::new(name)), None, "{name}");
        }
    }
}
