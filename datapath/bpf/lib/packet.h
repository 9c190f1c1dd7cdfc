/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A packet after parsing: one form for both families. */
#pragma once

#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "../abi/address.h"

enum packet_flag {
	PACKET_IPV6 = 1,
	PACKET_ICMP_ERROR = 2, /* speaks about another packet, which follows its header */
	PACKET_ECHO_REPLY = 4,
	PACKET_SYN = 8, /* TCP: SYN without ACK */
	PACKET_ICMP = 16, /* either family */
	PACKET_FIRST_FRAGMENT = 32,
	PACKET_LATER_FRAGMENT = 64, /* without ports of its own */
	PACKET_FRAGMENT = PACKET_FIRST_FRAGMENT | PACKET_LATER_FRAGMENT,
};

/*
 * Who speaks to whom. The ports of an ICMP echo are the identifier at the asking end and the type
 * of the request at the other; of any other ICMP message 0 and its type. So the destination port is
 * what policy asks about, and neither a request nor an unasked reply of the other end is taken for
 * a packet of the same flow.
 */
struct tuple {
	struct address source;
	struct address destination;
	__be16 source_port;
	__be16 destination_port;
	__u8 protocol;
	__u8 pad[3];
};

struct packet {
	struct tuple tuple;
	__u32 l3_offset;
	__u32 l4_offset;
	__u32 end; /* where the IP length says that the packet ends */
	__u8 flags; /* enum packet_flag */
	__u8 tcp_flags;
	__u8 icmp_type;
	__u8 ttl; /* or hop limit */
	__u32 fragment_id; /* of a fragment's datagram */
	__u8 fragment_protocol; /* the next header, as every fragment says */
	__u8 pad[3];
};

/* What a packet is, as far as its headers say. Drop reasons are returned negative. */
enum packet_class {
	CLASS_IP = 0, /* addresses and ports are parsed; policy decides */
	CLASS_ARP,
	CLASS_NEIGHBOUR, /* neighbour discovery that no router has forwarded */
	CLASS_LINK_LOCAL, /* other traffic to a link-local group: not ours to carry, not worth an event */
};

static __always_inline int same_address(const struct address *a, const struct address *b)
{
	return a->words[0] == b->words[0] && a->words[1] == b->words[1] &&
	       a->words[2] == b->words[2] && a->words[3] == b->words[3];
}

static __always_inline int is_unspecified(const struct address *address)
{
	return !address->words[0] && !address->words[1] && !address->words[2] && !address->words[3];
}

static __always_inline int is_ipv4(const struct address *address)
{
	return !address->words[0] && !address->words[1] &&
	       address->words[2] == bpf_htonl(0xffff);
}
