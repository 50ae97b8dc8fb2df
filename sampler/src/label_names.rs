//! What names the sources of labels have in common: how they are written, and how the agent's settings have them.

/// The longest key or name, in bytes: what the agent looks for.
pub(crate) const LONGEST: usize = 128;

/// Whether this is a name of Python's. Only names of ASCII are found.
pub(crate) fn is_name(name: &str) -> bool {
    let first = name.bytes().next().is_some_and(|first| !first.is_ascii_digit());
    let is_whole = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    first && is_whole && name.len() <= LONGEST
}

/// Whether this can be the key of a label.
pub(crate) fn is_key(key: &str) -> bool {
    !key.is_empty() && key.len() <= LONGEST && !key.chars().any(char::is_control)
}

/// Texts with a zero behind each, and zeros behind the last. `None` when they have no room.
pub(crate) fn pack<'a, const SIZE: usize>(texts: impl IntoIterator<Item = &'a str>) -> Option<[u8; SIZE]> {
    let bytes: Vec<u8> = texts.into_iter().flat_map(|text| text.bytes().chain([0])).collect();
    let mut packed = [0; SIZE];
    packed.get_mut(..bytes.len())?.copy_from_slice(&bytes);
    Some(packed)
}
