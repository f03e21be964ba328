//! The words of the language, once: for each mapping its keys, what each says, and the form of its value. `yaml::Mapping`
//! takes what it knows from here, and so does the schema for editors.

mod schema;

pub use schema::schema;

use crate::yaml::{Form, Key, Words, words};
use Form::{
    Anything, Boolean, Duration, DurationRange, Is, List, Named, Null, OneOf, OneOrMore, Range, Reply, Size,
    SizeRange, Text, Whole, Word,
};

pub(super) static SCENARIO: Words = Words {
    what: "a scenario",
    required: &["title"],
    groups: &[&[
        Key("title", "One line.", Text),
        Key("about", "What it is about, for people.", Text),
        Key("sources", "Where the behaviour is known from.", OneOrMore(&Text)),
        Key("tags", "Words to sort scenarios by.", OneOrMore(&Text)),
        Key(
            "for each",
            "Variables of which many cases are made: lists of values, or values by name.",
            Named(&VALUES),
        ),
        Key("except", "Combinations of values that make no case.", OneOrMore(&Named(&OneOrMore(&NAME)))),
        Key("servers", "The servers that the relay may meet, by name.", Named(&OneOf(&[Is(&SERVER), Null]))),
        Key("clients", "Clients that are dialogues, by name.", Named(&Is(&CLIENT))),
        Key("relay", "What the relay is told.", Is(&RELAY)),
        Key("messages", "The messages, by name.", Named(&Is(&MESSAGE))),
        Key("dns", "Names in the DNS beside those of the servers.", Named(&DNS_VALUE)),
        Key("steps", "What is done, in order.", OneOrMore(&STEP_VALUE)),
        Key("expect", "What is required.", List(&Is(&EXPECTATION))),
        Key("observe", "Checks that are noted and not judged.", List(&Is(&EXPECTATION))),
        Key(
            "decisive",
            "What must have happened for the run to show anything.",
            OneOrMore(&OneOf(&[Text, Is(&DECISIVE)])),
        ),
        Key(
            "historic",
            "How it comes out on relays of the past.",
            Named(&Word(&["passes", "deviates", "violates"])),
        ),
    ]],
};

const NAME: Form = OneOf(&[Text, Whole, Boolean, Anything]);
const VALUES: Form = OneOf(&[List(&Anything), Named(&Anything)]);
static DNS_VALUE: Form = OneOf(&[Word(&DNS_FAULTS), Is(&DNS_NAME)]);
const RECORD: Form = OneOf(&[Word(&DNS_FAULTS), Text]);
const TLSA: Form = OneOf(&[Word(&["good", "wrong"]), Word(&DNS_FAULTS), Text]);
const STEP_VALUE: Form = OneOf(&[Word(&["settle"]), Is(&STEP)]);
const CERTIFICATES: [&str; 6] = ["good", "self-signed", "expired", "not-yet", "wrong-name", "unknown-ca"];
const DNS_FAULTS: [&str; 8] =
    ["nxdomain", "servfail", "refused", "not-implemented", "timeout", "garbage", "wrong-id", "empty"];

pub(super) static SERVER: Words = words(
    "a server",
    &[&[
        Key("profile", "A vendor's habits; `rfc5321` if not given.", Text),
        Key("hostname", "Its name, in replies, DNS and certificate.", Text),
        Key("serves", "The domains that it is an MX of.", OneOrMore(&OneOf(&[Text, Is(&SERVES)]))),
        Key("banner", "The greeting.", Reply),
        Key(
            "offers",
            "The EHLO keywords: a list, or changes to the profile's.",
            OneOf(&[Is(&OFFERS), List(&Text)]),
        ),
        Key(
            "addresses",
            "`v4` or `v6`, each with what a connection meets.",
            OneOrMore(&OneOf(&[Word(&["v4", "v6"]), Is(&ADDRESS)])),
        ),
        Key("certificate", "The certificate after STARTTLS.", Word(&CERTIFICATES)),
        Key("credentials", "The only user and password that AUTH accepts.", Is(&CREDENTIALS)),
        Key("pace", "All that it sends is cut into segments of this size.", Size),
        Key("read", "How fast it reads: `freely`, `0` or `1KiB per 2m`.", OneOf(&[Text, Whole])),
        Key("on", "Rules by event.", Named(&ON_EVENT)),
        Key("dialogue", "Exact lines, in place of rules.", List(&Is(&LINE))),
    ]],
);

