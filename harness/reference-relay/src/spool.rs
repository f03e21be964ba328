//! The queue on disk: a content file, written once, and an envelope file, replaced at each change, for each message.
//!
//! ```text
//! queue/Q1.content     the message
//! queue/Q1.envelope    a mark for each recipient, a line feed, and JSON: sender, recipients, what became of each
//! archive/             where Exchange 5.5 put what it did not report (KB Q254893)
//! postmaster/          mail to the relay's own postmaster, where nobody else is told of (RFC 5321 section 4.5.1)
//! damaged/             what could not be read at start
//! counter              the last queue id given out
//! ```
//!
//! A message is in the queue exactly while its envelope file is there. Each file is written beside its place, synced,
//! and renamed, so that a relay that dies between any two steps finds either the old state or the new one. Marks alone are
//! overwritten in their place: that takes the same time however many recipients there are, and no room, so that a full
//! disk cannot make the relay forget what it has delivered.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::envelope::Envelope;
use crate::environment::Disk;

/// The spool directory.
pub(crate) struct Spool {
    root: PathBuf,
    disk: Disk,
    last_id: Mutex<u64>,
    /// Called after each step that changes the disk.
    #[cfg(test)]
    after_step: Option<crate::testing::AfterStep>,
}

/// What was found at start.
#[derive(Default)]
pub(crate) struct Found {
    /// In the order of their ids.
    pub(crate) envelopes: Vec<Envelope>,
    /// What was moved aside or cleaned up, and why: for the log.
    pub(crate) remarks: Vec<String>,
}

/// The number in a queue id; ids are ordered by it.
pub(crate) fn number(id: &str) -> Option<u64> {
    id.strip_prefix('Q')?.parse().ok()
}

impl Spool {
    /// Opens or creates the spool, and reads what is in it.
    pub(crate) fn open(root: &Path, disk: Disk) -> io::Result<(Self, Found)> {
        for directory in ["queue", "archive", "damaged", "postmaster"] {
            fs::create_dir_all(root.join(directory))?;
        }
        let spool = Self {
            root: root.to_owned(),
            disk,
            last_id: Mutex::default(),
            #[cfg(test)]
            after_step: crate::testing::after_step(root),
        };
        // The largest id in sight, lest a lost counter give one out twice.
        let counter = fs::read_to_string(root.join("counter")).ok().and_then(|text| text.trim().parse().ok());
        let mut last = counter.unwrap_or(0);
        for directory in ["queue", "archive", "damaged", "postmaster"] {
            for name in spool.names(directory)? {
                last = last.max(name.split('.').next().and_then(number).unwrap_or(0));
            }
        }
        *spool.last_id.lock().expect("nothing panics while it holds the counter") = last;
        let found = spool.take_up()?;
        Ok((spool, found))
    }

    /// A queue id that was never given out before.
    pub(crate) fn next_id(&self) -> io::Result<String> {
        let mut last = self.last_id.lock().expect("nothing panics while it holds the counter");
        *last += 1;
        self.replace(&self.root.join("counter"), &[format!("{last}\n").as_bytes()])?;
        Ok(format!("Q{last}"))
    }

    /// Takes a message in. It is safe when this returns, and not there at all before the last step.
    /// The content is given in pieces, lest a large one be copied.
    pub(crate) fn store(&self, envelope: &Envelope, content: &[&[u8]]) -> io::Result<()> {
        let path = self.path("queue", &envelope.id, "content");
        self.replace(&path, content)?;
        self.update(envelope).inspect_err(|_| {
            // Not accepted, so nobody's. If it cannot be removed now, it is moved aside at the next start.
            let _ = fs::remove_file(path);
        })
    }

    /// Replaces a message's envelope.
    pub(crate) fn update(&self, envelope: &Envelope) -> io::Result<()> {
        let mut marks: Vec<u8> = envelope.recipients.iter().map(|recipient| recipient.state.mark()).collect();
        marks.push(b'\n');
        let json = serde_json::to_vec(envelope)?;
        self.replace(&self.path("queue", &envelope.id, "envelope"), &[&marks, &json])
    }

