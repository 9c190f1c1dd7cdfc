//! Queries judged by a file of rules.

use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use palisade_abi::Identity;
use palisade_fqdn::{Decision as Verdict, Filter};
use palisade_proxy::{Answer, Decision, Event, Held, Outcome, Policy, Query, Rejection, RuleToken};

use super::rules::Rules;
use crate::cli::{DnsProxyArgs, Reject};
use crate::print;

/// Whoever asks is asked for by the same rules; nothing enforces addresses, so no answer waits.
#[derive(Debug)]
pub(super) struct FilePolicy {
    path: PathBuf,
    rejection: Rejection,
    verbose: bool,
    filter: RwLock<Filter<(), u32>>,
}

impl FilePolicy {
    pub(super) fn new(args: &DnsProxyArgs, rules: Rules) -> Self {
        Self {
            path: args.rules.clone(),
            rejection: match args.reject {
                Reject::Nxdomain => Rejection::NxDomain,
                Reject::Refused => Rejection::Refused,
            },
            verbose: args.verbose,
            filter: RwLock::new(rules.filter),
        }
    }

    /// Puts other rules in force, for the next query.
    pub(super) fn set(&self, rules: Rules) {
        *self.filter.write().unwrap_or_else(PoisonError::into_inner) = rules.filter;
    }

    fn describe_answer(&self, answer: &Answer<'_>, outcome: Outcome, elapsed: Duration) -> String {
        let addresses: Vec<String> = answer.addresses.iter().map(ToString::to_string).collect();
        let told = match outcome {
            Outcome::Released { .. } | Outcome::ReleasedLate if !addresses.is_empty() => {
                format!("{} for {} s", addresses.join(" "), answer.ttl.as_secs())
            }
            Outcome::Released { code } => code.to_string(),
            Outcome::ReleasedLate => "no address".into(),
            Outcome::Abandoned
            | Outcome::Late
            | Outcome::Overload
            | Outcome::Timeout
            | Outcome::Unreachable
            | Outcome::Unreadable => format!("SERVFAIL ({outcome:?})").to_lowercase(),
            other => format!("{other:?}").to_lowercase(),
        };
        format!(
            "{} allowed by {}:{}: {told}, {:.1} ms",
            describe(&answer.query),
            self.path.display(),
            answer.rule.get(),
            elapsed.as_secs_f64() * 1e3
        )
    }
}

impl Policy for FilePolicy {
    fn decide(&self, query: &Query<'_>) -> Decision {
        let filter = self.filter.read().unwrap_or_else(PoisonError::into_inner);
        match filter.decide([&()], query.name) {
            Verdict::Allow { rule } => Decision::Allow {
                identity: Identity::WORLD,
                rule: RuleToken::new(u64::from(*rule)),
            },
            Verdict::Refuse => Decision::Refuse {
                rejection: self.rejection,
                rule: RuleToken::default(),
            },
        }
    }

    fn answer(&self, held: Held) {
        // Nobody is kept from an address here.
        let _released = held.release();
    }

    fn observe(&self, event: &Event<'_>) {
        if !self.verbose {
            return;
        }
        let text = match event {
            Event::Answered {
                answer,
                outcome,
                elapsed,
                ..
            } => self.describe_answer(answer, *outcome, *elapsed),
            Event::Asked {
                query,
                decision: Decision::Refuse { .. },
            } => format!("{} refused: no rule allows it", describe(query)),
            Event::Rejected { client, reason, .. } => {
                format!("{client} rejected: {reason:?}").to_lowercase()
            }
            _ => return,
        };
        // Whoever does not read the log any more still wants names resolved.
        drop(print::line(&text));
    }
}

fn describe(query: &Query<'_>) -> String {
    format!(
        "{}/{} {} {}",
        query.client, query.protocol, query.name, query.qtype
    )
}
