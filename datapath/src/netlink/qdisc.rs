use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{TcAttribute, TcHandle, TcMessage};
use nix::errno::Errno;

use super::{Error, Netlink};

/// The place of clsact at a device, which it shares with the older ingress.
const CLSACT: TcHandle = TcHandle {
    major: 0xffff,
    minor: 0,
};
const CLSACT_PARENT: TcHandle = TcHandle {
    major: 0xffff,
    minor: 0xfff1,
};
/// Parents of the filters of both directions.
const DIRECTIONS: [TcHandle; 2] = [
    TcHandle {
        major: 0xffff,
        minor: 0xfff2,
    },
    TcHandle {
        major: 0xffff,
        minor: 0xfff3,
    },
];

impl Netlink {
    /// Whether the device had no clsact yet.
    pub(crate) fn add_clsact(&mut self, ifindex: u32) -> Result<bool, Error> {
        self.change(
            &format!("add clsact to device {ifindex}"),
            RouteNetlinkMessage::NewQueueDiscipline(clsact(ifindex)),
            NLM_F_CREATE | NLM_F_EXCL,
            &[Errno::EEXIST],
        )
    }

    /// Whether the device had a clsact.
    pub(crate) fn delete_clsact(&mut self, ifindex: u32) -> Result<bool, Error> {
        self.change(
            &format!("remove clsact from device {ifindex}"),
            RouteNetlinkMessage::DelQueueDiscipline(clsact(ifindex)),
            0,
            &[Errno::ENOENT, Errno::EINVAL, Errno::ENODEV],
        )
    }

    /// Whether a filter hangs on the device's clsact.
    pub(crate) fn has_filters(&mut self, ifindex: u32) -> Result<bool, Error> {
        for parent in DIRECTIONS {
            let mut message = TcMessage::with_index(ifindex.cast_signed());
            message.header.parent = parent;
            let request = format!("list the filters of device {ifindex}");
            let found = self.dump(&request, RouteNetlinkMessage::GetTrafficFilter(message))?;
            if !found.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn clsact(ifindex: u32) -> TcMessage {
    let mut message = TcMessage::with_index(ifindex.cast_signed());
    message.header.handle = CLSACT;
    message.header.parent = CLSACT_PARENT;
    message.attributes.push(TcAttribute::Kind("clsact".into()));
    message
}
