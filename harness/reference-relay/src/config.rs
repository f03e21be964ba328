//! What the relay can be told, in the field's words.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::environment::Disk;

/// The whole configuration of one relay.
#[derive(Debug, Clone)]
pub struct Config {
    /// The relay's own name: in its banner, in EHLO, in `Received:` and in notifications.
    pub hostname: String,
    /// Where it accepts mail.
    pub listen: SocketAddr,
    /// Its DNS server.
    pub resolver: SocketAddr,
    /// The directory that holds the queue. Mail found there at start is taken up again.
    pub spool: PathBuf,
    /// The disk that the spool is on.
    pub disk: Disk,
    /// Clients that may relay. Others get 550 5.7.1 at RCPT for a domain that is not in [`Config::routes`].
    pub trusted: Vec<IpAddr>,
    /// Everything goes through this host, unless a route says otherwise.
    pub smarthost: Option<Host>,
    /// Domains with a way of their own; they win over the smart host and over DNS.
    pub routes: Vec<Route>,
    /// Where mail to `<Postmaster>`, and to `postmaster` at [`Config::hostname`], is forwarded (RFC 5321 section 4.5.1: it
    /// must be taken). `None`: to `postmaster` at the domain of the first route; without routes, such mail is kept in the
    /// folder `postmaster` of the spool.
    pub postmaster: Option<String>,
    /// Credentials for next hops that offer AUTH.
    pub auth: Option<Auth>,
    /// When STARTTLS is used towards next hops.
    pub tls: TlsPolicy,
    /// PEM-encoded certificates of the authorities that [`TlsPolicy::Required`] trusts.
    pub tls_roots: Vec<String>,
    /// The certificate with which it accepts STARTTLS (RFC 3207) from clients; `None`: it does not offer it.
    pub certificate: Option<Certificate>,
    /// Retry schedule, delay warning, lifetime.
    pub queue: Queue,
    /// The largest message that is taken, in octets; announced by SIZE (RFC 1870). `None`: no limit, `SIZE` alone.
    pub size_limit: Option<u64>,
    /// Whether one session carries several messages to the same host.
    pub reuse: bool,
    /// Whether mail goes by BDAT (RFC 3030) to hosts that offer CHUNKING. Binary mail does in any case, for DATA cannot carry
    /// it.
    pub chunking: bool,
    /// How long to wait for each kind of reply.
    pub timeouts: Timeouts,
    /// Historic behaviour; all off in the reference relay.
    pub vintage: Vintage,
}

impl Config {
    /// RFC 5321 section 4.5.1: the address that stands for `<Postmaster>`. It is the relay's own where mail is not forwarded.
    pub(crate) fn postmaster_address(&self) -> String {
        let of_route = || Some(format!("postmaster@{}", self.routes.first()?.domain));
        let forwarded = self.postmaster.clone().or_else(of_route);
        forwarded.unwrap_or_else(|| format!("postmaster@{}", self.hostname))
    }

    /// Whether an address is the postmaster's of the relay itself; local parts are compared without regard to case here
    /// only (section 4.5.1).
    pub(crate) fn is_own_postmaster(&self, address: &str) -> bool {
        address.rsplit_once('@').is_some_and(|(local, domain)| {
            local.eq_ignore_ascii_case("postmaster")
                && domain.trim_end_matches('.').eq_ignore_ascii_case(self.hostname.trim_end_matches('.'))
        })
    }
}

/// A domain and the host that takes its mail.
#[derive(Debug, Clone)]
pub struct Route {
    /// The recipient's domain, compared without regard to case.
    pub domain: String,
    /// Where its mail goes.
    pub via: Host,
}

/// A next hop that is named by the operator and not by MX.
#[derive(Debug, Clone)]
pub enum Host {
    /// A name, looked up for its addresses only (no MX), port 25.
    Name(String),
    /// An address.
    Address(SocketAddr),
}

/// SMTP AUTH as a client (RFC 4954).
#[derive(Debug, Clone)]
pub struct Auth {
    /// To whom.
    pub to: AuthScope,
    /// The user's name.
    pub user: String,
    /// The password.
    pub password: String,
    /// Mechanisms in order of preference; those the server does not offer are passed over.
    pub mechanisms: Vec<Mechanism>,
}

/// Which next hops are authenticated to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthScope {
    /// The smart host only.
    Smarthost,
    /// Any host, MX included: what Exchange 2000 calls the virtual server's outbound security (KB Q329636).
    Any,
}

/// A SASL mechanism that the relay can speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// RFC 4616.
    Plain,
    /// The old two-challenge LOGIN; no RFC, but what many smart hosts want.
    Login,
    /// RFC 2195: the password itself does not go over the wire.
    CramMd5,
}

/// A certificate and its key.
#[derive(Clone)]
pub struct Certificate {
    /// PEM: the relay's own certificate, then those that vouch for it.
    pub chain: String,
    /// PEM: the private key.
    pub key: String,
}

impl std::fmt::Debug for Certificate {
    /// Without the key, which is nobody's to see.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").field("chain", &self.chain).finish_non_exhaustive()
    }
}

