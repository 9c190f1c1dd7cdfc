//! What two rules about one port and one selector come to.

use std::collections::BTreeSet;
use std::sync::Arc;

use palisade_abi::Direction;

use super::conflict::{Cause, Conflict, Place};
use super::{Unmatched, l7};
use crate::proxy_ports::Proxy;
use crate::rule::{AuthMode, Effect, L7Rules, Parser, PortRule, Redirect, Rule, TlsContext};

/// What is done with the traffic of one selector on one range of ports.
#[derive(Clone, Debug)]
pub struct SelectorPolicy<'a> {
    /// What is done.
    pub effect: Effect,
    /// Which policy of the direction decides first: the lower number, see [`super::Filters::base`].
    pub priority: u32,
    /// What the two sides must have proved; `None` if no rule says.
    pub auth: Option<AuthMode>,
    /// The proxy that has the last word.
    pub proxy: Option<ProxyRules>,
    /// What decides, the first of those merged; `None` for what is allowed because no rule asks
    /// for default deny.
    pub origin: Option<Origin<'a>>,
}

/// A rule and its port item, if it has any.
pub type Origin<'a> = (&'a Rule, Option<&'a PortRule>);

/// A proxy and what it enforces, for one selector.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProxyRules {
    /// What the proxy must understand.
    pub parser: Parser,
    /// The qualified name of the listener that serves instead of the parser's own proxy.
    pub listener: Option<Arc<str>>,
    /// Which proxy serves where several could: the lower number.
    pub priority: u8,
    /// The TLS server names that may be asked for; empty for any.
    pub server_names: BTreeSet<Arc<str>>,
    /// How the proxy ends the client's TLS.
    pub terminating_tls: Option<TlsContext>,
    /// How the proxy speaks TLS to the server.
    pub originating_tls: Option<TlsContext>,
    /// What it lets pass.
    pub rules: L7Rules,
    /// What further rules let pass, until all are merged: uniting two lists at a time would take
    /// the square of their number.
    pending: Vec<L7Rules>,
    /// Whether one of the merged rules lets everything pass.
    open: bool,
}

impl<'a> SelectorPolicy<'a> {
    /// What a rule says, at one of its port items.
    pub(super) fn of(
        rule: &'a Rule,
        item: Option<&'a PortRule>,
        priority: u32,
        unmatched: Unmatched,
    ) -> Self {
        let allows = rule.effect == Effect::Allow;
        let redirect = item.and_then(|item| item.redirect.as_deref());
        let proxy = redirect.filter(|_| allows).map(|redirect| {
            let mut proxy = ProxyRules::of(redirect);
            if unmatched == Unmatched::Allowed {
                // Rules that do not switch default deny on must not deny in the proxy either.
                let location = item.map_or(&rule.location, |item| &item.location);
                l7::allow_rest(&mut proxy.rules, location);
            }
            proxy
        });
        Self {
            effect: rule.effect,
            priority,
            auth: rule.auth.filter(|_| allows),
            proxy,
            origin: Some((rule, item)),
        }
    }

    /// What is allowed because no rule asks for default deny.
    pub(super) const fn open(priority: u32) -> Self {
        Self {
            effect: Effect::Allow,
            priority,
            auth: None,
            proxy: None,
            origin: None,
        }
    }

    /// Takes in what a rule further down says. The lower priority number decides alone; at one
    /// level deny goes before allow, and allow before pass.
    pub(super) fn merge(&mut self, other: Self, direction: Direction) -> Result<(), Conflict> {
        if self.priority < other.priority || strength(self.effect) > strength(other.effect) {
            return Ok(());
        }
        if strength(self.effect) < strength(other.effect) {
            *self = other;
            return Ok(());
        }
        if self.effect != Effect::Allow {
            return Ok(());
        }
        self.merge_allow(&other).or_else(|cause| {
            // What no rule says agrees with everything.
            let (Some((rule, item)), Some((other_rule, other_item))) = (self.origin, other.origin)
            else {
                return Ok(());
            };
            Err(Conflict {
                direction,
                cause,
                first: Place::of(rule, item),
                second: Place::of(other_rule, other_item),
            })
        })
    }

    /// Unites what was merged.
    pub(super) fn finish(&mut self) {
        let origin = self.origin;
        if let Some(proxy) = &mut self.proxy {
            proxy.finish(origin);
        }
    }

    fn merge_allow(&mut self, other: &Self) -> Result<(), Cause> {
        if (self.auth, &self.proxy) == (other.auth, &other.proxy) {
            return Ok(());
        }
        match (&mut self.proxy, &other.proxy) {
            (None, None) => {}
            (None, Some(theirs)) => {
                let open = true;
                self.proxy = Some(ProxyRules {
                    open,
                    ..theirs.clone()
                });
            }
            (Some(ours), None) => {
                ours.check_server_names()?;
                ours.open = true;
            }
            (Some(ours), Some(theirs)) => ours.merge(theirs)?,
        }
        match (self.auth, other.auth) {
            (Some(first), Some(second)) if first != second => {
                return Err(Cause::Auth { first, second });
            }
            (None, asked) => self.auth = asked,
            (Some(_), _) => {}
        }
        Ok(())
    }
}

/// Which effect decides at one level.
const fn strength(effect: Effect) -> u8 {
    match effect {
        Effect::Pass => 0,
        Effect::Allow => 1,
        Effect::Deny => 2,
    }
}