const ON_EVENT: Form = OneOf(&[Reply, Is(&RULE), List(&OneOf(&[Text, Is(&RULE)]))]);

pub(super) static SERVES: Words = Words {
    required: &["domain"],
    ..words(
        "an element of `serves`",
        &[&[
            Key("domain", "The domain.", Text),
            Key("preference", "The MX preference; 10 if not given.", Whole),
        ]],
    )
};

pub(super) static ADDRESS: Words = words(
    "an address",
    &[&[
        Key("v4", "What a connection to this IPv4 address meets.", Word(&["good", "refused", "filtered"])),
        Key("v6", "What a connection to this IPv6 address meets.", Word(&["good", "refused", "filtered"])),
    ]],
);

pub(super) static CREDENTIALS: Words = Words {
    required: &["user", "password"],
    ..words(
        "`credentials`",
        &[&[Key("user", "The user's name.", Text), Key("password", "The password.", Text)]],
    )
};

const CHANGES: &[Key] = &[
    Key("add", "Keywords that are offered too.", OneOrMore(&Text)),
    Key("drop", "Keywords that are not offered.", OneOrMore(&Text)),
];

pub(super) static OFFERS: Words = words(
    "`offers`",
    &[
        CHANGES,
        &[
            Key("after tls", "What is offered inside TLS.", OneOf(&[Is(&OFFERS_AFTER), List(&Text)])),
            Key("after auth", "What is offered after AUTH.", OneOf(&[Is(&OFFERS_AFTER), List(&Text)])),
        ],
    ],
);

pub(super) static OFFERS_AFTER: Words = words("`after …`", &[CHANGES]);

pub(super) static RULE: Words = words(
    "a rule",
    &[
        &[
            Key("when", "What must hold for the rule to fire.", Is(&WHEN)),
            Key("after", "With `idle`: after how long a silence.", Duration),
        ],
        ACTIONS,
    ],
);

pub(super) static ACTION: Words = words("an action", &[ACTIONS]);

const ACTIONS: &[Key] = &[
    Key("wait", "Lets this much of the run's time pass.", Duration),
    Key("pace", "From now on cuts what it sends into segments of this size.", Size),
    Key("read", "From now on reads at this pace.", OneOf(&[Text, Whole])),
    Key(
        "rewrite",
        "At a command: the line that the server takes it for. Beside `forward`: changes to the header.",
        OneOf(&[Text, Is(&REWRITE)]),
    ),
    Key("send", "Sends these bytes as they are.", OneOrMore(&Text)),
    Key("as", "What sent bytes count as.", Word(&["accepted", "refused"])),
    Key("reply", "Gives this reply.", Reply),
    Key("tls", "Begins TLS, with these faults.", OneOf(&[Is(&TLS), Null])),
    Key("take", "Whether it keeps the mail.", Boolean),
    Key("forward", "Submits the mail that it took to the relay under test.", Word(&["relay"])),
    Key(
        "close",
        "Ends the connection.",
        Word(&["fin", "fin without close_notify", "reset", "reset at once"]),
    ),
    Key("stall", "Says and reads nothing more.", Boolean),
];

pub(super) static REWRITE: Words = words(
    "`rewrite`",
    &[&[
        Key("drop", "Header fields that are left out.", OneOrMore(&Text)),
        Key("set", "Header fields that get this text.", Named(&Text)),
    ]],
);

/// A number is a version too.
const VERSION: Form = OneOf(&[Word(&["1.2", "1.3"]), Anything]);

pub(super) static TLS: Words = words(
    "`tls`",
    &[&[
        Key("certificate", "The certificate that is shown.", Word(&CERTIFICATES)),
        Key("fail", "How the handshake fails.", Word(&["eof", "corrupt", "alert", "stall"])),
        Key("clear before", "Bytes in the clear that come with the 220.", OneOrMore(&Text)),
        Key("clear after", "Bytes in the clear after the handshake.", OneOrMore(&Text)),
        Key("versions", "The versions that are spoken.", OneOrMore(&VERSION)),
        Key("resume", "What a client that would resume a session meets.", Word(&["refuse"])),
    ]],
);