/// When STARTTLS (RFC 3207) is used towards next hops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsPolicy {
    /// Never.
    Off,
    /// When offered, without looking at the certificate; in the clear when it fails.
    #[default]
    Opportunistic,
    /// Always, with a certificate that is valid for the host's name; the mail waits otherwise.
    Required,
    /// By TLSA records, where DNS vouches for them: always, with the certificate that they stand for, or the mail waits
    /// (RFC 7672). Elsewhere as [`TlsPolicy::Opportunistic`]. The resolver's AD bit is trusted, and so is the way to it.
    Dane,
}

/// How long mail is kept and how often it is tried.
#[derive(Debug, Clone)]
pub struct Queue {
    /// The wait after the first failed attempt; each further wait is twice the one before.
    /// RFC 5321 section 4.5.4.1: at least 30 minutes SHOULD pass, and two attempts in the first hour are sensible.
    pub retry_first: Duration,
    /// The longest wait.
    pub retry_at_most: Duration,
    /// After how long the sender is told of the delay; `None`: never.
    pub warn: Option<Duration>,
    /// After how long the mail is returned. RFC 5321 section 4.5.4.1: generally at least 4 to 5 days.
    pub lifetime: Duration,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            retry_first: Duration::from_mins(30),
            retry_at_most: Duration::from_hours(4),
            warn: Some(Duration::from_hours(4)),
            lifetime: Duration::from_hours(5 * 24),
        }
    }
}

/// The client's timeouts. Defaults are RFC 5321 section 4.5.3.2's.
#[derive(Debug, Clone)]
pub struct Timeouts {
    /// Opening the connection.
    pub connect: Duration,
    /// The initial 220 (section 4.5.3.2.1).
    pub greeting: Duration,
    /// The reply to MAIL, and to EHLO, HELO, RSET, AUTH and STARTTLS (section 4.5.3.2.2).
    pub command: Duration,
    /// The reply to RCPT (section 4.5.3.2.3).
    pub rcpt: Duration,
    /// The 354 after DATA (section 4.5.3.2.4).
    pub data: Duration,
    /// Each TCP send of content (section 4.5.3.2.5).
    pub block: Duration,
    /// The reply after the final dot (section 4.5.3.2.6).
    pub end_of_data: Duration,
    /// As a server: how long a silent client is kept (section 4.5.3.2.7).
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_mins(n);
        Self {
            connect: minutes(1),
            greeting: minutes(5),
            command: minutes(5),
            rcpt: minutes(5),
            data: minutes(2),
            block: minutes(3),
            end_of_data: minutes(10),
            idle: minutes(5),
        }
    }
}

/// Historic behaviour, each switch named for what the relay then does. All `false` is the reference relay.
#[derive(Debug, Clone, Default)]
pub struct Vintage {
    /// KB Q295734, IIS 4.0/5.0: 8-bit mail to a next hop without 8BITMIME is not converted; RSET, then a failed
    /// notification. Legal (RFC 6152 section 3 lets a relay return the mail), and a loss to its user.
    pub returns_8bit_mail: bool,
    /// KB Q240832, IIS and MCIS: `EHLO sub2.` and `HELO sub2.` get `501 Invalid Address`.
    pub refuses_trailing_dot: bool,
    /// KB Q240832, the other side of it: the name given to next hops in EHLO and HELO, e.g. `sub2.`, in place of
    /// [`Config::hostname`].
    pub helo_name: Option<String>,
    /// KB Q301401, Exchange 2000 before SP2: a host whose banner does not begin with a fully qualified domain name and
    /// that lists X-EXPS is taken for one that cannot be placed; QUIT, and try again until the mail's lifetime is over.
    pub distrusts_short_banners: bool,
    /// KB Q254893, Exchange 5.5 SP3: the second failed notification for the same recipient address is not sent;
    /// event 4120 is logged and the message goes to the `archive` folder of the spool. A space after the recipient's
    /// domain, which the article's example has, is taken.
    pub swallows_second_report: bool,
    /// KB Q329636, Exchange 2000: where credentials are set and the host offers AUTH, it must succeed; a refused AUTH
    /// ends the attempt, and the mail waits, is warned of and is returned with 4.4.7.
    pub insists_on_auth: bool,
    /// Extensions that it did not have, or not yet, by keyword: as a server it neither offers nor takes them.
    pub lacks: &'static [&'static str],
    /// CVE-2011-0411, Postfix before 2.7.3: commands that came in the clear after STARTTLS are carried out as if they had
    /// come encrypted.
    pub keeps_plaintext: bool,
    /// Haraka before 2.3.0 (its pull request 360): a host that refuses EHLO for good is told QUIT and never HELO, and the mail
    /// is returned at once.
    pub never_says_helo: bool,
    /// KB Q154083, The Microsoft Network: so long it waits for the reply to the final dot at most, however much longer it is told to.
    /// Then it takes the mail for not delivered, and sends it again (RFC 1047).
    pub dot_patience: Option<Duration>,
    /// KB 950757 and 826948, Exchange 2003: what was put off once is not tried again by itself; it goes out when somebody starts the
    /// service again or has the queue run, or is returned when its time is over.
    pub forgets_deferred_mail: bool,
    /// Relays that do not retry (list of the DCC, Novell GroupWise 6.5.1): what is put off is returned at once.
    pub never_retries: bool,
    /// The wording of Exchange 2000's notifications (KB Q329636, Q301401) in place of our own.
    pub exchange_notices: bool,
}