impl ProxyRules {
    fn of(redirect: &Redirect) -> Self {
        let parser = redirect.parser();
        let listener = redirect.listener.as_ref();
        let explicit = listener.and_then(|listener| listener.priority);
        Self {
            parser,
            listener: listener.map(|listener| Arc::clone(&listener.name)),
            priority: explicit.unwrap_or_else(|| priority(parser)),
            server_names: redirect.server_names.iter().cloned().collect(),
            terminating_tls: redirect.terminating_tls.clone(),
            originating_tls: redirect.originating_tls.clone(),
            rules: redirect.rules.clone(),
            pending: Vec::new(),
            open: false,
        }
    }
}

impl ProxyRules {
    /// The proxy that serves.
    pub fn proxy(&self, direction: Direction) -> Proxy {
        match (&self.listener, self.parser) {
            (Some(listener), _) => Proxy::Listener(Arc::clone(listener)),
            (None, Parser::Dns) => Proxy::Dns,
            (None, Parser::Http) => Proxy::Http(direction),
            (None, Parser::Kafka | Parser::Listener | Parser::Proxylib | Parser::Tls) => {
                Proxy::Proxylib(direction)
            }
        }
    }

    /// The parser by the name that Cilium gives it; for a protocol of the user's own that is the
    /// name of the protocol.
    pub fn parser_name(&self) -> &str {
        match (self.parser, &self.rules) {
            (Parser::Dns, _) => "dns",
            (Parser::Http, _) => "http",
            (Parser::Kafka, _) => "kafka",
            (Parser::Listener, _) => "crd",
            (Parser::Proxylib, L7Rules::Other { protocol, .. }) => protocol,
            (Parser::Proxylib, _) => "proxylib",
            (Parser::Tls, _) => "tls",
        }
    }

    fn merge(&mut self, other: &Self) -> Result<(), Cause> {
        self.merge_parser(other)?;
        self.merge_listener(other)?;
        merge_context(&mut self.terminating_tls, other.terminating_tls.as_ref())
            .ok_or(Cause::TerminatingTls)?;
        merge_context(&mut self.originating_tls, other.originating_tls.as_ref())
            .ok_or(Cause::OriginatingTls)?;
        self.server_names.extend(other.server_names.iter().cloned());
        self.check_server_names()?;
        // No rules at all let everything pass, and still do beside rules.
        match (l7::is_empty(&self.rules), l7::is_empty(&other.rules)) {
            (false, false) => self.pending.push(other.rules.clone()),
            (false, true) => self.open = true,
            (true, false) => (self.rules, self.open) = (other.rules.clone(), true),
            (true, true) => {
                if self.rules == L7Rules::None {
                    self.rules = other.rules.clone();
                }
            }
        }
        Ok(())
    }

    /// Unites the rules that were merged.
    pub(super) fn finish(&mut self, origin: Option<Origin<'_>>) {
        l7::unite(&mut self.rules, &std::mem::take(&mut self.pending));
        if let Some((rule, item)) = origin.filter(|_| std::mem::take(&mut self.open)) {
            let location = item.map_or(&rule.location, |item| &item.location);
            l7::add_open(&mut self.rules, location);
        }
    }

    /// A proxy for TLS can become one that understands what is inside; no other can change.
    fn merge_parser(&mut self, other: &Self) -> Result<(), Cause> {
        let inner = |parser| matches!(parser, Parser::Http | Parser::Kafka | Parser::Proxylib);
        if self.parser_name() == other.parser_name()
            || other.parser == Parser::Tls && inner(self.parser)
        {
            return Ok(());
        }
        if self.parser == Parser::Tls && inner(other.parser) {
            (self.parser, self.priority) = (other.parser, other.priority);
            return Ok(());
        }
        Err(Cause::Parsers {
            first: self.parser_name().into(),
            second: other.parser_name().into(),
        })
    }

    fn merge_listener(&mut self, other: &Self) -> Result<(), Cause> {
        let (Some(ours), Some(theirs)) = (&self.listener, &other.listener) else {
            return Ok(());
        };
        if other.priority < self.priority {
            self.listener = Some(Arc::clone(theirs));
            self.priority = other.priority;
        } else if other.priority == self.priority && ours != theirs {
            return Err(Cause::Listeners {
                first: Arc::clone(ours),
                second: Arc::clone(theirs),
                priority: self.priority,
            });
        }
        Ok(())
    }

    /// Who reads the requests must have ended TLS, and then server names are not all there is.
    fn check_server_names(&self) -> Result<(), Cause> {
        let reads = !l7::is_empty(&self.rules);
        if reads && !self.server_names.is_empty() && self.terminating_tls.is_none() {
            return Err(Cause::ServerNames);
        }
        Ok(())
    }
}

/// `None` if both say something and not the same.
fn merge_context(ours: &mut Option<TlsContext>, theirs: Option<&TlsContext>) -> Option<()> {
    match (&ours, theirs) {
        (Some(first), Some(second)) if first != second => return None,
        (None, Some(second)) => *ours = Some(second.clone()),
        (_, None) | (Some(_), Some(_)) => {}
    }
    Some(())
}

/// Which proxy serves where several could and none says.
const fn priority(parser: Parser) -> u8 {
    match parser {
        Parser::Http => 101,
        Parser::Kafka => 106,
        Parser::Proxylib => 111,
        Parser::Tls => 116,
        Parser::Dns => 121,
        Parser::Listener => 126,
    }
}
