//! Compares every layout and number of `palisade-abi` with its C twin when the crate is compiled.
//!
//! The Rust side may be aligned less (network-order numbers are bytes there), never placed or sized
//! differently.

use core::mem::{offset_of, size_of};

use palisade_abi as abi;

use crate::skel::endpoint::types;

/// `Rust = c { field, rust_field = c_field }`.
macro_rules! same_layout {
    ($rust:ident = $c:ident { $($field:ident $(= $c_field:ident)?),* $(,)? }) => {
        const _: () = {
            assert!(
                size_of::<abi::$rust>() == size_of::<types::$c>(),
                concat!(stringify!($rust), ": size differs")
            );
            $(same_layout!(@field $rust $c $field $(= $c_field)?);)*
        };
    };
    (@field $rust:ident $c:ident $field:ident) => {
        same_layout!(@field $rust $c $field = $field)
    };
    (@field $rust:ident $c:ident $field:ident = $c_field:ident) => {
        assert!(
            offset_of!(abi::$rust, $field) == offset_of!(types::$c, $c_field),
            concat!(stringify!($rust), ".", stringify!($field), ": offset differs")
        )
    };
}

/// `number == c_enum::NAME`.
macro_rules! same_const {
    ($($rust:expr, $enum:ident::$name:ident;)*) => {
        $(const _: () = assert!(
            $rust == types::$enum::$name.0,
            concat!(stringify!($name), ": number differs")
        );)*
    };
}

const _: () = assert!(size_of::<abi::Address>() == size_of::<types::address>());

same_layout!(
    DatapathConfig = datapath_config {
        policies,
        row_slots,
        rows,
        cell_slots,
        verdicts,
        mode,
        world_ipv4,
        world_ipv6,
        tcp_timeout,
        syn_timeout,
        close_timeout,
        other_timeout,
        redirect_peer,
        deny_answer,
        node_ipv4,
        node_ipv6,
        host_endpoint,
        masquerade,
        nat_port_low,
        nat_port_high,
        overlay,
        overlay_port,
    }
);
same_layout!(
    DatapathState = datapath_state {
        generation,
        layout,
        pages
    }
);
same_layout!(
    EndpointRecord = endpoint_record {
        ifindex,
        identity,
        id,
        mac,
        node_mac,
        pad
    }
);
same_layout!(PolicyPair = policy_pair { ingress, egress });
same_layout!(PeerClasses = peer_classes { ingress, egress });
same_layout!(Line = line { base, default = fallback });
same_layout!(Slot = slot { owner, value });
same_layout!(
    Verdict = verdict {
        cookie,
        proxy_port,
        action,
        flags
    }
);
same_layout!(
    IpcachePrefix = ipcache_prefix {
        prefix_len,
        address
    }
);
same_layout!(
    IpcacheEntry = ipcache_entry {
        identity,
        flags,
        tunnel
    }
);
same_layout!(Counter = counter { packets, bytes });
same_layout!(
    CtKey = ct_key {
        low,
        high,
        low_port,
        high_port,
        protocol,
        zone,
        pad
    }
);
same_layout!(
    CtEntry = ct_entry {
        generation,
        expires,
        source_identity,
        destination_identity,
        egress,
        ingress,
        egress_half,
        ingress_half,
        flags,
        tcp_original,
        tcp_reply,
        nat_port,
        packets_original,
        packets_reply,
        bytes_original,
        bytes_reply,
    }
);
same_layout!(
    FragmentKey = fragment_key {
        source,
        destination,
        id,
        protocol,
        pad
    }
);
same_layout!(
    FragmentEntry = fragment_entry {
        expires,
        source_port,
        destination_port,
        protocol,
        flags,
        icmp_type,
        pad,
    }
);
same_layout!(
    NatKey = nat_key {
        remote,
        node,
        remote_port,
        node_port,
        protocol,
        pad
    }
);
same_layout!(
    NatEntry = nat_entry {
        address,
        port,
        pad,
        expires
    }
);
same_layout!(
    RawEvent = raw_event {
        time,
        kind,
        reason,
        direction,
        protocol,
        flags,
        tcp_flags,
        endpoint,
        source_identity,
        destination_identity,
        verdict,
        source,
        destination,
        source_port,
        destination_port,
        ifindex,
        length,
        pad,
    }
);

