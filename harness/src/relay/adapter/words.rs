//! The words of an adapter: for each mapping its keys.

use crate::yaml::Form::{Anything, Boolean, Is, Named, OneOf, OneOrMore, Text, Whole, Word};
use crate::yaml::{Key, Words, words};

pub(super) static ADAPTER: Words = Words {
    required: &["about", "provides", "version", "start", "queue"],
    ..words(
        "an adapter",
        &[&[
            Key("about", "One line.", Text),
            Key("install", "What a prepared root is made from.", Is(&INSTALL)),
            Key("provides", "A file that shows that the relay is there.", Text),
            Key("image", "The image that it is in, for containers.", Text),
            Key("role", "The part that it plays towards submitting clients.", Word(&["relay", "submission"])),
            Key("version", "Prints the version.", Text),
            Key("cannot", "Settings that it cannot be told, and why.", Is(&CANNOT)),
            Key("files", "Files of its configuration, by path.", Named(&OneOf(&[Text, Is(&FILE)]))),
            Key("prepare", "Done once, after the files are written.", Text),
            Key("start", "Starts it.", Text),
            Key("ready", "What shows that it has started.", Is(&READY)),
            Key("stop", "Ends it in order.", Text),
            Key("submission", "How it takes mail from those for whom it relays.", Is(&SUBMISSION)),
            Key("queue run", "Has its queue tried.", Is(&QUEUE_RUN)),
            Key("queue", "How its queue is listed.", Is(&QUEUE)),
            Key("log", "`syslog`, `stderr` or a file.", Text),
            Key(
                "varies",
                "What varies from run to run.",
                Named(&OneOf(&[OneOrMore(&Text), Is(&VARYING), Boolean])),
            ),
        ]],
    )
};

/// Of a relay that runs elsewhere.
pub(super) static EXTERNAL: Words = Words {
    required: &["about", "address"],
    ..words(
        "the adapter of a relay that runs elsewhere (`address:`)",
        &[&[
            Key("about", "One line.", Text),
            Key("address", "Where it accepts mail: `host:port`.", Text),
            Key("hostname", "Its own name, whatever a scenario says.", Text),
            Key("role", "The part that it plays towards submitting clients.", Word(&["relay", "submission"])),
            Key("serve", "Where the servers that it meets stand.", Is(&SERVE)),
            Key("configure", "Tells it what a scenario asks for.", Text),
            Key("cannot", "Settings that it cannot be told all the same, and why.", Is(&CANNOT)),
            Key("list", "Prints a line for each message and recipient of its queue.", Text),
            Key("flush", "Has everything in its queue tried.", Text),
            Key("empty", "Throws its queue away.", Text),
            Key("log", "Prints its log.", Text),
            Key("version", "Prints the version.", Text),
            Key("rest", "How long nothing may happen before nothing more is waited for.", Text),
            Key(
                "varies",
                "What varies from run to run.",
                Named(&OneOf(&[OneOrMore(&Text), Is(&VARYING), Boolean])),
            ),
        ]],
    )
};

pub(super) static SERVE: Words = words(
    "`serve`",
    &[&[
        Key("listen", "Addresses of this machine to stand at.", OneOrMore(&Text)),
        Key("port", "The servers' port, 2525 if not given.", Whole),
        Key("dns port", "The DNS server's port, 5300 if not given.", Whole),
        Key("public", "That an address which others may reach is meant.", Boolean),
    ]],
);

pub(super) static INSTALL: Words =
    words("`install`", &[&[Key("debian", "Debian's packages.", OneOrMore(&Text))]]);

pub(super) static CANNOT: Words = words(
    "`cannot`",
    &[&[
        Key("mail exchangers", "Mail goes by the DNS where there is no smart host.", Text),
        Key("smarthost", "All mail goes through one host.", Text),
        Key("routes", "Mail for some domains goes to hosts of their own.", Text),
        Key("auth", "Credentials for next hops.", Text),
        Key("auth mechanisms", "The mechanisms, in order.", Text),
        Key("tls", "STARTTLS towards next hops.", Text),
        Key("certificate", "STARTTLS is offered to clients.", Text),
        Key("retry first", "The first wait between attempts.", Text),
        Key("retry at most", "The longest wait between attempts.", Text),
        Key("warn", "After how long the sender is warned.", Text),
        Key("lifetime", "After how long mail is returned.", Text),
        Key("size limit", "The largest message.", Text),
        Key("reuse", "Several messages over one session, or not.", Text),
        Key("greeting timeout", "How long the greeting may take.", Text),
        Key("command timeout", "How long the reply to a command may take.", Text),
        Key("end of data timeout", "How long the reply to the final dot may take.", Text),
    ]],
);

pub(super) static FILE: Words = Words {
    required: &["text"],
    ..words(
        "a file",
        &[&[
            Key("mode", "Permission bits, `\"0644\"` if not given.", OneOf(&[Text, Whole])),
            Key("owner", "`user` or `user:group`; root if not given.", Text),
            Key("text", "What it holds.", Text),
        ]],
    )
};

pub(super) static VARYING: Words = Words {
    required: &["in place"],
    ..words(
        "a value that varies",
        &[&[Key(
            "in place",
            "Where it stands; the same text elsewhere is something else.",
            OneOrMore(&Text),
        )]],
    )
};

pub(super) static READY: Words = Words {
    required: &["port"],
    ..words("`ready`", &[&[Key("port", "The port whose greeting shows it; 25 if not given.", Whole)]])
};

pub(super) static SUBMISSION: Words = words(
    "`submission`",
    &[&[
        Key("command", "Takes a mail: the relay listens nowhere.", Text),
        Key("as", "Who runs the command; root if not given.", Text),
        Key("port", "Takes mail within TLS, from a user with a password.", Whole),
        Key("user", "The user.", Text),
        Key("password", "The password.", Text),
    ]],
);

pub(super) static QUEUE_RUN: Words = words(
    "`queue run`",
    &[&[
        Key("force", "Has everything tried.", Text),
        Key("due", "Has tried what is due by its own schedule.", Text),
    ]],
);

pub(super) static QUEUE: Words = Words {
    required: &["list"],
    ..words("`queue`", &[&[Key("list", "Prints a line for each message and recipient.", Anything)]])
};
