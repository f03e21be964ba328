//! Which rule fires.

use std::collections::BTreeSet;

use super::ServerSession;
use super::state::Mail;
use crate::script::{Action, Condition, On, Range, Rule, Script, Verb};
use crate::smtp::command::Request;
use crate::smtp::memory::Seen;
use crate::time::RunTime;
use crate::transcript::{RuleFired, What};

/// A rule that fires.
pub(super) struct Chosen {
    pub(super) actions: Vec<Action>,
    /// Whether it takes the place of the profile's answer.
    pub(super) replies: bool,
}

/// A rule's place: whether it is the profile's, and which of the event's list.
type Key = (bool, usize);

/// Whether the script or its profile has any rule on the event.
pub(super) fn any_on(script: &Script, on: &On) -> bool {
    script.rules.iter().chain(&script.profile.habits).any(|(event, rules)| event == on && !rules.is_empty())
}

/// Whether any rule puts another line in place of the client's.
pub(super) fn any_rewrites(script: &Script) -> bool {
    script.rules.iter().chain(&script.profile.habits).any(|(_, rules)| rules.iter().any(rewrites))
}

fn rewrites(rule: &Rule) -> bool {
    rule.actions.iter().any(|action| matches!(action, Action::Rewrite(_)))
}

impl ServerSession {
    /// The rule that fires on an event: the scenario's, those on any command behind the command's own, then the
    /// profile's likewise.
    pub(super) fn choose(&self, on: &On, request: &Request, now: RunTime) -> Option<Chosen> {
        let any = (request.is_command() && *on == request.on).then_some(On::Any);
        [false, true].into_iter().find_map(|habit| {
            let mut lists = std::iter::once(on).chain(&any);
            lists.find_map(|on| {
                let mut rules = self.rules(habit, on).filter(|(_, rule)| !rewrites(rule));
                let (index, rule) = rules.find(|(_, rule)| self.holds(rule, on, request, now))?;
                Some(self.fire(habit, on, index, rule, now))
            })
        })
    }

    /// The rule that puts another line in place of this command: the one that fires, if it does so.
    pub(super) fn choose_rewriting(&self, request: &Request, now: RunTime) -> Option<Chosen> {
        let (habit, on, index, rule) = self.rewriting_rule(request, now)?;
        Some(self.fire(habit, on, index, rule, now))
    }

