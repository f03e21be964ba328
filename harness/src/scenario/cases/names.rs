//! Which cases a template has, and what they are called. The build script shares this file, so that `cargo test` knows
//! every case by name; it uses nothing but the standard library.

/// The most cases that one file may make.
pub(super) const MOST: usize = 1000;

/// All combinations of one value for each variable, as places of values; the last variable changes fastest. `None`: there
/// would be more than [`MOST`], before any is left out.
pub(super) fn combinations(values: &[usize]) -> Option<Vec<Vec<usize>>> {
    let product = values.iter().try_fold(1_usize, |product, one| product.checked_mul(*one))?;
    if product > MOST {
        return None;
    }
    let mut all = vec![Vec::new()];
    for count in values {
        all = all
            .into_iter()
            .flat_map(|one: Vec<usize>| (0..*count).map(move |place| [one.as_slice(), &[place]].concat()))
            .collect();
    }
    Some(all)
}

/// Whether an element of `except:` leaves this combination out: it names some variables by their place, and for each of
/// them some of its values by theirs. A combination goes that has one of those values in every variable that is named.
pub(super) fn leaves_out(element: &[(usize, Vec<usize>)], combination: &[usize]) -> bool {
    element.iter().all(|(variable, values)| values.contains(&combination[*variable]))
}

/// A case's name, from those of its values: `RCPT-451`.
pub(super) fn joined<'a>(values: impl Iterator<Item = &'a str>) -> String {
    values.collect::<Vec<_>>().join("-")
}

/// Whether a word can be a variable: it begins with a letter and goes on with letters, digits and hyphens.
pub(super) fn can_be_variable(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphabetic())
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Whether a text can be part of a case's name, and so of a file's: letters, digits and hyphens, and full stops inside.
pub(super) fn can_be_part(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 60
        && !text.starts_with('.')
        && !text.ends_with('.')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.')
}
