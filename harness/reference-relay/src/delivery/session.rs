//! A session with a next hop, from its greeting up to where mail can be sent.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::auth::{Authenticated, authenticate};
use super::connection::{Broken, Connection};
use super::destination::Destination;
use super::problem;
use crate::address::is_fully_qualified;
use crate::config::{Auth, AuthScope, TlsPolicy};
use crate::envelope::Problem;
use crate::relay::Context;
use crate::reply::Reply;

/// A session that is ready for mail.
pub(crate) struct Session {
    pub(super) connection: Connection,
    host: String,
    address: SocketAddr,
    offers: Offers,
    /// Credentials are set for this host, and it has not accepted them.
    pub(super) unauthenticated: bool,
    /// A transaction has been begun and not ended: RSET is due before the next one.
    pub(super) mid_transaction: bool,
    /// A MAIL was accepted in this session.
    pub(super) used: bool,
}

/// The extensions of the last EHLO reply: keywords in upper case, and their parameters. Empty after HELO.
#[derive(Debug, Default)]
struct Offers(BTreeMap<String, String>);

/// Why a session did not come about.
enum Failure {
    /// The host is of no use in this attempt.
    Host(Problem),
    /// TLS has failed after STARTTLS was accepted: the connection is lost, the host need not be.
    Tls(Problem),
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
    ) -> Result<Self, Problem> {
        let opening = Opening { context, destination, host, address };
        match opening.run(context.config.tls).await {
            Ok(session) => Ok(session),
            Err(Failure::Tls(problem)) if context.config.tls == TlsPolicy::Opportunistic => {
                let relay = relay_name(host, address);
                context.log.say(format!("{relay}: {} Going on in the clear.", problem.explanation));
                opening.run(TlsPolicy::Off).await.map_err(Failure::into_problem)
            }
            Err(failure) => Err(failure.into_problem()),
        }
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
    pub(crate) async fn quit(self) {
        self.connection.quit().await;
    }
}

