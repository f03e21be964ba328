//! A session with a next hop, from its greeting up to where mail can be sent.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::auth::{Authenticated, authenticate};
use super::connection::{Broken, Connection};
use super::destination::Destination;
use super::memory::Trouble;
use super::problem;
use crate::address::is_fully_qualified;
use crate::config::{Auth, AuthScope, TlsPolicy};
use crate::envelope::Problem;
use crate::relay::Context;
use crate::reply::Reply;
use crate::tls::Dane;

/// A session that is ready for mail.
pub(crate) struct Session {
    pub(super) connection: Connection,
    host: String,
    address: SocketAddr,
    offers: Offers,
    /// Credentials are set for this host, and it has not accepted them.
    pub(super) unauthenticated: bool,
    /// It has refused them.
    pub(super) auth_refused: bool,
    /// A transaction has been begun and not ended: RSET is due before the next one.
    pub(super) mid_transaction: bool,
    /// A BDAT has failed, and RSET is due before anything else (RFC 3030 section 2).
    pub(super) chunk_failed: bool,
    /// A MAIL was accepted in this session.
    pub(super) used: bool,
    /// How many MAIL commands were sent.
    pub(super) mails: usize,
    /// More recipients than this were refused as too many (RFC 5321 section 4.5.3.1.10).
    pub(super) room: Option<usize>,
}

/// The extensions of the last EHLO reply: keywords in upper case, and their parameters. Empty after HELO.
#[derive(Debug, Default)]
struct Offers(BTreeMap<String, String>);

/// Why a session did not come about.
enum Failure {
    /// The host is of no use in this attempt.
    Host(Problem),
    /// EHLO was refused for good, and the connection was gone before HELO could be said: another may take HELO.
    Ehlo(Problem),
    /// The connection was lost, or nothing came, at EHLO.
    Lost(Problem),
    /// TLS has failed after STARTTLS was accepted: the connection is lost, the host need not be.
    Tls(Problem),
}

/// How a session is to be protected.
#[derive(Debug, Clone, Copy)]
enum Protection<'a> {
    None,
    /// By TLS where it is offered and works.
    Opportunistic,
    /// By TLS, with a certificate from one of the configured roots.
    Verified,
    /// By TLS, with the certificate that TLSA records stand for.
    Dane(&'a Dane),
}

/// How a host is shown in the log: `mx.x.example[198.51.100.7]`.
pub(crate) fn relay_name(host: &str, address: SocketAddr) -> String {
    if host.starts_with('[') { host.to_owned() } else { format!("{host}[{}]", address.ip()) }
}

impl Session {
    /// Opens a session: greeting, EHLO or HELO, STARTTLS, AUTH. If TLS is opportunistic and fails, a second connection
    /// does without, in the same attempt.
    pub(super) async fn open(
        context: &Arc<Context>,
        destination: &Destination,
        host: &str,
        address: SocketAddr,
        dane: Option<&Dane>,
    ) -> Result<Self, Problem> {
        let protection = match (context.config.tls, dane) {
            (TlsPolicy::Off, _) => Protection::None,
            (TlsPolicy::Required, _) => Protection::Verified,
            (TlsPolicy::Dane, Some(dane)) => Protection::Dane(dane),
            // RFC 7672 section 2.2: without secure TLSA records, as if there were no DANE.
            (TlsPolicy::Opportunistic | TlsPolicy::Dane, _) => Protection::Opportunistic,
        };
        let opening = Opening { context, destination, host, address };
        opening.with_second_thoughts(protection).await.map_err(Failure::into_problem)
    }

    /// Keeps in mind what this host cannot do.
    pub(super) fn note(&self, trouble: Trouble) {
        let context = &self.connection.context;
        context.memory.note(self.address, trouble, context.clock.now());
    }

    fn is_up_to(&self, trouble: Trouble) -> bool {
        let context = &self.connection.context;
        !context.memory.recalls(self.address, trouble, context.clock.now())
    }

