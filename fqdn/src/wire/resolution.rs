//! What an answer says about the name that was asked for.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use super::{Error, Message, Record};
use crate::name::DnsName;

/// The addresses of the name in question, and how long they hold.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Resolution {
    /// The addresses, in the order of the answer.
    pub addresses: Vec<IpAddr>,
    /// The names that the one in question leads to, in order.
    pub aliases: Vec<DnsName>,
    /// The least time of the records that lead from the name to the addresses.
    pub ttl: Duration,
}

impl Message<'_> {
    /// Follows the answer from the name in question over its aliases to the addresses.
    ///
    /// Addresses of names that the question does not lead to are left out: whoever forges or
    /// pads an answer cannot bind them to the name. The order of the records does not matter.
    ///
    /// # Errors
    /// [`Error`] if a record of the answer section cannot be read, or there is not one question.
    pub fn resolution(&self) -> Result<Resolution, Error> {
        let count = self.header().questions();
        let question = self.question().ok_or(Error::Questions { count })?;
        let mut walk = Walk::new(question.name());
        let links = self.links()?;
        while let Some((target, ttl)) = links.get(walk.end()) {
            if !walk.follow(target, *ttl) {
                break;
            }
        }
        for record in self.answers() {
            walk.take(&record?)?;
        }
        Ok(walk.finish())
    }

    /// The aliases of the answer section by the name they stand for; the first of a name counts.
    fn links(&self) -> Result<HashMap<DnsName, (DnsName, Duration)>, Error> {
        let mut links = HashMap::new();
        for record in self.answers() {
            let record = record?;
            if let Some(target) = record.alias()? {
                links
                    .entry(record.name()?)
                    .or_insert((target, record.ttl()));
            }
        }
        Ok(links)
    }
}

/// The way from a name to its addresses, as far as it is known.
struct Walk<'a> {
    name: &'a DnsName,
    found: Resolution,
    least: Option<Duration>,
}

impl<'a> Walk<'a> {
    fn new(name: &'a DnsName) -> Self {
        Self {
            name,
            found: Resolution::default(),
            least: None,
        }
    }

    fn end(&self) -> &DnsName {
        self.found.aliases.last().unwrap_or(self.name)
    }

    fn leads_to(&self, name: &DnsName) -> bool {
        name == self.name || self.found.aliases.contains(name)
    }

    /// Goes on to an alias, unless that leads in a circle or further than any server goes.
    fn follow(&mut self, target: &DnsName, ttl: Duration) -> bool {
        if self.leads_to(target) || self.found.aliases.len() >= LONGEST_CHAIN {
            return false;
        }
        self.found.aliases.push(target.clone());
        self.shorten(ttl);
        true
    }

    fn take(&mut self, record: &Record<'_>) -> Result<(), Error> {
        let Some(address) = record.address()? else {
            return Ok(());
        };
        if record.names_the_question() || self.leads_to(&record.name()?) {
            self.found.addresses.push(address);
            self.shorten(record.ttl());
        }
        Ok(())
    }

    fn shorten(&mut self, ttl: Duration) {
        self.least = Some(self.least.map_or(ttl, |least| least.min(ttl)));
    }

    fn finish(self) -> Resolution {
        Resolution {
            ttl: self.least.unwrap_or_default(),
            ..self.found
        }
    }
}

/// More aliases than any resolver follows.
const LONGEST_CHAIN: usize = 32;