    /// The same, without its firing.
    pub(super) fn rewriting_rule<'a>(
        &'a self,
        request: &'a Request,
        now: RunTime,
    ) -> Option<(bool, &'a On, usize, &'a Rule)> {
        if !self.rewrites || !request.is_command() {
            return None;
        }
        let first = [false, true].into_iter().find_map(|habit| {
            [&request.on, &On::Any].into_iter().find_map(|on| {
                let mut rules = self.rules(habit, on);
                let (index, rule) = rules.find(|(_, rule)| self.holds(rule, on, request, now))?;
                Some((habit, on, index, rule))
            })
        });
        first.filter(|(.., rule)| rewrites(rule))
    }

    /// The rule on `data` that fires; each does so once in a transaction.
    pub(super) fn choose_data(&mut self, request: &Request, now: RunTime) -> Option<Chosen> {
        let fired = self.state.mail.as_ref().map(|m| m.data_rules_fired.clone()).unwrap_or_default();
        let (key, chosen) = [false, true].into_iter().find_map(|habit| {
            let mut rules =
                self.rules(habit, &On::Data).filter(|(index, _)| !fired.contains(&(habit, *index)));
            let (index, rule) = rules.find(|(_, rule)| self.holds(rule, &On::Data, request, now))?;
            Some(((habit, index), self.fire(habit, &On::Data, index, rule, now)))
        })?;
        if let Some(mail) = &mut self.state.mail {
            mail.data_rules_fired.insert(key);
        }
        Some(chosen)
    }

    /// The idle rules that were not tried in this silence, and when each is due.
    pub(super) fn idle_rules(&self) -> impl Iterator<Item = (Key, RunTime)> + '_ {
        [false, true].into_iter().flat_map(move |habit| {
            let rules = self.rules(habit, &On::Idle).filter_map(move |(index, rule)| {
                let key = (habit, index);
                (!self.idle.tried.contains(&key)).then_some((key, self.idle.since + rule.after?))
            });
            rules.collect::<Vec<_>>()
        })
    }

    /// The idle rule at this place, if its conditions hold.
    pub(super) fn choose_idle(&self, (habit, at): Key, request: &Request, now: RunTime) -> Option<Chosen> {
        let (index, rule) = self.rules(habit, &On::Idle).find(|&(index, _)| index == at)?;
        self.holds(rule, &On::Idle, request, now).then(|| self.fire(habit, &On::Idle, index, rule, now))
    }

    fn rules<'a>(&'a self, habit: bool, on: &'a On) -> impl Iterator<Item = (usize, &'a Rule)> {
        let lists = if habit { &self.script.profile.habits } else { &self.script.rules };
        lists.iter().filter(move |(event, _)| event == on).flat_map(|(_, rules)| rules.iter().enumerate())
    }

    fn fire(&self, habit: bool, on: &On, index: usize, rule: &Rule, now: RunTime) -> Chosen {
        if !habit {
            self.ledger.event(now, What::Rule(RuleFired { event: on.to_string(), index }));
        }
        let replies = rule.actions.iter().any(|action| {
            use Action::{CloseFin, CloseReset, CloseWithoutNotify, Reply, Send, Stall};
            matches!(
                action,
                Reply(_) | Send { .. } | CloseFin | CloseWithoutNotify | CloseReset { .. } | Stall
            )
        });
        Chosen { actions: rule.actions.clone(), replies }
    }

    /// Whether all conditions of a rule hold. Those about recipients must hold for one and the same recipient.
    fn holds(&self, rule: &Rule, on: &On, request: &Request, now: RunTime) -> bool {
        let (of_recipient, others): (Vec<_>, Vec<_>) = rule.when.iter().partition(|condition| {
            matches!(condition, Condition::To(_) | Condition::Seen(_) | Condition::SinceFirst(_))
        });
        others.into_iter().all(|condition| self.condition(condition, on, request))
            && self.recipient_conditions(&of_recipient, request, now)
    }

    fn recipient_conditions(&self, conditions: &[&Condition], request: &Request, now: RunTime) -> bool {
        if conditions.is_empty() {
            return true;
        }
        let Some(mail) = &self.state.mail else { return false };
        let recipients = recipients_at_hand(mail, request);
        if recipients.is_empty() {
            let since = now.since(mail.first_seen);
            return conditions
                .iter()
                .all(|c| matches!(c, Condition::SinceFirst(range) if range.contains(since)));
        }
        recipients.into_iter().any(|(address, seen)| {
            conditions.iter().all(|condition| match condition {
                Condition::To(glob) => glob.matches(address),
                Condition::Seen(range) => range.contains(seen.count),
                Condition::SinceFirst(range) => range.contains(now.since(seen.first)),
                _ => true,
            })
        })
    }

    fn condition(&self, condition: &Condition, on: &On, request: &Request) -> bool {
        let state = &self.state;
        let mail = state.mail.as_ref();
        let within = |range: &Range<u64>, value: Option<u64>| value.is_some_and(|v| range.contains(v));
        match condition {
            // Told apart by `recipient_conditions`.
            Condition::Seen(_) | Condition::SinceFirst(_) | Condition::To(_) => true,
            Condition::Session(range) => range.contains(self.visit.ordinal),
            Condition::Transaction(range) => range.contains(state.transactions),
            Condition::Nth(range) => within(range, self.nth(on)),
            Condition::From(glob) => match &request.path {
                Some(path) if is_mail(request) => glob.matches(&path.address),
                _ => mail.is_some_and(|mail| glob.matches(&mail.from)),
            },
            Condition::Helo(glob) => match request.on {
                On::Command(Verb::Helo | Verb::Ehlo) => glob.matches(&request.argument),
                _ => state.helo.as_ref().is_some_and(|helo| glob.matches(helo)),
            },
            Condition::Client(glob) => glob.matches(&self.client.to_string()),
            Condition::Domains(range) => within(range, mail.map(|mail| domains(mail, request))),
            Condition::Parameter(glob) => match (&request.path, mail) {
                (Some(path), Some(_)) => path.parameters.iter().any(|p| glob.matches(p)),
                (None, Some(mail)) => mail.parameters.iter().any(|p| glob.matches(p)),
                (_, None) => false,
            },
            Condition::Declares(range) => {
                let declared = request.parameter("SIZE").or_else(|| mail?.parameter("SIZE"));
                within(range, declared.and_then(|size| size.parse().ok()))
            }
            Condition::Octets(range) => within(range, mail.map(|mail| mail.measure.octets)),
            Condition::Line(range) => within(range, mail.map(|mail| mail.measure.longest_line)),
            Condition::Header(glob) => {
                mail.is_some_and(|m| m.measure.header_fields().any(|f| glob.matches(&f)))
            }
            Condition::Tls(tls) => state.tls == *tls,
            Condition::Authenticated(authenticated) => state.authenticated == *authenticated,
            Condition::OpenSessions(range) => range.contains(self.visit.open_sessions()),
            Condition::Matches(expression) => self.visit.fits(expression, &request.line),
        }
    }

    /// The occurrence's number, as [`Condition::Nth`] counts.
    fn nth(&self, on: &On) -> Option<u64> {
        match on {
            On::Command(Verb::Rcpt) => self.state.open_mail().map(|mail| mail.rcpt_commands),
            On::Command(Verb::Bdat) => self.state.open_mail().map(|mail| mail.bdat_commands),
            On::Any => Some(self.state.commands),
            on => self.state.counts.get(on).copied(),
        }
    }
}

fn is_rcpt(request: &Request) -> bool {
    request.on == On::Command(Verb::Rcpt)
}

fn is_mail(request: &Request) -> bool {
    request.on == On::Command(Verb::Mail)
}

/// The different domains of the recipients accepted so far, and of this RCPT.
fn domains(mail: &Mail, request: &Request) -> u64 {
    let here = request.path.as_ref().filter(|_| is_rcpt(request)).map(|path| &path.address);
    let addresses = mail.recipients.iter().chain(here);
    let domains = addresses.map(|a| a.rsplit_once('@').map_or("", |(_, domain)| domain).to_ascii_lowercase());
    domains.collect::<BTreeSet<_>>().len() as u64
}

/// The recipient of this RCPT; at other times those that were accepted.
fn recipients_at_hand<'a>(mail: &'a Mail, request: &'a Request) -> Vec<(&'a str, Seen)> {
    let addresses: Vec<&str> = match &request.path {
        Some(path) if is_rcpt(request) => vec![&path.address],
        _ if is_rcpt(request) => Vec::new(),
        _ => mail.recipients.iter().map(String::as_str).collect(),
    };
    let seen = |address: &str| mail.seen.get(&address.to_lowercase()).copied();
    addresses.into_iter().filter_map(|address| Some((address, seen(address)?))).collect()
}
