//! `.svg`: a flamegraph in one file, drawn by inferno, that tells Python, native code and the kernel apart by colour.

use super::{Export, folded};
use crate::messages::thousands;
use inferno::flamegraph::color::{BackgroundColor, Color, PaletteMap};
use inferno::flamegraph::{Direction, Options, defaults, from_lines};
use pronk_symbolizer::profile::{Category, Profile};
use pronk_symbolizer::view::{NO_STACK, NOTHING_SHOWN, View, shown};
use std::io::{self, Write};

/// From this number of distinct stacks on, boxes that are narrower than a pixel are left out.
const MANY_STACKS: usize = 20_000;

/// The narrowest box then, in percent of the width: a little more than a pixel of the 1200 that inferno starts with.
const PIXEL_PERCENT: f64 = 0.1;

/// Draws a flamegraph.
#[derive(Debug, Default)]
pub struct Svg {
    /// The title; the command that was profiled if there is none.
    pub title: Option<String>,
    /// Whether stacks are merged from their leaves, and hang from the top.
    pub reverse: bool,
}

impl Export for Svg {
    fn write(&self, profile: &Profile, view: &View<'_>, to: &mut dyn Write) -> io::Result<()> {
        let title = self.title.clone().unwrap_or_else(|| profile.meta.command.join(" "));
        let lines = folded::lines(view);
        if lines.is_empty() {
            return without_samples(&title, to);
        }
        let mut palette = palette(profile, view);
        let mut options = Options::default();
        options.title = title;
        options.subtitle = Some(subtitle(profile, view));
        options.count_name = "samples".to_owned();
        options.name_type = "Function:".to_owned();
        options.bgcolors = Some(BackgroundColor::Flat(Color { r: 250, g: 250, b: 250 }));
        options.palette_map = Some(&mut palette);
        options.deterministic = true;
        options.min_width = if lines.len() > MANY_STACKS { PIXEL_PERCENT } else { defaults::MIN_WIDTH };
        if self.reverse {
            options.reverse_stack_order = true;
            options.direction = Direction::Inverted;
        }
        from_lines(&mut options, lines.iter().map(String::as_str), to)
    }
}

/// The colour of each label, as inferno looks them up.
fn palette(profile: &Profile, view: &View<'_>) -> PaletteMap {
    let mut palette = PaletteMap::default();
    // The box of everything has no name.
    for mark in ["", NO_STACK, NOTHING_SHOWN] {
        palette.insert(mark, Hue::MISSING.shade(mark));
    }
    for count in view.values() {
        let value = shown(&count.value);
        let colour = Hue::VALUE.shade(&value);
        // A line of collapsed stacks begins with it.
        palette.insert(folded::unambiguous(&value), colour);
        palette.insert(value, colour);
    }
    for (frame, label) in profile.frames.iter().zip(view.frame_labels()) {
        let function = &profile.functions[frame.function.index()];
        let colour = Hue::of(function.category).shade(&label);
        palette.insert(folded::unambiguous(&label), colour);
        palette.insert(label, colour);
    }
    palette
}

fn subtitle(profile: &Profile, view: &View<'_>) -> String {
    let seconds = profile.meta.duration_ns as f64 / 1e9;
    let by = view.options().by.as_ref().map_or_else(String::new, |by| format!("{}: green, ", shown(&by.to_string())));
    format!(
        "{} samples in {seconds:.1} s | {by}Python: blue, native: orange, interpreter: yellow, kernel: red, missing: grey",
        thousands(view.sample_count())
    )
}

/// A colour in two tones, between which functions vary so that neighbours can be told apart.
#[derive(Clone, Copy)]
struct Hue {
    light: (u8, u8, u8),
    dark: (u8, u8, u8),
}