pub(super) static WHEN: Words = words(
    "`when`",
    &[&[
        Key("seen", "In how many transactions this sender and recipient came, this one included.", Range),
        Key("session", "The session's number at this server.", Range),
        Key("transaction", "The transaction's number in its session.", Range),
        Key("nth", "The command's number in the transaction (RCPT, BDAT) or the session.", Range),
        Key("domains", "How many recipient domains this transaction has.", Range),
        Key("open sessions", "Sessions open at this server.", Range),
        Key("declares", "MAIL's SIZE.", SizeRange),
        Key("octets", "Content received so far.", SizeRange),
        Key("line", "The longest line of content so far.", SizeRange),
        Key("from", "A pattern for the reverse-path.", Text),
        Key("to", "A pattern for the forward-path.", Text),
        Key("helo", "A pattern for the argument of HELO or EHLO.", Text),
        Key("client", "A pattern for the client's address.", Text),
        Key("parameter", "A pattern for a parameter of MAIL or RCPT.", Text),
        Key("header", "A pattern for a header field's line.", Text),
        Key("since first", "The time since this sender and recipient first came.", DurationRange),
        Key("tls", "Whether the session is inside TLS.", Boolean),
        Key("authenticated", "Whether the client has authenticated.", Boolean),
        Key("matches", "A regular expression for the command line.", Text),
    ]],
);

pub(super) static CLIENT: Words = Words {
    required: &["dialogue"],
    ..words(
        "a client",
        &[&[
            Key("trusted", "Whether the relay lets it relay.", Boolean),
            Key("dialogue", "What it says and hears.", List(&Is(&LINE))),
        ]],
    )
};

pub(super) static LINE: Words = words(
    "a line of a dialogue",
    &[&[
        Key("within", "How long the other side's line may take.", Duration),
        Key("C", "The client's line.", Text),
        Key("S", "The server's line.", Text),
        Key("C raw", "The client's bytes, in one segment.", OneOrMore(&Text)),
        Key("S raw", "The server's bytes, in one segment.", OneOrMore(&Text)),
        Key("hear", "The other side sends content, or closes.", Word(&["content", "close"])),
        Key("one of", "Alternatives, each a list of lines.", List(&List(&Is(&LINE)))),
        Key("wait", "Lets this much time pass.", Duration),
        Key("close", "Ends the connection.", Word(&["fin", "reset"])),
        Key("tls", "TLS begins here.", OneOf(&[Is(&TLS), Null])),
    ]],
);

pub(super) static RELAY: Words = words(
    "`relay`",
    &[&[
        Key("hostname", "Its own name.", Text),
        Key("smarthost", "The server that all mail goes through.", Text),
        Key("auth", "Credentials for next hops.", Is(&RELAY_AUTH)),
        Key(
            "tls",
            "TLS towards next hops.",
            OneOf(&[Word(&["off", "opportunistic", "required", "dane"]), Boolean]),
        ),
        Key("offers tls", "Whether it offers STARTTLS to its clients.", Boolean),
        Key("queue", "Retries, warning and lifetime.", Is(&QUEUE)),
        Key("limits", "Limits on messages.", Is(&LIMITS)),
        Key("reuse", "Several messages over one session.", Boolean),
        Key("timeouts", "How long next hops may take.", Is(&TIMEOUTS)),
    ]],
);

pub(super) static RELAY_AUTH: Words = Words {
    required: &["to", "user", "password"],
    ..words(
        "`auth`",
        &[&[
            Key("to", "The smart host, or `any`.", Text),
            Key("user", "The user's name.", Text),
            Key("password", "The password.", Text),
            Key("mechanisms", "Mechanisms in order.", OneOrMore(&Text)),
        ]],
    )
};

pub(super) static QUEUE: Words = words(
    "`queue`",
    &[&[
        Key("retry", "Waits between attempts.", Is(&RETRY)),
        Key("warn", "After how long the sender is warned.", Duration),
        Key("lifetime", "After how long mail is returned.", Duration),
    ]],
);