    pub(super) fn pipelines(&self) -> bool {
        self.offer("PIPELINING").is_some() && self.is_up_to(Trouble::Pipelining)
    }

    /// Whether mail goes by BDAT here.
    pub(super) fn takes_chunks(&self, binary: bool) -> bool {
        let wanted = binary || self.connection.context.config.chunking;
        wanted && self.offer("CHUNKING").is_some() && self.is_up_to(Trouble::Chunking)
    }

    /// How many recipients one transaction may have: what LIMITS says (RFC 9422, from memory: RCPTMAX), or what was found out.
    pub(super) fn most_recipients(&self) -> usize {
        let told = self.limit("RCPTMAX").unwrap_or(usize::MAX);
        self.room.map_or(told, |room| room.min(told))
    }

    /// Whether LIMITS allows one more MAIL in this session (RFC 9422, from memory: MAILMAX).
    pub(super) fn takes_more_mail(&self) -> bool {
        self.limit("MAILMAX").is_none_or(|most| self.mails < most)
    }

    /// A limit that is told; zero would be no offer at all.
    fn limit(&self, name: &str) -> Option<usize> {
        let limits = self.offer("LIMITS")?.split_ascii_whitespace().filter_map(|limit| limit.split_once('='));
        let mut values = limits.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        values.next()?.parse().ok().filter(|&most| most > 0)
    }

    /// RFC 3030 section 3: BINARYMIME goes with CHUNKING, and never with DATA.
    pub(super) fn takes_binary(&self) -> bool {
        self.offer("BINARYMIME").is_some() && self.takes_chunks(true)
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The parameters of an extension, if it is offered.
    pub(super) fn offer(&self, keyword: &str) -> Option<&str> {
        self.offers.0.get(keyword).map(String::as_str)
    }

    /// Ends the session in order.
    pub(crate) async fn quit(mut self) {
        if self.chunk_failed && !self.connection.is_over() {
            let limit = self.connection.context.config.timeouts.command;
            // Whatever comes of it, the session is over.
            let _ = self.connection.ask("RSET", limit).await;
        }
        self.connection.quit().await;
    }
}

impl Failure {
    fn into_problem(self) -> Problem {
        match self {
            Self::Host(problem) | Self::Ehlo(problem) | Self::Lost(problem) | Self::Tls(problem) => problem,
        }
    }
}

/// A session that is being opened.
struct Opening<'a> {
    context: &'a Arc<Context>,
    destination: &'a Destination,
    host: &'a str,
    address: SocketAddr,
}

impl Protection<'_> {
    /// Rather no session than one without TLS.
    fn is_needed(self) -> bool {
        matches!(self, Self::Verified | Self::Dane(_))
    }
}

