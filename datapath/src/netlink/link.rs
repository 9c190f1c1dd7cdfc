use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, InfoVxlan, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use nix::errno::Errno;

use super::{Error, Netlink};

/// A network device.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Device {
    /// Its number in its namespace.
    pub ifindex: u32,
    /// Its name.
    pub name: String,
    /// Its link address; zero where it has none of 6 bytes.
    pub mac: [u8; 6],
    /// Whether it is administratively up.
    pub is_up: bool,
    /// Whether it carries packets: a veth does so up to a second after both of its ends are up.
    pub is_running: bool,
}

/// A veth pair to be made.
#[derive(Clone, Copy, Debug)]
pub struct Veth<'a> {
    /// The name of the end in this namespace.
    pub name: &'a str,
    /// The name of the other end.
    pub peer: &'a str,
    /// The namespace of the other end.
    pub peer_namespace: BorrowedFd<'a>,
    /// The MTU of both ends; the kernel's default without.
    pub mtu: Option<u32>,
}

impl Netlink {
    /// The device with a name, if there is one.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Socket`] or [`Error::Answer`].
    pub fn device(&mut self, name: &str) -> Result<Option<Device>, Error> {
        let mut message = LinkMessage::default();
        message.attributes = vec![LinkAttribute::IfName(name.into())];
        self.look_up(&format!("look up device {name}"), message)
    }

    /// The device with a number, if there is one.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Socket`] or [`Error::Answer`].
    pub fn device_at(&mut self, ifindex: u32) -> Result<Option<Device>, Error> {
        self.look_up(&format!("look up device {ifindex}"), at(ifindex))
    }

    /// All devices of the namespace.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Socket`] or [`Error::Answer`].
    pub fn devices(&mut self) -> Result<Vec<Device>, Error> {
        let message = RouteNetlinkMessage::GetLink(LinkMessage::default());
        let answers = self.dump("list the devices", message)?;
        Ok(answers.iter().filter_map(device).collect())
    }

    /// Makes a veth pair, one end here and one in another namespace; whether it was not there yet.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Socket`].
    pub fn add_veth(&mut self, veth: &Veth<'_>) -> Result<bool, Error> {
        let mut peer = LinkMessage::default();
        peer.attributes = vec![
            LinkAttribute::IfName(veth.peer.into()),
            LinkAttribute::NetNsFd(veth.peer_namespace.as_raw_fd()),
        ];
        let mut message = LinkMessage::default();
        message.attributes = vec![LinkAttribute::IfName(veth.name.into())];
        for end in [&mut peer, &mut message] {
            end.attributes.extend(veth.mtu.map(LinkAttribute::Mtu));
        }
        message.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
        ]));
        self.change(
            &format!("make the pair {} and {}", veth.name, veth.peer),
            RouteNetlinkMessage::NewLink(message),
            NLM_F_CREATE | NLM_F_EXCL,
            &[Errno::EEXIST],
        )
    }

    /// Makes a device for tunnels whose ends the packets name, without neighbours; whether it was not
    /// there yet.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Socket`].
    pub fn add_vxlan(&mut self, name: &str, port: u16, mtu: u32) -> Result<bool, Error> {
        let mut message = LinkMessage::default();
        message.header.flags = LinkFlags::Noarp;
        message.header.change_mask = LinkFlags::Noarp;
        message.attributes = vec![
            LinkAttribute::IfName(name.into()),
            LinkAttribute::Mtu(mtu),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Vxlan),
                LinkInfo::Data(InfoData::Vxlan(vec![
                    InfoVxlan::CollectMetadata(true),
                    InfoVxlan::Learning(false),
                    InfoVxlan::Port(port),
                ])),
            ]),
        ];
        self.change(
            &format!("make the device {name}"),
            RouteNetlinkMessage::NewLink(message),
            NLM_F_CREATE | NLM_F_EXCL,
            &[Errno::EEXIST],
        )
    }

    /// Sets a device up.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Socket`].
    pub fn set_up(&mut self, ifindex: u32) -> Result<(), Error> {
        let mut message = at(ifindex);
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        let request = format!("set device {ifindex} up");
        self.change(&request, RouteNetlinkMessage::SetLink(message), 0, &[])?;
        Ok(())
    }

    /// Removes a device, a pair with both ends; whether it was there.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Socket`].
    pub fn delete_device(&mut self, ifindex: u32) -> Result<bool, Error> {
        self.change(
            &format!("remove device {ifindex}"),
            RouteNetlinkMessage::DelLink(at(ifindex)),
            0,
            &[Errno::ENODEV],
        )
    }

    fn look_up(&mut self, request: &str, message: LinkMessage) -> Result<Option<Device>, Error> {
        let answers = self.ask(request, RouteNetlinkMessage::GetLink(message), NLM_F_ACK);
        match answers {
            Ok(answers) => Ok(answers.iter().find_map(device)),
            Err(Error::Refused { source, .. }) if super::is(&source, Errno::ENODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn at(ifindex: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = ifindex;
    message
}

fn device(answer: &RouteNetlinkMessage) -> Option<Device> {
    let RouteNetlinkMessage::NewLink(message) = answer else {
        return None;
    };
    let mut device = Device {
        ifindex: message.header.index,
        name: String::new(),
        mac: [0; 6],
        is_up: message.header.flags.contains(LinkFlags::Up),
        is_running: message.header.flags.contains(LinkFlags::Running),
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => device.name.clone_from(name),
            LinkAttribute::Address(bytes) => {
                device.mac = bytes.as_slice().try_into().unwrap_or_default();
            }
            _ => {}
        }
    }
    Some(device)
}