impl Failure {
    fn into_problem(self) -> Problem {
        match self {
            Self::Host(problem) | Self::Tls(problem) => problem,
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

impl Opening<'_> {
    async fn run(&self, tls: TlsPolicy) -> Result<Session, Failure> {
        let connection = Connection::open(self.context, self.address).await;
        let mut connection = connection.map_err(|broken| self.broken(&broken, ""))?;
        match self.introduce(&mut connection).await {
            Ok((banner, offers)) => self.secure(connection, banner, offers, tls).await,
            Err(problem) => {
                connection.quit().await;
                Err(Failure::Host(problem))
            }
        }
    }

    /// The greeting, and our EHLO or HELO. Gives the greeting's text and what the host offers.
    async fn introduce(&self, connection: &mut Connection) -> Result<(String, Offers), Problem> {
        let limits = &self.context.config.timeouts;
        let greeting = connection.reply(limits.greeting).await;
        let greeting = greeting.map_err(|broken| self.broken_problem(&broken, "before greeting"))?;
        // RFC 5321 section 4.2: whatever stands after the 220, it is a greeting.
        if greeting.code != 220 {
            // Section 3.1 and RFC 7504: 554 and 521 say that no mail is taken here. Another host may take it.
            return Err(self.refusal(&greeting, "did not greet"));
        }
        let offers = self.hello(connection).await?;
        Ok((greeting.lines.first().cloned().unwrap_or_default(), offers))
    }

    /// EHLO, or HELO where EHLO is not understood.
    async fn hello(&self, connection: &mut Connection) -> Result<Offers, Problem> {
        let config = &self.context.config;
        let limit = config.timeouts.command;
        // Vintage, KB Q240832: a name such as `sub2.` in place of the relay's own.
        let name = config.vintage.helo_name.as_deref().unwrap_or(&config.hostname);
        let ehlo = connection.ask(&format!("EHLO {name}"), limit).await;
        let ehlo = ehlo.map_err(|broken| self.broken_problem(&broken, "after EHLO"))?;
        if ehlo.is_positive() {
            return Ok(Offers::read(&ehlo));
        }
        // Section 3.2 asks for HELO where the command is not recognized (500, 502). A host that dislikes the argument or
        // for want of a better code says 501, 504 or 550 is given the same chance, as KB Q240832 advises.
        if !matches!(ehlo.code, 500 | 501 | 502 | 504 | 550) {
            return Err(Self::not_now(self.refusal(&ehlo, "did not accept EHLO")));
        }
        let helo = connection.ask(&format!("HELO {name}"), limit).await;
        let helo = helo.map_err(|broken| self.broken_problem(&broken, "after HELO"))?;
        if helo.is_positive() {
            return Ok(Offers::default());
        }
        Err(Self::not_now(self.refusal(&helo, "accepted neither EHLO nor HELO")))
    }

    /// STARTTLS as the policy has it, then AUTH.
    async fn secure(
        &self,
        mut connection: Connection,
        banner: String,
        mut offers: Offers,
        tls: TlsPolicy,
    ) -> Result<Session, Failure> {
        let starts_tls = tls != TlsPolicy::Off && offers.0.contains_key("STARTTLS");
        if starts_tls {
            let limit = self.context.config.timeouts.command;
            let reply = connection.ask("STARTTLS", limit).await;
            let reply = reply.map_err(|broken| self.broken(&broken, "after STARTTLS"))?;
            if reply.code == 220 {
                connection = self.encrypt(connection, tls).await?;
                // RFC 3207 section 4.2: what was offered in the clear counts for nothing.
                offers = match self.hello(&mut connection).await {
                    Ok(offers) => offers,
                    Err(problem) => {
                        connection.quit().await;
                        return Err(Failure::Host(problem));
                    }
                };
            } else if tls == TlsPolicy::Required || connection.is_over() {
                connection.quit().await;
                // RFC 3207 section 4: 454 is a temporary failure, and so is any other when it is ours to insist.
                let problem = self.refusal(&reply, "refused STARTTLS, which is required");
                return Err(Failure::Host(Problem { status: "4.7.5".to_owned(), ..Self::not_now(problem) }));
            }
        } else if tls == TlsPolicy::Required {
            connection.quit().await;
            let explanation = format!("{} does not offer STARTTLS, which is required.", self.host);
            return Err(Failure::Host(self.own("4.7.4", explanation)));
        }
        self.authenticate(connection, &banner, offers).await
    }

    async fn encrypt(&self, connection: Connection, tls: TlsPolicy) -> Result<Connection, Failure> {
        let failed = |why: &str| {
            let explanation = format!("TLS with {} failed: {why}.", self.host);
            Failure::Tls(self.own("4.7.5", explanation))
        };
        if connection.has_leftovers() {
            // Whoever put octets between the 220 and the handshake wants them taken for encrypted ones.
            return Err(failed("there were octets after the reply to STARTTLS"));
        }
        let tls = match tls {
            TlsPolicy::Required => &self.context.tls.verified,
            TlsPolicy::Off | TlsPolicy::Opportunistic => &self.context.tls.opportunistic,
        };
        connection.into_tls(tls, self.host).await.map_err(|why| failed(&why))
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
        let mut unauthenticated = false;
        if let Some(auth) = self.credentials() {
            let offered = offers.0.get("AUTH").map_or("", String::as_str);
            let outcome = authenticate(&mut connection, auth, offered).await;
            let outcome = outcome.map_err(|broken| self.broken(&broken, "during AUTH"))?;
            if let Authenticated::No(refusal) = outcome {
                // RFC 4954 asks nothing of a client whose credentials are refused but not to call them accepted. So the
                // reference relay goes on without: a host that insists says 530, and only then does the mail wait.
                unauthenticated = true;
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
            mid_transaction: false,
            used: false,
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