    /// Overwrites the marks of the recipients at `indexes` in a message's envelope. It needs no room.
    pub(crate) fn mark(&self, envelope: &Envelope, indexes: &[usize]) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(self.path("queue", &envelope.id, "envelope"))?;
        for &index in indexes {
            file.seek(SeekFrom::Start(index as u64))?;
            file.write_all(&[envelope.recipients[index].state.mark()])?;
        }
        file.sync_data()?;
        self.step();
        Ok(())
    }

    pub(crate) fn content(&self, id: &str) -> io::Result<Vec<u8>> {
        fs::read(self.path("queue", id, "content"))
    }

    /// Whether a message of that id is in the queue.
    pub(crate) fn holds(&self, id: &str) -> bool {
        self.path("queue", id, "envelope").exists()
    }

    /// Forgets a message: the envelope first, for it is what makes it one.
    pub(crate) fn remove(&self, id: &str) -> io::Result<()> {
        for kind in ["envelope", "content"] {
            fs::remove_file(self.path("queue", id, kind))?;
            self.step();
        }
        Ok(())
    }

    /// Moves a message to the archive, its envelope last: what is in the queue no more must be in the archive.
    pub(crate) fn archive(&self, id: &str) -> io::Result<()> {
        self.disk.room()?;
        fs::copy(self.path("queue", id, "content"), self.path("archive", id, "content"))?;
        fs::rename(self.path("queue", id, "envelope"), self.path("archive", id, "envelope"))?;
        self.step();
        fs::remove_file(self.path("queue", id, "content"))
    }

    /// Puts a message's content into the postmaster's folder. To do it twice is to do it once.
    pub(crate) fn keep_for_postmaster(&self, id: &str) -> io::Result<()> {
        self.replace(&self.path("postmaster", id, "content"), &[&self.content(id)?])
    }

    /// The envelopes in the archive, in the order of their ids; those that cannot be read are passed over.
    pub(crate) fn archived(&self) -> Vec<Envelope> {
        let names = self.names("archive").unwrap_or_default();
        let mut envelopes: Vec<_> = names
            .iter()
            .filter_map(|name| self.read("archive", name.strip_suffix(".envelope")?).ok())
            .collect();
        envelopes.sort_by_key(|envelope| number(&envelope.id));
        envelopes
    }

    fn take_up(&self) -> io::Result<Found> {
        let mut found = Found::default();
        let names = self.names("queue")?;
        for name in &names {
            match name.rsplit_once('.') {
                Some((id, "envelope")) => match self.read("queue", id) {
                    Ok(envelope) => found.envelopes.push(envelope),
                    Err(why) => {
                        found.remarks.push(format!("{id}: moved to damaged: {why}"));
                        self.move_aside(name)?;
                        self.move_aside(&format!("{id}.content"))?;
                    }
                },
                // A message that was not yet accepted, or one that was being forgotten: no one waits for it.
                Some((id, "content")) if !names.contains(&format!("{id}.envelope")) => {
                    found.remarks.push(format!("{name}: moved to damaged: it has no envelope"));
                    self.move_aside(name)?;
                }
                Some((_, "content")) => {}
                Some((_, "new")) => {
                    found.remarks.push(format!("{name}: removed: it was never finished"));
                    fs::remove_file(self.root.join("queue").join(name))?;
                }
                _ => {
                    found.remarks.push(format!("{name}: moved to damaged: it is not of this queue"));
                    self.move_aside(name)?;
                }
            }
        }
        found.envelopes.sort_by_key(|envelope| number(&envelope.id));
        Ok(found)
    }

    fn read(&self, directory: &str, id: &str) -> Result<Envelope, String> {
        let octets = fs::read(self.path(directory, id, "envelope")).map_err(|error| error.to_string())?;
        let end =
            octets.iter().position(|&octet| octet == b'\n').ok_or("its envelope has no end of marks")?;
        let (marks, json) = octets.split_at(end);
        let mut envelope: Envelope =
            serde_json::from_slice(json).map_err(|error| format!("its envelope cannot be read: {error}"))?;
        if marks.len() != envelope.recipients.len() {
            return Err(format!("{} marks, {} recipients", marks.len(), envelope.recipients.len()));
        }
        let arrival = envelope.arrival;
        for (recipient, mark) in envelope.recipients.iter_mut().zip(marks) {
            recipient.state.take_mark(*mark, arrival);
        }
        if envelope.id != id || number(id).is_none() {
            return Err(format!("its envelope is that of {}", envelope.id));
        }
        match fs::metadata(self.path(directory, id, "content")) {
            Ok(content) if content.len() == envelope.size => Ok(envelope),
            Ok(content) => {
                Err(format!("its content has {} octets in place of {}", content.len(), envelope.size))
            }
            Err(error) => Err(format!("its content cannot be read: {error}")),
        }
    }

    fn move_aside(&self, name: &str) -> io::Result<()> {
        match fs::rename(self.root.join("queue").join(name), self.root.join("damaged").join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn replace(&self, path: &Path, pieces: &[&[u8]]) -> io::Result<()> {
        let unfinished = PathBuf::from(format!("{}.new", path.display()));
        self.write(&unfinished, pieces).inspect_err(|_| {
            // What there is of it takes up the room that is wanting. If it cannot be removed now, it is at the next start.
            let _ = fs::remove_file(&unfinished);
        })?;
        self.step();
        fs::rename(&unfinished, path)?;
        // That the name stands there is a fact of the directory; Windows opens none, and its file systems journal names.
        if let Some(directory) = path.parent().filter(|_| cfg!(unix)) {
            File::open(directory)?.sync_all()?;
        }
        self.step();
        Ok(())
    }

    fn write(&self, path: &Path, pieces: &[&[u8]]) -> io::Result<()> {
        let mut file = self.disk.noted(File::create(path))?;
        self.disk.room()?;
        for piece in pieces {
            self.disk.noted(file.write_all(piece))?;
        }
        self.disk.noted(file.sync_all())
    }

    fn names(&self, directory: &str) -> io::Result<Vec<String>> {
        let mut names = fs::read_dir(self.root.join(directory))?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<io::Result<Vec<_>>>()?;
        // The order of a directory is the file system's whim.
        names.sort();
        Ok(names)
    }

    fn path(&self, directory: &str, id: &str, kind: &str) -> PathBuf {
        self.root.join(directory).join(format!("{id}.{kind}"))
    }

    #[cfg_attr(not(test), expect(clippy::unused_self, reason = "tests look at the disk after each step"))]
    fn step(&self) {
        #[cfg(test)]
        if let Some(after_step) = &self.after_step {
            after_step(&self.root);
        }
    }
}
