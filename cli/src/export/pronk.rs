//! `.pronk`: the profile itself, which the other verbs read.

use super::Export;
use pronk_symbolizer::profile::Profile;
use pronk_symbolizer::view::View;
use std::io::{self, Write};

/// Writes the whole profile, whatever the view shows.
#[derive(Debug)]
pub struct Pronk;

impl Export for Pronk {
    fn write(&self, profile: &Profile, _: &View<'_>, mut to: &mut dyn Write) -> io::Result<()> {
        pronk_symbolizer::file::write(profile, &mut to)
    }
}