const fn port_index(protocol: abi::Protocol) -> u32 {
    abi::PortIndex::new(protocol, 0).get()
}

same_const! {
    abi::Mode::Enforce as u32, datapath_mode::MODE_ENFORCE;
    abi::Mode::Audit as u32, datapath_mode::MODE_AUDIT;
    abi::DenyAnswer::Silent as u32, deny_answer::DENY_SILENT;
    abi::DenyAnswer::Icmp as u32, deny_answer::DENY_ICMP;
    abi::DenyAnswer::Reset as u32, deny_answer::DENY_RESET;
    abi::IDENTITY_PAGES, policy_size::IDENTITY_PAGES;
    abi::IDENTITY_PAGE_LEN, policy_size::IDENTITY_PAGE_LEN;
    abi::PORT_INDEXES, policy_size::PORT_INDEXES;
    abi::ROW_BLOCK, row_form::ROW_BLOCK;
    abi::ROW_BLOCKS, row_form::ROW_BLOCKS;
    abi::ROW_WIDE, row_form::ROW_WIDE;
    port_index(abi::Protocol::TCP), port_index::PORT_INDEX_TCP;
    port_index(abi::Protocol::UDP), port_index::PORT_INDEX_UDP;
    port_index(abi::Protocol::SCTP), port_index::PORT_INDEX_SCTP;
    port_index(abi::Protocol::ICMP), port_index::PORT_INDEX_ICMP;
    port_index(abi::Protocol::ICMPV6), port_index::PORT_INDEX_ICMPV6;
    port_index(abi::Protocol::new(0)), port_index::PORT_INDEX_OTHER;
    abi::Direction::Ingress as u32, direction::DIRECTION_INGRESS;
    abi::Direction::Egress as u32, direction::DIRECTION_EGRESS;
    abi::Action::Deny as u32, action::ACTION_DENY;
    abi::Action::Allow as u32, action::ACTION_ALLOW;
    abi::Action::Redirect as u32, action::ACTION_REDIRECT;
    abi::VERDICT_LOG as u32, verdict_flag::VERDICT_LOG;
    abi::VERDICT_DEFAULT as u32, verdict_flag::VERDICT_DEFAULT;
    abi::VERDICT_AUTH_SHIFT as u32, verdict_flag::VERDICT_AUTH_SHIFT;
    abi::IPCACHE_IPV6, ipcache_flag::IPCACHE_IPV6;
    abi::Identity::HOST.get(), known_identity::IDENTITY_HOST;
    abi::Identity::REMOTE_NODE.get(), known_identity::IDENTITY_REMOTE_NODE;
    abi::Identity::WORLD.get(), known_identity::IDENTITY_WORLD;
    abi::Identity::WORLD_IPV4.get(), known_identity::IDENTITY_WORLD_IPV4;
    abi::Identity::WORLD_IPV6.get(), known_identity::IDENTITY_WORLD_IPV6;
    abi::ZONE_FLOW as u32, ct_zone::ZONE_FLOW;
    abi::ZONE_PROXY_LEG as u32, ct_zone::ZONE_PROXY_LEG;
    abi::FRAGMENTED_DATAGRAMS, fragment_size::FRAGMENTED_DATAGRAMS;
    abi::HALF_UNDECIDED as u32, half::HALF_UNDECIDED;
    abi::HALF_DECIDED as u32, half::HALF_DECIDED;
    abi::HALF_FOREIGN as u32, half::HALF_FOREIGN;
    abi::FLOW_ORIGINAL_IS_HIGH as u32, flow_flag::FLOW_ORIGINAL_IS_HIGH;
    abi::FLOW_SEEN_REPLY as u32, flow_flag::FLOW_SEEN_REPLY;
    abi::FLOW_SOURCE_FROM_MARK as u32, flow_flag::FLOW_SOURCE_FROM_MARK;
    abi::FLOW_CLOSING_ORIGINAL as u32, flow_flag::FLOW_CLOSING_ORIGINAL;
    abi::FLOW_CLOSING_REPLY as u32, flow_flag::FLOW_CLOSING_REPLY;
    0, counter_index::COUNTER_PASSED;
    abi::Counter::ELEMENTS, counter_index::COUNTER_ELEMENTS;
    abi::Counter::LOST_EVENTS, counter_index::COUNTER_LOST_EVENTS;
    abi::MarkKind::ToProxy as u32, mark_kind::MARK_TO_PROXY;
    abi::MarkKind::Overlay as u32, mark_kind::MARK_OVERLAY;
    abi::MarkKind::ProxyReturn as u32, mark_kind::MARK_PROXY_RETURN;
    abi::MarkKind::ProxyForward as u32, mark_kind::MARK_PROXY_FORWARD;
    abi::MarkKind::Answer as u32, mark_kind::MARK_ANSWER;
    abi::MarkKind::Identity as u32, mark_kind::MARK_IDENTITY;
    abi::EVENT_DROP as u32, event_kind::EVENT_DROP;
    abi::EVENT_VERDICT as u32, event_kind::EVENT_VERDICT;
    abi::EVENT_FLAG_IPV6 as u32, event_flag::EVENT_FLAG_IPV6;
    abi::EVENT_FLAG_REPLY as u32, event_flag::EVENT_FLAG_REPLY;
    abi::EVENT_FLAG_AUDITED as u32, event_flag::EVENT_FLAG_AUDITED;
    abi::DropReason::UnsupportedL2 as u32, drop_reason::DROP_UNSUPPORTED_L2;
    abi::DropReason::Malformed as u32, drop_reason::DROP_MALFORMED;
    abi::DropReason::InvalidSource as u32, drop_reason::DROP_INVALID_SOURCE;
    abi::DropReason::NoEndpoint as u32, drop_reason::DROP_NO_ENDPOINT;
    abi::DropReason::Policy as u32, drop_reason::DROP_POLICY;
    abi::DropReason::PolicyDeny as u32, drop_reason::DROP_POLICY_DENY;
    abi::DropReason::Fragment as u32, drop_reason::DROP_FRAGMENT;
    abi::DropReason::CtFull as u32, drop_reason::DROP_CT_FULL;
    abi::DropReason::TtlExceeded as u32, drop_reason::DROP_TTL_EXCEEDED;
    abi::DropReason::NoProxy as u32, drop_reason::DROP_NO_PROXY;
    abi::DropReason::ProxyLeg as u32, drop_reason::DROP_PROXY_LEG;
    abi::DropReason::ForgedSource as u32, drop_reason::DROP_FORGED_SOURCE;
    abi::DropReason::AuthRequired as u32, drop_reason::DROP_AUTH_REQUIRED;
    abi::DropReason::NatNoPort as u32, drop_reason::DROP_NAT_NO_PORT;
    abi::DropReason::NatProtocol as u32, drop_reason::DROP_NAT_PROTOCOL;
    abi::DropReason::UnknownNode as u32, drop_reason::DROP_UNKNOWN_NODE;
    abi::DropReason::InvalidIdentity as u32, drop_reason::DROP_INVALID_IDENTITY;
    abi::DropReason::NoTunnel as u32, drop_reason::DROP_NO_TUNNEL;
}

// A new reason belongs in the list above too.
const _: () = assert!(abi::DropReason::ALL.len() == 18);

// What is local to a node is told by one byte, on either side.
const _: () = assert!(
    abi::Identity::new(
        types::known_identity::IDENTITY_SCOPE_LOCAL.0
            << types::known_identity::IDENTITY_SCOPE_SHIFT.0
    )
    .is_local()
);