impl Opening<'_> {
    /// Opens a session, with a second connection where that can do without what broke the first.
    async fn with_second_thoughts(&self, protection: Protection<'_>) -> Result<Session, Failure> {
        let memory = &self.context.memory;
        let now = self.context.clock.now();
        // HELO leaves nothing to be had but plain mail: no TLS, no AUTH.
        let plain_will_do = !protection.is_needed() && self.credentials().is_none();
        let says_ehlo = !plain_will_do || !memory.recalls(self.address, Trouble::Ehlo, now);
        match self.run(protection, says_ehlo).await {
            Err(Failure::Tls(problem)) if !protection.is_needed() => {
                let relay = relay_name(self.host, self.address);
                self.context.log.say(format!("{relay}: {} Going on in the clear.", problem.explanation));
                self.run(Protection::None, says_ehlo).await
            }
            Err(Failure::Ehlo(problem)) if plain_will_do => {
                memory.note(self.address, Trouble::Ehlo, now);
                match self.run(protection, false).await {
                    // What it said of EHLO is more than that it has closed.
                    Err(Failure::Lost(_)) => {
                        memory.forget(self.address, Trouble::Ehlo);
                        Err(Failure::Host(problem))
                    }
                    outcome => outcome,
                }
            }
            // RFC 5321 section 3.2: HELO is for a host that does not recognize EHLO, and one that was cut off has not said so.
            Err(Failure::Lost(problem)) => {
                memory.forget(self.address, Trouble::Ehlo);
                Err(Failure::Host(problem))
            }
            outcome => outcome,
        }
    }

    async fn run(&self, protection: Protection<'_>, says_ehlo: bool) -> Result<Session, Failure> {
        let connection = Connection::open(self.context, self.address).await;
        let mut connection = connection.map_err(|broken| self.broken(&broken, ""))?;
        match self.introduce(&mut connection, says_ehlo).await {
            Ok((banner, offers)) => self.secure(connection, banner, offers, protection).await,
            Err(failure) => {
                connection.quit().await;
                Err(failure)
            }
        }
    }

    /// The greeting, and our EHLO or HELO. Gives the greeting's text and what the host offers.
    async fn introduce(
        &self,
        connection: &mut Connection,
        says_ehlo: bool,
    ) -> Result<(String, Offers), Failure> {
        let limits = &self.context.config.timeouts;
        let greeting = connection.reply(limits.greeting).await;
        let greeting = greeting.map_err(|broken| self.broken(&broken, "before greeting"))?;
        // RFC 5321 section 4.2: whatever stands after the 220, it is a greeting.
        if greeting.code != 220 {
            // Section 3.1 and RFC 7504: 554 and 521 say that no mail is taken here. Another host may take it.
            return Err(Failure::Host(self.refusal(&greeting, "did not greet")));
        }
        let offers =
            if says_ehlo { self.hello(connection).await? } else { self.helo(connection, None).await? };
        Ok((greeting.lines.first().cloned().unwrap_or_default(), offers))
    }

    /// EHLO, or HELO where EHLO is not understood.
    async fn hello(&self, connection: &mut Connection) -> Result<Offers, Failure> {
        let limit = self.context.config.timeouts.command;
        let ehlo = connection.ask(&format!("EHLO {}", self.own_name()), limit).await;
        let ehlo = ehlo.map_err(|broken| self.lost(&broken, "after EHLO"))?;
        if ehlo.is_positive() {
            return Ok(Offers::read(&ehlo));
        }
        // Vintage, Haraka: a 5yz is a 5yz, whatever it is to.
        if self.context.config.vintage.never_says_helo && ehlo.is_permanent() {
            return Err(Failure::Host(self.refusal(&ehlo, "refused EHLO")));
        }
        // Section 3.2 asks for HELO where the command is not recognized (500, 502). A host that dislikes the argument or
        // for want of a better code says 501, 504 or 550 is given the same chance, as KB Q240832 advises.
        if !matches!(ehlo.code, 500 | 501 | 502 | 504 | 550) {
            return Err(Failure::Host(Self::not_now(self.refusal(&ehlo, "did not accept EHLO"))));
        }
        self.helo(connection, Some(&ehlo)).await
    }

    /// HELO, after a refusal of EHLO or in its place.
    async fn helo(&self, connection: &mut Connection, refused: Option<&Reply>) -> Result<Offers, Failure> {
        let limit = self.context.config.timeouts.command;
        let helo = match connection.ask(&format!("HELO {}", self.own_name()), limit).await {
            Ok(helo) => helo,
            Err(broken @ (Broken::Closed | Broken::Reset | Broken::TimedOut)) => {
                let lost = || self.lost(&broken, "after HELO");
                let said = |ehlo| Failure::Ehlo(Self::not_now(self.refusal(ehlo, "did not accept EHLO")));
                return Err(refused.map_or_else(lost, said));
            }
            Err(broken) => return Err(self.broken(&broken, "after HELO")),
        };
        if helo.is_positive() {
            return Ok(Offers::default());
        }
        Err(Failure::Host(Self::not_now(self.refusal(&helo, "accepted neither EHLO nor HELO"))))
    }

    /// Vintage, KB Q240832: a name such as `sub2.` in place of the relay's own.
    fn own_name(&self) -> &str {
        let config = &self.context.config;
        config.vintage.helo_name.as_deref().unwrap_or(&config.hostname)
    }

    /// STARTTLS as the policy has it, then AUTH.
    async fn secure(
        &self,
        mut connection: Connection,
        banner: String,
        mut offers: Offers,
        protection: Protection<'_>,
    ) -> Result<Session, Failure> {
        let starts_tls = !matches!(protection, Protection::None) && offers.0.contains_key("STARTTLS");
        if starts_tls {
            let limit = self.context.config.timeouts.command;
            let reply = connection.ask("STARTTLS", limit).await;
            let reply = reply.map_err(|broken| self.broken(&broken, "after STARTTLS"))?;
            if reply.code == 220 {
                connection = self.encrypt(connection, protection).await?;
                // RFC 3207 section 4.2: what was offered in the clear counts for nothing.
                offers = match self.hello(&mut connection).await {
                    Ok(offers) => offers,
                    // TLS 1.3 lets a client think that all is well before the server has had its say.
                    Err(Failure::Lost(problem)) => return Err(Failure::Tls(problem)),
                    Err(failure) => {
                        connection.quit().await;
                        return Err(failure);
                    }
                };
            } else if connection.is_over() {
                // RFC 5321 section 3.8: 421 is about the session, and not about TLS.
                return Err(Failure::Host(self.refusal(&reply, "ended the session at STARTTLS")));
            } else if protection.is_needed() {
                connection.quit().await;
                // RFC 3207 section 4: 454 is a temporary failure, and so is any other when it is ours to insist.
                let problem = self.refusal(&reply, "refused STARTTLS, which is required");
                return Err(Failure::Host(Problem { status: "4.7.5".to_owned(), ..Self::not_now(problem) }));
            }
        } else if protection.is_needed() {
            connection.quit().await;
            let explanation = format!("{} does not offer STARTTLS, which is required.", self.host);
            return Err(Failure::Host(self.own("4.7.4", explanation)));
        }
        self.authenticate(connection, &banner, offers).await
    }

    async fn encrypt(
        &self,
        connection: Connection,
        protection: Protection<'_>,
    ) -> Result<Connection, Failure> {
        let failed = |why: &str| {
            let explanation = format!("TLS with {} failed: {why}.", self.host);
            Failure::Tls(self.own("4.7.5", explanation))
        };
        if connection.has_leftovers() {
            // Whoever put octets between the 220 and the handshake wants them taken for encrypted ones.
            return Err(failed("there were octets after the reply to STARTTLS"));
        }
        let tls = &self.context.tls;
        let (connector, name) = match protection {
            Protection::Verified => (tls.verified.clone(), self.host),
            Protection::Dane(dane) => {
                let connector = tls.dane(dane).map_err(|error| failed(&error.to_string()))?;
                (connector, dane.names.first().map_or(self.host, String::as_str))
            }
            Protection::None | Protection::Opportunistic => (tls.opportunistic.clone(), self.host),
        };
        connection.into_tls(&connector, name).await.map_err(|why| failed(&why))
    }

    async fn authenticate(
        &self,
        mut connection: Connection,
        banner: &str,
        offers: Offers,
    ) -> Result<Session, Failure> {
        let vintage = &self.context.config.vintage;
        // Vintage, KB Q301401: the name in the banner is to say whether X-EXPS is ours to use; a short one says neither.
        if vintage.distrusts_short_banners
            && offers.0.contains_key("X-EXPS")
            && !banner.split(' ').next().is_some_and(is_fully_qualified)
        {
            connection.quit().await;
            let explanation =
                format!("{} could not be told to be inside or outside the organization.", self.host);
            return Err(Failure::Host(self.own("4.4.0", explanation)));
        }
        let (mut unauthenticated, mut auth_refused) = (false, false);
        if let Some(auth) = self.credentials() {
            let offered = offers.0.get("AUTH").map_or("", String::as_str);
            let outcome = authenticate(&mut connection, auth, offered).await;
            let outcome = outcome.map_err(|broken| self.broken(&broken, "during AUTH"))?;
            if let Authenticated::No(refusal) = outcome {
                // RFC 4954 asks nothing of a client whose credentials are refused but not to call them accepted. So the
                // reference relay goes on without: a host that insists says 530, and only then does the mail wait.
                unauthenticated = true;
                auth_refused = refusal.is_some();
                // Vintage, KB Q329636: a host that has AUTH and does not accept ours keeps the mail waiting.
                let insists = vintage.insists_on_auth && !offered.is_empty();
                if insists || connection.is_over() {
                    connection.quit().await;
                    return Err(Failure::Host(self.auth_rejected(refusal)));
                }
            }
        }
        Ok(Session {
            connection,
            host: self.host.to_owned(),
            address: self.address,
            offers,
            unauthenticated,
            auth_refused,
            mid_transaction: false,
            chunk_failed: false,
            used: false,
            mails: 0,
            room: None,
        })
    }

    /// The credentials for this host, if there are any.
    fn credentials(&self) -> Option<&Auth> {
        let is_smart_host = matches!(self.destination, Destination::Named { smart: true, .. });
        self.context.config.auth.as_ref().filter(|auth| auth.to == AuthScope::Any || is_smart_host)
    }

    fn auth_rejected(&self, refusal: Option<Reply>) -> Problem {
        // KB Q329636, to the letter.
        let explanation = "The remote SMTP service rejected AUTH negotiation.".to_owned();
        Problem { reply: refusal.map(|reply| reply.on_one_line()), ..self.own("4.7.0", explanation) }
    }

    fn own(&self, status: &str, explanation: String) -> Problem {
        Problem { host: Some(self.host.to_owned()), ..problem::own(self.context, status, explanation) }
    }

    fn refusal(&self, reply: &Reply, what: &str) -> Problem {
        problem::refusal(self.context, self.host, reply, what)
    }

    fn broken_problem(&self, broken: &Broken, when: &str) -> Problem {
        problem::broken(self.context, self.host, broken, when)
    }

    fn broken(&self, broken: &Broken, when: &str) -> Failure {
        Failure::Host(self.broken_problem(broken, when))
    }

    fn lost(&self, broken: &Broken, when: &str) -> Failure {
        Failure::Lost(self.broken_problem(broken, when))
    }

    /// A permanent refusal of *us*, before any mail was spoken of: the mail waits. An operator can mend our name or our
    /// certificate (that is the remedy of KB Q240832), and until then the sender is warned, and in the end told.
    fn not_now(problem: Problem) -> Problem {
        if !problem.permanent {
            return problem;
        }
        Problem { permanent: false, status: "4.5.0".to_owned(), ..problem }
    }
}

impl Offers {
    /// The lines after the first (RFC 5321 section 4.1.1.1). `AUTH=LOGIN`, as some older servers write it, is AUTH too.
    fn read(reply: &Reply) -> Self {
        let mut offers = BTreeMap::new();
        for line in reply.lines.iter().skip(1) {
            let (keyword, parameters) = line.trim().split_once([' ', '=']).unwrap_or((line.trim(), ""));
            let parameters = parameters.trim().to_owned();
            let known: &mut String = offers.entry(keyword.to_ascii_uppercase()).or_default();
            if !known.is_empty() && !parameters.is_empty() {
                known.push(' ');
            }
            known.push_str(&parameters);
        }
        Self(offers)
    }
}
