//! Relays of the past: the reference relay with historic behaviour, each after the article that documents it.

use std::time::Duration;

use crate::config::Vintage;

/// A relay of the past, chosen by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VintageRelay {
    /// The name to choose it by.
    pub name: &'static str,
    /// What it does, in one line.
    pub description: &'static str,
    /// Where that is documented.
    pub source: &'static str,
}

/// Every vintage relay, in the order of the articles' numbers, and then those that no article tells of.
pub const VINTAGES: [VintageRelay; 10] = [
    VintageRelay {
        name: "mcis",
        description: "introduces itself as `sub2.`, and refuses others that do the same",
        source: "KB Q240832 (MCIS 2.0/2.5, IIS 4.0/5.0)",
    },
    VintageRelay {
        name: "exchange-5.5",
        description: "sends no second failed notification for the same recipient address",
        source: "KB Q254893 (Exchange Server 5.5 SP3)",
    },
    VintageRelay {
        name: "iis-5",
        description: "returns 8-bit mail when the next hop lacks 8BITMIME, and refuses `EHLO sub2.`",
        source: "KB Q295734, Q240832 (IIS 4.0/5.0)",
    },
    VintageRelay {
        name: "exchange-2000",
        description: "does not deliver to hosts with X-EXPS whose banner begins with a short name",
        source: "KB Q301401 (Exchange 2000 before SP2)",
    },
    VintageRelay {
        name: "exchange-2000-auth",
        description: "does not deliver without AUTH where credentials are set",
        source: "KB Q329636 (Exchange 2000 SP1 to SP3)",
    },
    VintageRelay {
        name: "msn",
        description: "waits ninety seconds for the reply to the dot, and sends the mail again",
        source: "KB Q154083 (The Microsoft Network)",
    },
    VintageRelay {
        name: "exchange-2003",
        description: "does not try again by itself what was put off once, until it is started again",
        source: "KB 950757, 826948 (Exchange Server 2003)",
    },
    VintageRelay {
        name: "groupwise-6.5",
        description: "takes a temporary failure for a permanent one, and returns the mail at once",
        source: "rhyolite.com: DCC list of servers that do not retry (Novell GroupWise 6.5.1)",
    },
    VintageRelay {
        name: "postfix-2.7",
        description: "carries out what came in the clear after STARTTLS as if it had come encrypted",
        source: "postfix.org/CVE-2011-0411.html (Postfix before 2.7.3)",
    },
    VintageRelay {
        name: "haraka-2.0",
        description: "returns mail when the next hop refuses EHLO, without trying HELO",
        source: "haraka/Haraka pull request 360 (Haraka before 2.3.0)",
    },
];

/// The switches of the vintage relay of that name; `None` when there is none.
pub fn vintage(name: &str) -> Option<Vintage> {
    // RFC 6531 is of 2012. CHUNKING and BINARYMIME came to Microsoft with Windows 2000, to Postfix, the former alone, with 3.4.
    let of_the_nineties = Vintage { lacks: &["CHUNKING", "BINARYMIME", "SMTPUTF8"], ..Vintage::default() };
    let of_2000 = Vintage { lacks: &["SMTPUTF8"], ..Vintage::default() };
    Some(match name {
        "mcis" => {
            let helo_name = Some("sub2.".to_owned());
            Vintage { helo_name, refuses_trailing_dot: true, ..of_the_nineties }
        }
        "exchange-5.5" => Vintage { swallows_second_report: true, ..of_the_nineties },
        // The notification that Q295734 quotes is worded like those of Exchange 2000: it is the same SMTP service.
        "iis-5" => {
            Vintage { returns_8bit_mail: true, refuses_trailing_dot: true, exchange_notices: true, ..of_2000 }
        }
        "exchange-2000" => Vintage { distrusts_short_banners: true, exchange_notices: true, ..of_2000 },
        "exchange-2000-auth" => Vintage { insists_on_auth: true, exchange_notices: true, ..of_2000 },
        "msn" => Vintage { dot_patience: Some(Duration::from_secs(90)), ..of_the_nineties },
        "exchange-2003" => Vintage { forgets_deferred_mail: true, exchange_notices: true, ..of_2000 },
        "groupwise-6.5" => Vintage { never_retries: true, ..of_the_nineties },
        "postfix-2.7" => Vintage { keeps_plaintext: true, ..of_the_nineties },
        "haraka-2.0" => Vintage { never_says_helo: true, ..of_the_nineties },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_vintage_can_be_chosen_by_its_name() {
        for listed in VINTAGES {
            assert!(vintage(listed.name).is_some(), "{} has no switches", listed.name);
        }
    }

    #[test]
    fn an_unknown_name_chooses_nothing() {
        assert!(vintage("sendmail-8.6").is_none());
    }
}
