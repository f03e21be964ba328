//! Lines of text, wrapped.

/// Columns of a line.
const WIDTH: usize = 100;

/// A page that is being written.
#[derive(Debug, Default)]
pub(super) struct Page(String);

impl Page {
    /// A heading, set off from what stands before it.
    pub(super) fn heading(&mut self, text: &str) {
        self.gap();
        self.line(0, text);
    }

    /// An empty line.
    pub(super) fn gap(&mut self) {
        self.0.push('\n');
    }

    /// A line so far from the left; what does not fit goes on below, two columns further in.
    pub(super) fn line(&mut self, indent: usize, text: &str) {
        self.hanging(indent, indent + 2, text);
    }

    /// A line whose further lines begin at `rest`.
    pub(super) fn hanging(&mut self, indent: usize, rest: usize, text: &str) {
        let mut line = " ".repeat(indent);
        let mut begun = false;
        for word in text.split_whitespace() {
            if begun && line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.push(&line);
                line = " ".repeat(rest);
                begun = false;
            }
            if begun {
                line.push(' ');
            }
            line.push_str(word);
            begun = true;
        }
        self.push(&line);
    }

    /// A line as it stands, however long: bytes that go over the wire.
    pub(super) fn verbatim(&mut self, indent: usize, text: &str) {
        let line = format!("{}{text}", " ".repeat(indent));
        self.push(&line);
    }

    /// Everything.
    pub(super) fn text(self) -> String {
        self.0
    }

    fn push(&mut self, line: &str) {
        self.0.push_str(line.trim_end());
        self.0.push('\n');
    }
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn and<S: AsRef<str>>(words: &[S]) -> String {
    match words {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [rest @ .., last] => {
            let rest: Vec<&str> = rest.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", rest.join(", "), last.as_ref())
        }
    }
}

/// Bytes as the language writes them, in quotes.
pub(super) fn quoted(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\r' => out.push_str("\\r"),
                '\n' => out.push_str("\\n"),
                '\t' => out.push_str("\\t"),
                '\0' => out.push_str("\\0"),
                '\\' | '"' => out.extend(['\\', c]),
                c if c.is_ascii_control() => out.push_str(&octet(c as u8)),
                c => out.push(c),
            }
        }
        chunk.invalid().iter().for_each(|byte| out.push_str(&octet(*byte)));
    }
    out.push('"');
    out
}

fn octet(byte: u8) -> String {
    format!("\\x{byte:02X}")
}
