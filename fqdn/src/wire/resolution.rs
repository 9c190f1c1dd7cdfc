//! What an answer says about the name that was asked for.

use std::net::IpAddr;
use std::time::Duration;

use super::{Class, Error, Message, Record, RecordType};
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
        let mut found = Resolution::default();
        let mut least = None;
        let mut shorten = |ttl: Duration| least = Some(least.map_or(ttl, |least| ttl.min(least)));

        let links = self.links()?;
        while found.aliases.len() < LONGEST_CHAIN {
            let end = found.aliases.last().unwrap_or(question.name());
            let Some((target, ttl)) = follow(&links, end)? else {
                break;
            };
            if target == *question.name() || found.aliases.contains(&target) {
                break;
            }
            found.aliases.push(target);
            shorten(ttl);
        }
        for record in self.answers() {
            let record = record?;
            if let Some(address) = record.address()?
                && leads_to(question.name(), &found.aliases, &record)?
            {
                found.addresses.push(address);
                shorten(record.ttl());
            }
        }
        found.ttl = least.unwrap_or_default();
        Ok(found)
    }

    /// The aliases of the answer section.
    fn links(&self) -> Result<Vec<Record<'_>>, Error> {
        let alias =
            |record: &Record<'_>| record.kind() == RecordType::CNAME && record.class() == Class::IN;
        let records = self.answers();
        records
            .filter(|record| record.as_ref().map_or(true, alias))
            .collect()
    }
}

/// Where a name's first alias leads.
fn follow(links: &[Record<'_>], name: &DnsName) -> Result<Option<(DnsName, Duration)>, Error> {
    for record in links {
        if record.is_about(name)? {
            return Ok(record.alias()?.map(|target| (target, record.ttl())));
        }
    }
    Ok(None)
}

fn leads_to(name: &DnsName, aliases: &[DnsName], record: &Record<'_>) -> Result<bool, Error> {
    // Most answers end in addresses of the last name.
    for known in aliases.iter().rev().chain([name]) {
        if record.is_about(known)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// More aliases than any resolver follows.
const LONGEST_CHAIN: usize = 32;
