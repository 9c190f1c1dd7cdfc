//! Numbers of the protocol that this crate gives a meaning.

use std::fmt;

macro_rules! code {
    ($(#[$doc:meta])* $name:ident($inner:ty) { $($(#[$item:meta])* $constant:ident = $value:expr, $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(pub $inner);

        impl $name {
            $($(#[$item])* pub const $constant: Self = Self($value);)*
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match *self {
                    $(Self::$constant => f.pad($text),)*
                    Self(other) => write!(f, concat!(stringify!($name), "({})"), other),
                }
            }
        }
    };
}

code! {
    /// A response code.
    Rcode(u8) {
        /// No error.
        NOERROR = 0, "NOERROR";
        /// The server could not read the query.
        FORMERR = 1, "FORMERR";
        /// The server failed.
        SERVFAIL = 2, "SERVFAIL";
        /// The name does not exist.
        NXDOMAIN = 3, "NXDOMAIN";
        /// The server does not do what was asked.
        NOTIMP = 4, "NOTIMP";
        /// The server does not do it for this client.
        REFUSED = 5, "REFUSED";
    }
}

code! {
    /// What a message asks for.
    Opcode(u8) {
        /// A query.
        QUERY = 0, "QUERY";
        /// A zone has changed.
        NOTIFY = 4, "NOTIFY";
    }
}

code! {
    /// The type of a record, or of what a question asks for.
    RecordType(u16) {
        /// An IPv4 address.
        A = 1, "A";
        /// A name server.
        NS = 2, "NS";
        /// Another name for the same.
        CNAME = 5, "CNAME";
        /// The start of a zone.
        SOA = 6, "SOA";
        /// A name for an address.
        PTR = 12, "PTR";
        /// A mail exchanger.
        MX = 15, "MX";
        /// Text.
        TXT = 16, "TXT";
        /// An IPv6 address.
        AAAA = 28, "AAAA";
        /// A service's place.
        SRV = 33, "SRV";
        /// The extension record.
        OPT = 41, "OPT";
        /// How to bind to a service.
        SVCB = 64, "SVCB";
        /// How to bind to an HTTP service.
        HTTPS = 65, "HTTPS";
        /// A zone transfer of what changed.
        IXFR = 251, "IXFR";
        /// A zone transfer.
        AXFR = 252, "AXFR";
        /// Everything there is.
        ANY = 255, "ANY";
    }
}

code! {
    /// The class of a record.
    Class(u16) {
        /// The Internet.
        IN = 1, "IN";
    }
}

code! {
    /// Why a server answered with an error (RFC 8914).
    ErrorCode(u16) {
        /// None of the others.
        OTHER = 0, "Other Error";
        /// The operator's own policy blocks the name.
        BLOCKED = 15, "Blocked";
        /// This client may not ask for it.
        PROHIBITED = 18, "Prohibited";
        /// No server of the zone could be reached.
        NO_REACHABLE_AUTHORITY = 22, "No Reachable Authority";
        /// A server could not be reached.
        NETWORK_ERROR = 23, "Network Error";
    }
}
