//! A host that takes mail, and does as its script says where it says anything.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use super::{Delivered, World};
use crate::environment::Stream;

/// What a script has a host do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Say {
    /// What a plain host says.
    Usual,
    /// These lines, without the last CRLF.
    This(String),
    /// Nothing, for ever.
    Nothing,
    /// The connection is closed.
    Close,
}

/// `This`, from a literal.
impl From<&str> for Say {
    fn from(line: &str) -> Self {
        Self::This(line.to_owned())
    }
}

/// What a host does after it has replied in the middle of content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Early {
    Closes,
    Stalls,
    /// Reads the content to its end, and says nothing more about it.
    ReadsOn,
}

type Script = Box<dyn Fn(&str) -> Say + Send + Sync>;

/// A host.
pub(crate) struct Host {
    name: String,
    offers: Vec<String>,
    script: Script,
    tls: Option<TlsAcceptor>,
    early: Option<(String, Early)>,
    octet_by_octet: bool,
    reads_no_content: bool,
}

impl Host {
    /// One that takes everything and offers PIPELINING, 8BITMIME, SIZE and DSN.
    pub(crate) fn new(name: &str) -> Self {
        let offers = ["PIPELINING", "8BITMIME", "SIZE", "DSN"].map(str::to_owned).to_vec();
        Self {
            name: name.into(),
            offers,
            script: Box::new(|_| Say::Usual),
            tls: None,
            early: None,
            octet_by_octet: false,
            reads_no_content: false,
        }
    }

    pub(crate) fn offering(mut self, offers: &[&str]) -> Self {
        self.offers = offers.iter().map(|&offer| offer.to_owned()).collect();
        self
    }

    /// Lets `script` decide. It is asked with each line that is heard, with an empty one for the greeting, and with `.`
    /// for the end of content.
    pub(crate) fn scripted(mut self, script: impl Fn(&str) -> Say + Send + Sync + 'static) -> Self {
        self.script = Box::new(script);
        self
    }

    /// Says `line` wherever it hears what begins with `command`.
    pub(crate) fn saying(self, command: &'static str, line: &'static str) -> Self {
        self.scripted(move |heard| {
            let matches = if command.is_empty() { heard.is_empty() } else { heard.starts_with(command) };
            if matches { line.into() } else { Say::Usual }
        })
    }

    pub(crate) fn with_tls(mut self, tls: TlsAcceptor) -> Self {
        self.tls = Some(tls);
        self.offers.push("STARTTLS".into());
        self
    }

    /// Writes each octet by itself, and lets it be read before the next.
    pub(crate) fn octet_by_octet(mut self) -> Self {
        self.octet_by_octet = true;
        self
    }

    /// Reads nothing after the 354, with the connection open.
    pub(crate) fn reading_no_content(mut self) -> Self {
        self.reads_no_content = true;
        self
    }

    /// Says `line` once it has read some content.
    pub(crate) fn speaking_up(mut self, line: &str, then: Early) -> Self {
        self.early = Some((line.to_owned(), then));
        self
    }

    pub(super) async fn visit(&self, world: &World, stream: impl Stream) {
        let mut visit = Visit {
            stream: Box::new(stream),
            octets: Vec::new(),
            chunks: Vec::new(),
            sender: None,
            recipients: vec![],
        };
        let mut heard = String::new();
        let mut in_data = false;
        loop {
            let say = match (self.script)(&heard) {
                Say::Usual if in_data => Say::from("250 2.0.0 Taken"),
                Say::Usual => self.usual(&heard),
                other => other,
            };
            let (line, closes) = match say {
                Say::Usual | Say::Close => (String::new(), true),
                Say::Nothing => return std::future::pending().await,
                Say::This(line) => (line, heard == "QUIT"),
            };
            if !line.is_empty() {
                world.note(&self.name, format!("> {line}"));
                let octets = format!("{line}\r\n").into_bytes();
                let piece = if self.octet_by_octet { 1 } else { octets.len() };
                for piece in octets.chunks(piece) {
                    if visit.stream.write_all(piece).await.is_err() {
                        return;
                    }
                    if self.octet_by_octet {
                        // Virtual time goes on only when all that was written has been read.
                        tokio::time::sleep(Duration::from_micros(1)).await;
                    }
                }
            }
            if closes {
                return;
            }
            if heard == "STARTTLS" && line.starts_with("220") {
                let Some(tls) = &self.tls else { return };
                match tls.accept(visit.stream).await {
                    Ok(stream) => visit.stream = Box::new(stream),
                    Err(error) => return world.note(&self.name, format!("TLS failed: {error}")),
                }
            }
            if in_data && line.starts_with('2') {
                visit.recipients.clear();
            }
            visit.remember(&heard, &line);
            in_data = heard == "DATA" && line.starts_with("354");
            let next = if in_data { self.content(&mut visit).await } else { visit.line().await };
            if in_data && let Some((_, then)) = &self.early {
                match then {
                    Early::Closes => return,
                    Early::Stalls => return std::future::pending().await,
                    Early::ReadsOn => {
                        visit.octets.clear();
                        in_data = false;
                        // The reply to the next command is the next thing said.
                        heard = visit.line().await.unwrap_or_default();
                        if heard.is_empty() {
                            return;
                        }
                        continue;
                    }
                }
            }
            let Some(next) = next else { return world.note(&self.name, "closed") };
            if in_data {
                let content = std::mem::take(&mut visit.octets);
                self.take(world, &mut visit, &next, content);
            } else {
                world.note(&self.name, next.clone());
            }
            if let Some((size, last)) = self.bdat(&next) {
                if visit.chunk(size).await.is_none() {
                    return world.note(&self.name, "closed");
                }
                if last {
                    let content = std::mem::take(&mut visit.chunks);
                    self.take(world, &mut visit, &next, content);
                }
            }
            heard = next;
        }
    }