pub(super) static RETRY: Words = words(
    "`retry`",
    &[&[Key("first", "The first wait.", Duration), Key("at most", "The longest wait.", Duration)]],
);

pub(super) static LIMITS: Words = words("`limits`", &[&[Key("size", "The largest message.", Size)]]);

pub(super) static TIMEOUTS: Words = words(
    "`timeouts`",
    &[&[
        Key("greeting", "For the greeting.", Duration),
        Key("command", "For the reply to a command.", Duration),
        Key("end-of-data", "For the reply to the final dot.", Duration),
    ]],
);

pub(super) static MESSAGE: Words = Words {
    required: &["from", "to"],
    ..words(
        "a message",
        &[&[
            Key("from", "The reverse-path; empty is the null one.", Text),
            Key("to", "The forward-paths.", OneOrMore(&Text)),
            Key("copies", "How many times each `send` submits it.", Whole),
            Key("trusted", "Whether it comes from the client that may relay.", Boolean),
            Key("envelope", "Parameters of the envelope.", Is(&ENVELOPE)),
            Key("headers", "Header fields by name.", HEADERS),
            Key("content", "The body.", Is(&CONTENT)),
        ]],
    )
};

const HEADERS: Form = Named(&OneOf(&[Null, Is(&REPEATED), OneOrMore(&Text)]));

pub(super) static ENVELOPE: Words = words(
    "an envelope",
    &[&[
        Key("body", "BODY=.", Word(&["7bit", "8bitmime", "binarymime"])),
        Key("notify", "NOTIFY=.", OneOrMore(&Word(&["never", "success", "failure", "delay"]))),
        Key("ret", "RET=.", Word(&["full", "hdrs"])),
        Key("envid", "ENVID=, before its encoding.", Text),
        Key("size", "SIZE=, true or not.", Size),
        Key("smtputf8", "SMTPUTF8.", Boolean),
        Key("by", "DATA or BDAT, and the size of chunks.", OneOf(&[Word(&["data", "bdat"]), Is(&BY)])),
        Key("orcpt", "ORCPT=, before its encoding.", Text),
        Key("auth", "MAIL's AUTH=.", Text),
    ]],
);

pub(super) static BY: Words =
    Words { required: &["bdat"], ..words("`by`", &[&[Key("bdat", "The size of chunks.", Size)]]) };

pub(super) static REPEATED: Words = Words {
    required: &["times"],
    ..words(
        "a repeated header field",
        &[&[Key("times", "How many times the field is there.", Whole), Key("text", "Its text.", Text)]],
    )
};

/// What the whole body and each part of it can be.
static ENTITY: [Key; 10] = [
    Key("type", "The media type.", Text),
    Key("charset", "The charset.", Text),
    Key(
        "encoding",
        "The transfer encoding.",
        Word(&["7bit", "8bit", "binary", "quoted-printable", "base64"]),
    ),
    Key("text", "The text.", Text),
    Key("lines", "The text this many times, each on its own line.", Whole),
    Key("width", "How wide each line is.", OneOf(&[Size, Whole])),
    Key("raw", "Bytes as they are.", OneOrMore(&Text)),
    Key("file", "A file's octets; the path is relative to the scenario.", Text),
    Key("parts", "The parts of a multipart.", List(&OneOf(&[Is(&PART), Text]))),
    Key("multipart", "The kind of multipart.", Text),
];

pub(super) static CONTENT: Words = words(
    "content",
    &[
        &ENTITY,
        &[
            Key("newline at end", "Whether the body ends with CRLF.", Boolean),
            Key("dkim", "Whether, and how, it is signed.", OneOf(&[Boolean, Word(&["relaxed", "simple"])])),
        ],
    ],
);

pub(super) static PART: Words = words(
    "a part",
    &[&ENTITY, &[Key("name", "The file's name.", Text), Key("headers", "Header fields by name.", HEADERS)]],
);

