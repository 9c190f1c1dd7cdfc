//! What a proxy is asked to enforce.

use std::collections::BTreeMap;
use std::sync::Arc;

use palisade_fqdn::MatchPattern;

use crate::span::Location;

/// What a proxy has the last word on, and by which rules.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Redirect {
    /// The rules of the application protocol.
    pub rules: L7Rules,
    /// The listener that traffic goes to instead of the proxy of the protocol.
    pub listener: Option<Listener>,
    /// The TLS server names that may be asked for; empty for any.
    pub server_names: Vec<Arc<str>>,
    /// How the proxy ends the client's TLS.
    pub terminating_tls: Option<TlsContext>,
    /// How the proxy speaks TLS to the server.
    pub originating_tls: Option<TlsContext>,
}

impl Redirect {
    /// A redirect to the DNS proxy with these rules.
    pub fn dns(rules: impl Into<Arc<[DnsRule]>>) -> Self {
        Self {
            rules: L7Rules::Dns(rules.into()),
            ..Self::default()
        }
    }

    /// The proxy that understands the rules.
    pub fn parser(&self) -> Parser {
        if self.listener.is_some() {
            return Parser::Listener;
        }
        match &self.rules {
            L7Rules::Dns(_) => Parser::Dns,
            L7Rules::Http(_) => Parser::Http,
            L7Rules::Kafka(_) => Parser::Kafka,
            L7Rules::None => Parser::Tls,
            L7Rules::Other { .. } => Parser::Proxylib,
        }
    }

    /// Its place among redirects of one level that meet on a port: the lowest number, from 1 to
    /// 126, decides.
    pub fn priority(&self) -> u8 {
        let named = self.listener.as_ref().and_then(|one| one.priority);
        named.unwrap_or_else(|| self.parser().priority())
    }
}

/// The kinds of proxy.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Parser {
    /// The DNS proxy.
    Dns,
    /// The HTTP proxy.
    Http,
    /// The Kafka proxy.
    Kafka,
    /// A listener that a resource defines.
    Listener,
    /// A proxy for a protocol of the user's own.
    Proxylib,
    /// The proxy that looks at TLS only.
    Tls,
}

impl Parser {
    /// The [`Redirect::priority`] of redirects to it that name none.
    pub const fn priority(self) -> u8 {
        match self {
            Self::Http => 101,
            Self::Kafka => 106,
            Self::Proxylib => 111,
            Self::Tls => 116,
            Self::Dns => 121,
            Self::Listener => 126,
        }
    }
}

/// The rules of one application protocol. What none of them allows is refused by the proxy.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub enum L7Rules {
    /// None: the proxy looks at TLS, or is a listener.
    #[default]
    None,
    /// Names that may be asked for.
    Dns(Arc<[DnsRule]>),
    /// HTTP requests.
    Http(Arc<[HttpRule]>),
    /// Kafka requests.
    Kafka(Arc<[KafkaRule]>),
    /// Requests of a protocol of the user's own (`l7proto`).
    Other {
        /// The name of the parser.
        protocol: Arc<str>,
        /// What requests must say, key by key.
        rules: Arc<[BTreeMap<Arc<str>, Arc<str>>]>,
    },
}

/// A name that may be asked for.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct DnsRule {
    /// What the name must match.
    pub pattern: MatchPattern,
    /// Where the item stands.
    pub location: Location,
}

/// What an HTTP request must say; what is absent may be anything.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct HttpRule {
    /// A regular expression for the whole path.
    pub path: Option<Arc<str>>,
    /// A regular expression for the whole method.
    pub method: Option<Arc<str>>,
    /// A regular expression for the whole host.
    pub host: Option<Arc<str>>,
    /// Headers that must be there, as `NAME` or `NAME VALUE`.
    pub headers: Vec<Arc<str>>,
    /// Headers that must be there or are mended.
    pub header_matches: Vec<HeaderMatch>,
}

/// A header, and what becomes of a request that lacks it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct HeaderMatch {
    /// What becomes of it; `None` refuses the request.
    pub mismatch: Option<MismatchAction>,
    /// The name of the header.
    pub name: Arc<str>,
    /// The secret that holds the value.
    pub secret: Option<SecretName>,
    /// The value, where no secret holds it.
    pub value: Option<Arc<str>>,
}

/// What becomes of a request whose header is not as it should be.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum MismatchAction {
    /// The header is added beside the others of its name.
    Add,
    /// The header is taken out.
    Delete,
    /// It goes on, and the log says so.
    Log,
    /// The header is made what it should be.
    Replace,
}

/// What a Kafka request must say; what is absent may be anything.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct KafkaRule {
    /// `produce` or `consume`: a set of API keys.
    pub role: Option<Arc<str>>,
    /// The API key by name.
    pub api_key: Option<Arc<str>>,
    /// The API version, a number as text.
    pub api_version: Option<Arc<str>>,
    /// The client's name for itself.
    pub client_id: Option<Arc<str>>,
    /// The topic.
    pub topic: Option<Arc<str>>,
}

/// A listener of an Envoy configuration.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Listener {
    /// Its name, qualified as Cilium does: `NAMESPACE/CONFIG/LISTENER`, the namespace empty for a
    /// clusterwide configuration.
    pub name: Arc<str>,
    /// 1..=100, the lower one first; `None` comes last.
    pub priority: Option<u8>,
    /// Whether the configuration is one of a namespace.
    pub namespaced: bool,
}

/// Certificates and keys for one side of a proxied connection.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct TlsContext {
    /// Where they are kept.
    pub secret: SecretName,
    /// The item of the secret with the authorities to trust.
    pub trusted_ca: Option<Arc<str>>,
    /// The item with the certificate.
    pub certificate: Option<Arc<str>>,
    /// The item with the key.
    pub private_key: Option<Arc<str>>,
}

/// The name of a secret.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct SecretName {
    /// Its namespace; `None` for that of the policy.
    pub namespace: Option<Arc<str>>,
    /// Its name.
    pub name: Arc<str>,
}