    async fn content(&self, visit: &mut Visit) -> Option<String> {
        if self.reads_no_content {
            return std::future::pending().await;
        }
        if let Some((line, then)) = &self.early {
            visit.read().await?;
            visit.stream.write_all(format!("{line}\r\n").as_bytes()).await.ok()?;
            if *then != Early::ReadsOn {
                return Some(".".to_owned());
            }
        }
        visit.content().await.map(|()| ".".to_owned())
    }

    fn usual(&self, heard: &str) -> Say {
        let name = &self.name;
        let word = heard.split([' ', ':']).next().unwrap_or("");
        match word {
            "" => Say::This(format!("220 {name} ESMTP")),
            "EHLO" => {
                let mut lines = vec![format!("{name} greets you")];
                lines.extend(self.offers.iter().cloned());
                let last = lines.len() - 1;
                let separator = |number| if number == last { ' ' } else { '-' };
                let lines = lines.iter().enumerate().map(|(n, line)| format!("250{}{line}", separator(n)));
                Say::This(lines.collect::<Vec<_>>().join("\r\n"))
            }
            "DATA" => "354 Go on".into(),
            "QUIT" => "221 2.0.0 Bye".into(),
            "STARTTLS" => "220 2.0.0 Go on".into(),
            _ => "250 2.0.0 OK".into(),
        }
    }

    /// The size of a chunk, and whether it is the last; a host without CHUNKING knows no BDAT.
    fn bdat(&self, heard: &str) -> Option<(usize, bool)> {
        let words: Vec<&str> = heard.strip_prefix("BDAT ")?.split(' ').collect();
        let size = words[0].parse().ok()?;
        self.offers.iter().any(|offer| offer == "CHUNKING").then_some((size, words.get(1) == Some(&"LAST")))
    }

    /// Keeps the message if the script takes it.
    fn take(&self, world: &World, visit: &mut Visit, heard: &str, content: Vec<u8>) {
        let taken = match (self.script)(heard) {
            Say::This(line) => line.starts_with('2'),
            // A host that closes has taken it all the same: the reply never arrives.
            Say::Usual | Say::Close => true,
            Say::Nothing => false,
        };
        if visit.recipients.is_empty() && !content.is_empty() {
            world.note(&self.name, "content for nobody");
        }
        if taken && !visit.recipients.is_empty() {
            world.inner.delivered.lock().expect("delivered").push(Delivered {
                minute: world.minute(),
                host: self.name.clone(),
                sender: visit.sender.take().unwrap_or_default(),
                recipients: visit.recipients.clone(),
                content: content.into_iter().map(char::from).collect(),
            });
        }
    }
}

struct Visit {
    stream: Box<dyn Stream>,
    octets: Vec<u8>,
    /// What BDAT has brought.
    chunks: Vec<u8>,
    /// Of the transaction that is open.
    sender: Option<String>,
    recipients: Vec<String>,
}

impl Visit {
    fn remember(&mut self, heard: &str, said: &str) {
        let path = |heard: &str| {
            heard.split_once('<').and_then(|(_, rest)| Some(rest.split_once('>')?.0.to_owned()))
        };
        if heard.starts_with("MAIL") {
            self.sender = path(heard).filter(|_| said.starts_with('2'));
            self.recipients.clear();
            self.chunks.clear();
        } else if heard.starts_with("RCPT") && said.starts_with('2') && self.sender.is_some() {
            self.recipients.extend(path(heard));
        }
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.octets.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.octets.drain(..end + 2).collect();
                return Some(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            self.read().await?;
        }
    }

    async fn chunk(&mut self, size: usize) -> Option<()> {
        while self.octets.len() < size {
            self.read().await?;
        }
        self.chunks.extend(self.octets.drain(..size));
        Some(())
    }

    /// Reads content, and leaves it in `octets` without its end. Nothing may follow it, as RFC 2920 has it.
    async fn content(&mut self) -> Option<()> {
        loop {
            if self.octets == b".\r\n" {
                self.octets.clear();
                return Some(());
            }
            if self.octets.ends_with(b"\r\n.\r\n") {
                self.octets.truncate(self.octets.len() - 3);
                return Some(());
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> Option<()> {
        let mut octets = [0; 4096];
        match self.stream.read(&mut octets).await {
            Ok(0) | Err(_) => None,
            Ok(read) => {
                self.octets.extend_from_slice(&octets[..read]);
                Some(())
            }
        }
    }
}
