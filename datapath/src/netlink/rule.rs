use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;

use super::{Error, Netlink};

/// A rule that sends marked packets to a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    pub(crate) family: AddressFamily,
    pub(crate) priority: u32,
    pub(crate) mark: u32,
    pub(crate) mask: u32,
    pub(crate) table: u32,
}

impl Netlink {
    /// Whether the rule was not there yet.
    pub(crate) fn add_rule(&mut self, rule: &Rule) -> Result<bool, Error> {
        self.change(
            &format!("add the rule to table {}", rule.table),
            RouteNetlinkMessage::NewRule(message(rule)),
            NLM_F_CREATE | NLM_F_EXCL,
            &[Errno::EEXIST],
        )
    }

    /// Whether the rule was there.
    pub(crate) fn delete_rule(&mut self, rule: &Rule) -> Result<bool, Error> {
        self.change(
            &format!("remove the rule to table {}", rule.table),
            RouteNetlinkMessage::DelRule(message(rule)),
            0,
            &[Errno::ENOENT],
        )
    }
}

fn message(rule: &Rule) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = rule.family;
    message.header.action = RuleAction::ToTable;
    message.attributes = vec![
        RuleAttribute::Priority(rule.priority),
        RuleAttribute::FwMark(rule.mark),
        RuleAttribute::FwMask(rule.mask),
        RuleAttribute::Table(rule.table),
    ];
    message
}
