//! Under which names the addresses of an answer are remembered.

use crate::name::DnsName;
use crate::wire::Resolution;

/// Which names an answer's addresses count for, besides the one that was asked for.
///
/// By default for no other, as in Cilium. Either option trusts the server further: it then says
/// not only where the name in question is, but also that another name, which a policy may select,
/// has these addresses. Use them where only trusted servers can be asked.
///
/// ```
/// use palisade_fqdn::{Binding, DnsName};
///
/// let asked = DnsName::parse("www.example.com.shop.svc.cluster.local")?;
/// let told = [DnsName::parse("www.example.com")?];
/// assert!(Binding::default().others(&asked, &told).is_empty());
///
/// let autopath = Binding { search: vec![DnsName::parse("shop.svc.cluster.local")?], ..Binding::default() };
/// assert_eq!(autopath.others(&asked, &told), told.iter().collect::<Vec<_>>());
/// # Ok::<(), palisade_fqdn::NameError>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Binding {
    /// For every name that the one in question leads to by CNAME records.
    pub chain: bool,
    /// For a name that a client completed with one of these domains, if the server says that the
    /// completed name leads to the bare one (autopath).
    pub search: Vec<DnsName>,
}

impl Binding {
    /// The other names that the addresses count for; `aliases` are [`Resolution::aliases`].
    pub fn others<'a>(&self, asked: &DnsName, aliases: &'a [DnsName]) -> Vec<&'a DnsName> {
        if self.chain {
            return aliases.iter().collect();
        }
        let first = aliases.first().filter(|first| {
            let mut search = self.search.iter();
            search.any(|domain| is_completed(asked, first, domain))
        });
        first.into_iter().collect()
    }

    /// All names that an answer's addresses count for, the one that was asked for first.
    pub fn names<'a>(&self, asked: &'a DnsName, resolution: &'a Resolution) -> Vec<&'a DnsName> {
        let others = self.others(asked, &resolution.aliases);
        std::iter::once(asked).chain(others).collect()
    }
}

/// Whether `asked` is `bare` with `domain` after it.
fn is_completed(asked: &DnsName, bare: &DnsName, domain: &DnsName) -> bool {
    !bare.is_root() && !domain.is_root() && asked.labels().eq(bare.labels().chain(domain.labels()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> DnsName {
        DnsName::parse(text).unwrap()
    }

    #[test]
    fn a_chain_counts_only_if_asked_for() {
        let (asked, told) = (
            name("www.shop.test"),
            [name("cdn.test"), name("edge.cdn.test")],
        );
        assert!(Binding::default().others(&asked, &told).is_empty());
        let chain = Binding {
            chain: true,
            ..Binding::default()
        };
        assert_eq!(chain.others(&asked, &told), [&told[0], &told[1]]);
    }

    #[test]
    fn autopath_takes_nothing_but_the_completed_name() {
        let search = vec![name("svc.cluster.local")];
        let autopath = Binding {
            search,
            ..Binding::default()
        };
        let asked = name("api.test.svc.cluster.local");
        let others = |told: &str| autopath.others(&asked, &[name(told)]).len();
        assert_eq!(others("api.test"), 1);
        assert_eq!(others("test"), 0);
        assert_eq!(others("evil.test"), 0);
        assert_eq!(others("."), 0);
        // Only the first step of a chain: what it leads to is the server's own affair.
        assert!(
            autopath
                .others(&asked, &[name("other.test"), name("api.test")])
                .is_empty()
        );
    }
}