impl Hue {
    const PYTHON: Hue = Hue { light: (176, 212, 246), dark: (110, 168, 224) };
    const NATIVE: Hue = Hue { light: (252, 201, 138), dark: (240, 154, 66) };
    const INTERPRETER: Hue = Hue { light: (247, 237, 166), dark: (232, 212, 96) };
    const KERNEL: Hue = Hue { light: (247, 172, 166), dark: (226, 112, 104) };
    const VALUE: Hue = Hue { light: (208, 222, 210), dark: (158, 184, 164) };
    const MISSING: Hue = Hue { light: (214, 214, 214), dark: (214, 214, 214) };

    fn of(category: Category) -> Hue {
        match category {
            Category::Python => Hue::PYTHON,
            Category::Native => Hue::NATIVE,
            Category::Interpreter => Hue::INTERPRETER,
            Category::Kernel => Hue::KERNEL,
            Category::Missing => Hue::MISSING,
        }
    }

    /// The tone of a name: the same in every flamegraph, so that two of them can be compared by eye.
    fn shade(self, name: &str) -> Color {
        // FNV-1a, 32 bits.
        let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        let step = u16::from((hash >> 24) as u8);
        let mix = |light: u8, dark: u8| ((u16::from(light) * (255 - step) + u16::from(dark) * step) / 255) as u8;
        Color {
            r: mix(self.light.0, self.dark.0),
            g: mix(self.light.1, self.dark.1),
            b: mix(self.light.2, self.dark.2),
        }
    }
}

/// inferno draws an error for this; that a program was too short for a sample is none.
pub fn without_samples(title: &str, to: &mut dyn Write) -> io::Result<()> {
    let title = escaped(title);
    writeln!(to, r#"<svg xmlns="http://www.w3.org/2000/svg" width="1200" height="80" font-family="monospace">"#)?;
    writeln!(to, r#"<text x="600" y="30" text-anchor="middle" font-size="17">{title}</text>"#)?;
    writeln!(to, r#"<text x="600" y="60" text-anchor="middle" font-size="12">No samples</text>"#)?;
    writeln!(to, "</svg>")
}

/// What a drawing of ours begins with: the ground, a title in the middle, and a line below it.
pub fn head(to: &mut dyn Write, (width, height): (usize, usize), title: &str, subtitle: &str) -> io::Result<()> {
    let (middle, title, subtitle) = (width / 2, escaped(title), escaped(subtitle));
    writeln!(
        to,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" font-family="monospace" font-size="12">"#
    )?;
    writeln!(to, r#"<rect width="{width}" height="{height}" fill="rgb(250,250,250)"/>"#)?;
    writeln!(to, r#"<text x="{middle}" y="24" text-anchor="middle" font-size="17">{title}</text>"#)?;
    writeln!(to, r#"<text x="{middle}" y="44" text-anchor="middle">{subtitle}</text>"#)
}

/// A text as it stands in an SVG.
pub fn escaped(text: &str) -> String {
    // Characters that XML does not have (XML 1.0, 2.2).
    let text = text.replace(|char: char| char.is_control() || matches!(char, '\u{fffe}' | '\u{ffff}'), "");
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_tone_of_its_categorys() {
        assert_eq!(Hue::PYTHON.shade("a.b"), Hue::PYTHON.shade("a.b"));
        let between = |low: u8, value: u8, high: u8| low <= value && value <= high;
        for name in ["", "a", "b", "main", "json.loads"] {
            let colour = Hue::KERNEL.shade(name);
            assert!(between(Hue::KERNEL.dark.0, colour.r, Hue::KERNEL.light.0));
            assert!(between(Hue::KERNEL.dark.1, colour.g, Hue::KERNEL.light.1));
            assert!(between(Hue::KERNEL.dark.2, colour.b, Hue::KERNEL.light.2));
        }
    }

    #[test]
    fn no_samples_make_a_picture_that_says_so() {
        let mut svg = Vec::new();
        without_samples("a <b> & \u{1}c", &mut svg).unwrap();
        let svg = String::from_utf8(svg).unwrap();
        assert!(svg.contains("a &lt;b&gt; &amp; c") && svg.contains("No samples"));
    }
}