pub(super) static DNS_NAME: Words = words(
    "a DNS name",
    &[&[
        Key("until", "The moment of the run until which this holds.", Duration),
        Key("then", "What holds from then on.", OneOf(&[Word(&DNS_FAULTS), Is(&DNS_NAME)])),
        Key("MX", "Preference and host, or a fault.", OneOrMore(&RECORD)),
        Key("A", "Addresses, a server's name, or a fault.", OneOrMore(&RECORD)),
        Key("AAAA", "Addresses, a server's name, or a fault.", OneOrMore(&RECORD)),
        Key("TXT", "Texts, or a fault.", OneOrMore(&RECORD)),
        Key("CNAME", "A host, or a fault.", RECORD),
        Key("PTR", "Host names, or a fault.", OneOrMore(&RECORD)),
        Key("TLSA", "`good`, `wrong`, a record, or a fault.", OneOrMore(&TLSA)),
        Key("ttl", "How long answers may be kept.", Duration),
        Key("secure", "Whether answers are validated (AD).", Boolean),
        Key("truncated", "Whether answers over UDP are cut off.", Boolean),
        Key("tcp", "What becomes of questions over TCP.", Word(&["refused", "answered"])),
    ]],
);

pub(super) static STEP: Words = words(
    "a step",
    &[&[
        Key("send", "Submits messages in order.", OneOrMore(&Text)),
        Key("client", "Runs a client's dialogue to its end.", Text),
        Key("wait", "Lets this much of the run's time pass.", Duration),
        Key("jump", "Goes so far on at once; what was due on the way comes due there.", Duration),
        Key("kill", "Ends the relay as by SIGKILL.", Word(&["relay"])),
        Key("restart", "Stops the relay if it runs, and starts it.", Word(&["relay"])),
        Key("stop", "Takes a server's listener away.", Text),
        Key("start", "Brings it back.", Text),
        Key("queue run", "The relay tries what is in its queue.", Word(&["due", "force"])),
        Key("at", "Goes on until a session comes to this event, and holds it there.", Named(&Text)),
        Key("fault", "A fault of the relay's machine.", Is(&FAULT)),
        Key("check", "Expectations that must hold now.", List(&Is(&EXPECTATION))),
    ]],
);

pub(super) static FAULT: Words = Words {
    required: &["relay"],
    ..words(
        "`fault`",
        &[&[Key("relay", "What is wrong with the relay's machine.", Word(&["disk full", "none"]))]],
    )
};

pub(super) static EXPECTATION: Words = words(
    "an expectation",
    &[
        &[
            Key("it", "The requirement in words.", Text),
            Key("must", "The clause whose breach violates.", Text),
            Key("should", "The clause or field source whose breach deviates.", Text),
            Key("may", "The clause whose breach is only told.", Text),
        ],
        &CHECKS,
    ],
);

pub(super) static CHECK: Words = words("a check", &[&CHECKS]);

static CHECKS: [Key; 14] = [
    Key("delivered", "Every recipient's copies were taken by a server.", Is(&DELIVERED)),
    Key("returned", "A failed notification for each recipient came to its sender.", Is(&RETURNED)),
    Key("refused", "The relay refused each recipient.", Is(&REFUSED)),
    Key("queued", "It is in the queue at the end.", OneOf(&[Text, Is(&QUEUED)])),
    Key("delayed", "A warning for each recipient came to its sender.", Is(&DELAYED)),
    Key("notified", "A notification with this action came.", Is(&NOTIFIED)),
    Key("wire", "What was seen of the sessions with a server.", Is(&WIRE)),
    Key("untouched", "No session with this server.", Text),
    Key("completed", "This dialogue came to its last line.", Text),
    Key("logged", "A line of the relay's log fits this pattern.", Text),
    Key("any of", "One of these holds at least.", List(&Is(&CHECK))),
    Key("all of", "Each of these holds.", List(&Is(&CHECK))),
    Key("none of", "None of these holds.", List(&Is(&CHECK))),
    Key("each", "The check holds for each submission by itself.", Is(&EACH)),
];

pub(super) static EACH: Words =
    Words { required: &["of"], ..words("`each`", &[&[Key("of", "The message.", Text)], &CHECKS]) };

/// Which mail a check is about.
const OF: &[Key] = &[
    Key("message", "The message; needed where there are several.", Text),
    Key("to", "A pattern for recipients; all if not given.", Text),
];

