//! A file's text.

use std::io::Read as _;
use std::path::Path;

use super::{Diagnostic, Diagnostics, Document, LARGEST, too_large};

/// The text of the file at `path`. It is in UTF-8, and not too large.
pub(crate) fn text_of(path: &Path, document: &Document) -> Result<String, Diagnostics> {
    let alone = |text: &str, diagnostic| Diagnostics::new(path, text, vec![diagnostic]);
    let octets = octets(path).map_err(|error| {
        alone("", Diagnostic::of_file(format!("the {} cannot be read: {error}", document.noun)))
    })?;
    if octets.len() > LARGEST {
        // A pipe or a device has no size of its own.
        let size = std::fs::metadata(path).map_or(0, |known| known.len()).max(octets.len() as u64);
        return Err(alone("", too_large(size, document)));
    }
    if matches!(octets.as_slice(), [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [_, 0, ..] | [0, _, ..]) {
        let diagnostic = Diagnostic::of_file("the file is in UTF-16, or is no text")
            .help("save it as UTF-8; Windows calls UTF-16 \"Unicode\"");
        return Err(alone("", diagnostic));
    }
    match String::from_utf8(octets) {
        Ok(text) => Ok(text),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let octets = error.into_bytes();
            let text = String::from_utf8_lossy(&octets);
            let diagnostic = Diagnostic::new(at..at + 3, "the file is not in UTF-8")
                .because(format!("the octet {:#04X} here begins no character", octets[at]))
                .help(document.octets);
            Err(alone(&text, diagnostic))
        }
    }
}

/// What a file holds, as far as it matters: one octet more than the most that is read.
fn octets(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    std::fs::File::open(path)?.take(LARGEST as u64 + 1).read_to_end(&mut octets)?;
    Ok(octets)
}
