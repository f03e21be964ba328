//! As much of a MIME header as the conversion needs: fields in their order, octet for octet, and Content-Type's value.

use super::{NotConvertible, has_8bit, lines};

/// Cuts an entity into its header, with the CRLF of its last field, and what follows the empty line.
/// Without an empty line everything is header (RFC 5322 section 2.1).
pub(crate) fn split(entity: &[u8]) -> (&[u8], &[u8]) {
    if let Some(body) = entity.strip_prefix(b"\r\n") {
        return (&[], body);
    }
    match entity.windows(4).position(|four| four == b"\r\n\r\n") {
        Some(at) => (&entity[..at + 2], &entity[at + 4..]),
        None => (entity, &[]),
    }
}

/// A header as a list of fields; each keeps its octets, its folds and its CRLF.
pub(super) struct Header {
    fields: Vec<Vec<u8>>,
}

impl Header {
    /// Takes the first half of [`split`] apart. What is no field stays where it is, too.
    pub(super) fn parse(head: &[u8]) -> Result<Self, NotConvertible> {
        let mut fields: Vec<Vec<u8>> = Vec::new();
        for line in lines(head.strip_suffix(b"\r\n").unwrap_or(head)) {
            let folded = line.first().is_some_and(|b| matches!(b, b' ' | b'\t'));
            match fields.last_mut() {
                Some(field) if folded => field.extend_from_slice(line),
                _ => fields.push(line.to_vec()),
            }
            if let Some(field) = fields.last_mut() {
                field.extend_from_slice(b"\r\n");
            }
        }
        fields.retain(|field| field != b"\r\n");
        match fields.iter().find(|field| has_8bit(field)) {
            Some(field) => {
                let name = name(field).unwrap_or_default();
                Err(NotConvertible::HeaderField(String::from_utf8_lossy(name).into_owned()))
            }
            None => Ok(Self { fields }),
        }
    }

    fn position(&self, wanted: &str) -> Option<usize> {
        self.fields.iter().position(|field| is(field, wanted))
    }

    /// The unfolded value of a field that may stand there once.
    pub(super) fn value(&self, wanted: &'static str) -> Result<Option<String>, NotConvertible> {
        let mut values = self.values(wanted).into_iter();
        let first = values.next();
        if values.next().is_some() { Err(NotConvertible::RepeatedField(wanted)) } else { Ok(first) }
    }

    /// The unfolded values of all fields of that name.
    pub(super) fn values(&self, wanted: &str) -> Vec<String> {
        let fields = self.fields.iter().filter(|field| is(field, wanted));
        let value = |field: &Vec<u8>| {
            // 7-bit by construction, see `parse`
            let text = String::from_utf8_lossy(field);
            let value = text.split_once(':').map_or("", |(_, value)| value);
            value.replace("\r\n", "").trim().to_owned()
        };
        fields.map(value).collect()
    }

    /// Replaces the field in its place, or adds it at the end.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        let field = format!("{name}: {value}\r\n").into_bytes();
        match self.position(name) {
            Some(at) => self.fields[at] = field,
            None => self.fields.push(field),
        }
    }

    pub(super) fn add_if_missing(&mut self, name: &str, value: &str) {
        if self.position(name).is_none() {
            self.set(name, value);
        }
    }

    /// Says Content-Transfer-Encoding "8bit" or "binary".
    pub(super) fn is_labelled_8bit(&self) -> bool {
        let label = self.value("Content-Transfer-Encoding").ok().flatten().map(|value| token(&value));
        matches!(label.as_deref(), Some("8bit" | "binary"))
    }

    /// "8bit" or "binary" become "7bit"; other labels, and their absence, stay.
    pub(super) fn relabel_7bit(&mut self) {
        if self.is_labelled_8bit() {
            self.set("Content-Transfer-Encoding", "7bit");
        }
    }

    /// The entity again: header, empty line, body.
    pub(super) fn followed_by(&self, body: &[u8]) -> Vec<u8> {
        let mut entity = self.fields.concat();
        entity.extend_from_slice(b"\r\n");
        entity.extend_from_slice(body);
        entity
    }
}

fn name(field: &[u8]) -> Option<&[u8]> {
    let colon = field.iter().position(|&b| b == b':')?;
    Some(field[..colon].trim_ascii_end())
}

fn is(field: &[u8], wanted: &str) -> bool {
    name(field).is_some_and(|name| name.eq_ignore_ascii_case(wanted.as_bytes()))
}

/// The first token of a value in lower case, comments left out: `8BIT (sic)` is "8bit".
pub(super) fn token(value: &str) -> String {
    ContentType::parse(value).main
}

/// A parsed Content-Type (RFC 2045 section 5.1). Names are in lower case.
pub(super) struct ContentType {
    pub(super) main: String,
    pub(super) sub: String,
    parameters: Vec<(String, String)>,
}

impl ContentType {
    /// Reads as much as makes sense. What is no type at all becomes a type that nobody knows, hence a leaf that is no
    /// text (RFC 2045 section 5.2 lets a reader treat such a thing as it sees fit; base64 harms no one).
    pub(super) fn parse(value: &str) -> Self {
        let items = split_parameters(value);
        let mut items = items.iter();
        let kind = items.next().map_or("", String::as_str);
        let (main, sub) = kind.split_once('/').unwrap_or((kind, ""));
        let parameters = items.filter_map(|item| item.split_once('=')).map(|(name, value)| {
            let value = value.trim();
            (name.trim().to_ascii_lowercase(), unquoted(value))
        });
        Self {
            main: main.trim().to_ascii_lowercase(),
            sub: sub.trim().to_ascii_lowercase(),
            parameters: parameters.collect(),
        }
    }

    /// The type of those of its parts that tell none (RFC 2046 sections 5.1.1 and 5.1.5).
    pub(super) fn default_type(&self) -> &'static str {
        if self.sub == "digest" { "message/rfc822" } else { "text/plain" }
    }

    /// Its boundary. Boundaries know case, and may not be empty (RFC 2046 section 5.1.1).
    pub(super) fn boundary(&self) -> Option<&str> {
        let value =
            self.parameters.iter().find(|(name, _)| name == "boundary").map(|(_, value)| value.as_str());
        value.filter(|boundary| !boundary.is_empty())
    }
}

/// Cuts at semicolons outside of quoted strings, and drops comments, which may be nested.
fn split_parameters(value: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let (mut quoted, mut comment, mut escaped) = (false, 0_u32, false);
    for c in value.chars() {
        let literal = escaped;
        escaped = c == '\\' && !literal && (quoted || comment > 0);
        match c {
            '(' if !quoted && !literal => comment += 1,
            ')' if comment > 0 && !literal => comment -= 1,
            _ if comment > 0 => {}
            ';' if !quoted => items.push(String::new()),
            _ => {
                if c == '"' && !literal {
                    quoted = !quoted;
                }
                if let Some(item) = items.last_mut() {
                    item.push(c);
                }
            }
        }
    }
    items
}

/// A token as it is; a quoted string without its quotes and backslashes.
fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"') else {
        return value.to_owned();
    };
    let mut result = String::new();
    let mut characters = inner.chars();
    while let Some(c) = characters.next() {
        match c {
            '"' => break,
            '\\' => result.extend(characters.next()),
            _ => result.push(c),
        }
    }
    result
}