const WITHIN: Key = Key("within", "How long after the submission; `10m` is at most.", DurationRange);
const TIMES: Key = Key("times", "How many.", Range);
const SAYS: Key = Key("text", "What its text holds.", OneOf(&[Text, Is(&CONTAINS)]));

pub(super) static CONTAINS: Words =
    Words { required: &["contains"], ..words("`text`", &[&[Key("contains", "This text.", Text)]]) };

pub(super) static DELIVERED: Words = words(
    "`delivered`",
    &[
        OF,
        &[
            Key("by", "The server that took it.", Text),
            Key("attempt", "The attempt at which it was taken.", Range),
            TIMES,
            Key("octets", "Whether the content was 7-bit or 8-bit.", Word(&["7bit", "8bit"])),
            Key("dkim", "What became of its signature.", Word(&["intact"])),
            WITHIN,
        ],
    ],
);

pub(super) static RETURNED: Words = words(
    "`returned`",
    &[
        OF,
        &[
            Key("status", "Its enhanced status code, or some of which it has one.", OneOrMore(&Text)),
            WITHIN,
            SAYS,
            TIMES,
        ],
    ],
);

pub(super) static REFUSED: Words = words(
    "`refused`",
    &[
        OF,
        &[
            Key("at", "The command at which it was refused.", Word(&["MAIL", "RCPT", "DATA", "end-of-data"])),
            Key("reply", "The reply code.", OneOf(&[Text, Whole])),
        ],
    ],
);

pub(super) static QUEUED: Words = words("`queued`", &[OF]);
pub(super) static DELAYED: Words = words("`delayed`", &[OF, &[TIMES, SAYS, WITHIN]]);
pub(super) static NOTIFIED: Words = Words {
    required: &["action"],
    ..words(
        "`notified`",
        &[OF, &[Key("action", "What happened.", Word(&["relayed", "delivered", "expanded"])), TIMES]],
    )
};

pub(super) static WIRE: Words = words(
    "`wire`",
    &[&[
        Key("at", "The server; all of them if not given.", Text),
        Key("first", "The first command of each session.", Text),
        Key("never", "What no session has.", OneOrMore(&Text)),
        Key("once", "What at least one session has.", OneOrMore(&Text)),
        Key("sessions", "How many there are.", Range),
        Key("gap", "The time from the beginning of a session to that of the next.", DurationRange),
    ]],
);

pub(super) static DECISIVE: Words = words(
    "`decisive`",
    &[&[
        Key("server", "The server.", Text),
        Key("on", "The event of a rule.", Text),
        Key("rule", "The rule's place, from 1.", Whole),
        Key("dns", "A name that the relay must have asked for.", Text),
        Key(
            "type",
            "The type of record that it asked for.",
            Word(&["MX", "A", "AAAA", "TXT", "CNAME", "TLSA", "PTR"]),
        ),
    ]],
);

// The profiles of mock-servers, which are read by the same means.

const SOURCE: Key = Key("source", "Where the fact is known from.", Text);

pub(super) static PROFILE: Words = words(
    "a profile",
    &[&[
        Key("profile", "Its name.", Text),
        Key("about", "What it is.", Text),
        Key("banner", "The greeting.", Is(&FACT)),
        Key("greeting", "The first line of the reply to EHLO.", Is(&FACT)),
        Key("offers", "The EHLO keywords.", List(&Is(&OFFER))),
        Key("replies", "Replies that differ.", List(&Is(&REPLY_FACT))),
        Key("habits", "Rules that it has by itself.", List(&Is(&HABIT))),
    ]],
);

pub(super) static FACT: Words = words("a fact", &[&[Key("text", "The reply.", Reply), SOURCE]]);
pub(super) static OFFER: Words = words("an offer", &[&[Key("keyword", "The keyword.", Text), SOURCE]]);
pub(super) static REPLY_FACT: Words =
    words("a reply", &[&[Key("to", "The event.", Text), Key("text", "The reply.", Reply), SOURCE]]);
pub(super) static HABIT: Words =
    words("a habit", &[&[Key("on", "The event.", Text), Key("rules", "The rules.", ON_EVENT), SOURCE]]);
