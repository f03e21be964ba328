//! A relay small enough to read: it takes mail from anybody, keeps it on disk, and tries a smart host at once and every 30 minutes.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

const SPOOL: &str = "/var/spool/our-relay";
const RETRY: Duration = Duration::from_secs(30 * 60);
/// One delivery at a time.
static DELIVERING: Mutex<()> = Mutex::new(());

fn main() -> io::Result<()> {
    let argument = std::env::args().nth(1).unwrap_or_default();
    if argument == "--version" {
        println!("our-relay {}", env!("CARGO_PKG_VERSION"));
        return Ok(());
    }
    let text = fs::read_to_string(argument)?;
    let of = |key: &str| {
        text.lines().find_map(|line| line.strip_prefix(key)).map(|value| value.trim().to_owned()).unwrap_or_default()
    };
    let (hostname, smarthost) = (of("hostname "), of("smarthost "));
    let listener = TcpListener::bind(of("listen "))?;
    let (name, hub) = (hostname.clone(), smarthost.clone());
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(RETRY);
            deliver_all(&name, &hub);
        }
    });
    for client in listener.incoming() {
        let taken = client.and_then(|client| receive(client, &hostname));
        match taken {
            Ok(0) => {}
            Ok(_) => deliver_all(&hostname, &smarthost),
            Err(error) => eprintln!("our-relay: a client: {error}"),
        }
    }
    Ok(())
}

/// A client's session; how many messages it left.
fn receive(client: TcpStream, hostname: &str) -> io::Result<usize> {
    let mut lines = BufReader::new(client.try_clone()?);
    let mut reply = client;
    let (mut from, mut to, mut taken, mut line) = (String::new(), Vec::new(), 0, Vec::new());
    write!(reply, "220 {hostname} ESMTP our-relay\r\n")?;
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line)? == 0 {
            return Ok(taken);
        }
        let said = String::from_utf8_lossy(&line).trim_end().to_owned();
        let verb = said.to_ascii_uppercase();
        let address = || said.split_once('<').and_then(|(_, rest)| Some(rest.split_once('>')?.0.to_owned()));
        if verb.starts_with("EHLO") || verb.starts_with("HELO") {
            write!(reply, "250 {hostname}\r\n")?;
        } else if verb.starts_with("MAIL FROM:") {
            (from, to) = (address().unwrap_or_default(), Vec::new());
            write!(reply, "250 2.1.0 ok\r\n")?;
        } else if verb.starts_with("RCPT TO:") {
            to.extend(address());
            write!(reply, "250 2.1.5 ok\r\n")?;
        } else if verb == "DATA" && !to.is_empty() {
            write!(reply, "354 go on\r\n")?;
            let mut mail = format!("Received: from client by {hostname} with ESMTP; {}\r\n", date()).into_bytes();
            loop {
                line.clear();
                if lines.read_until(b'\n', &mut line)? == 0 {
                    return Ok(taken);
                }
                if line == b".\r\n" {
                    break;
                }
                mail.extend_from_slice(&line);
            }
            keep(&from, &to, &mail)?;
            taken += 1;
            write!(reply, "250 2.0.0 queued\r\n")?;
        } else if verb == "QUIT" {
            write!(reply, "221 2.0.0 bye\r\n")?;
            return Ok(taken);
        } else if verb == "RSET" || verb == "NOOP" {
            to.clear();
            write!(reply, "250 2.0.0 ok\r\n")?;
        } else {
            write!(reply, "503 5.5.1 not now\r\n")?;
        }
    }
}

/// To disk, all of it or nothing; the queue's listing is a file beside each mail.
fn keep(from: &str, to: &[String], mail: &[u8]) -> io::Result<()> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let id = format!("Q{}", now.as_micros());
    let listed: String =
        to.iter().map(|to| format!("id={id}\tfrom={from}\tto={to}\tarrived={}\n", now.as_secs())).collect();
    let at = |kind: &str| PathBuf::from(format!("{SPOOL}/{id}.{kind}"));
    let mut whole = format!("{from}\n{}\n", to.join(" ")).into_bytes();
    whole.extend_from_slice(mail);
    fs::write(at("queue"), listed)?;
    fs::write(at("new"), whole)?;
    fs::rename(at("new"), at("mail"))
}

fn deliver_all(hostname: &str, smarthost: &str) {
    let _one = DELIVERING.lock();
    let mut mails: Vec<PathBuf> = fs::read_dir(SPOOL).into_iter().flatten().flatten().map(|one| one.path()).collect();
    mails.retain(|path| path.extension().is_some_and(|kind| kind == "mail"));
    mails.sort();
    for mail in mails {
        if let Err(error) = deliver(&mail, hostname, smarthost) {
            eprintln!("our-relay: {}: {error}", mail.display());
        }
    }
}

fn deliver(path: &Path, hostname: &str, smarthost: &str) -> io::Result<()> {
    let whole = fs::read(path)?;
    let mut parts = whole.splitn(3, |byte| *byte == b'\n');
    let mut next = || parts.next().unwrap_or_default();
    let (from, to, mail) = (next(), next(), next());
    let (from, to) = (String::from_utf8_lossy(from), String::from_utf8_lossy(to));
    let mut hub = TcpStream::connect(smarthost)?;
    let mut replies = BufReader::new(hub.try_clone()?);
    let mut expect = |code: char| -> io::Result<()> {
        loop {
            let mut reply = String::new();
            if replies.read_line(&mut reply)? == 0 {
                return Err(io::Error::other("the smart host hung up"));
            }
            if reply.as_bytes().get(3) != Some(&b'-') {
                let words = reply.trim_end().to_owned();
                return if reply.starts_with(code) { Ok(()) } else { Err(io::Error::other(words)) };
            }
        }
    };
    let done = (|| {
        expect('2')?;
        write!(hub, "EHLO {hostname}\r\n")?;
        expect('2')?;
        write!(hub, "MAIL FROM:<{from}>\r\n")?;
        expect('2')?;
        for to in to.split(' ') {
            write!(hub, "RCPT TO:<{to}>\r\n")?;
            expect('2')?;
        }
        write!(hub, "DATA\r\n")?;
        expect('3')?;
        hub.write_all(mail)?;
        write!(hub, ".\r\n")?;
        expect('2')
    })();
    let _ = write!(hub, "QUIT\r\n");
    done?;
    let _ = expect('2');
    fs::remove_file(path)?;
    fs::remove_file(path.with_extension("queue"))
}

/// By RFC 5322 section 3.3; the day's name is optional there.
fn date() -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let (mut days, time) = (seconds / 86400, seconds % 86400);
    let (mut year, mut month) = (1970, 0);
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    format!("{} {} {year} {hour:02}:{minute:02}:{second:02} +0000", days + 1, MONTHS[month])
}
