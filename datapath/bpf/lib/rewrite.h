/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One end of a packet replaced, with every checksum that covers it. */
#pragma once

#include "parse.h"

enum end {
	END_SOURCE,
	END_DESTINATION,
};

struct translation {
	struct address from; /* what stands there */
	struct address to; /* what is to stand there */
	__be16 from_port;
	__be16 to_port;
	__u8 end; /* enum end */
	__u8 pad[3];
};

#define IPV4_CHECKSUM 10
#define IPV4_ADDRESSES 12
#define IPV6_ADDRESSES 8
#define TCP_CHECKSUM 16
#define UDP_CHECKSUM 6
#define ICMP_CHECKSUM 2
#define ICMP_ID 4

/* What the sums change by. What is equal in the mapped form adds nothing. */
static __always_inline __u32 address_change(const struct translation *change)
{
	return bpf_csum_diff((__be32 *)&change->from, sizeof(change->from), (__be32 *)&change->to,
			     sizeof(change->to), 0);
}

/* `even` keeps the device's own sum right where nothing else in the packet evens the change out. */
static __always_inline long rewrite_address(struct __sk_buff *skb, __u32 l3, int v6,
					    const struct translation *change, __u8 end, __u64 even)
{
	__u32 place;

	if (v6) {
		place = l3 + IPV6_ADDRESSES + (end == END_SOURCE ? 0 : sizeof(change->to));
		return bpf_skb_store_bytes(skb, place, &change->to, sizeof(change->to), even);
	}
	place = l3 + IPV4_ADDRESSES + (end == END_SOURCE ? 0 : sizeof(__be32));
	return bpf_skb_store_bytes(skb, place, &change->to.words[3], sizeof(__be32), 0) ||
	       bpf_l3_csum_replace(skb, l3 + IPV4_CHECKSUM, change->from.words[3],
				   change->to.words[3], sizeof(__be32));
}

/* Where the port, or the identifier of an echo, stands; 0 for what has none. */
static __always_inline __u32 port_place(const struct packet *packet, __u8 end)
{
	switch (packet->tuple.protocol) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
		return packet->l4_offset + (end == END_SOURCE ? 0 : sizeof(__be16));
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return packet->l4_offset + ICMP_ID;
	default:
		return 0;
	}
}

/* Where the checksum of the transport stands; 0 for what has none that covers addresses or ports. */
static __always_inline __u32 checksum_place(const struct packet *packet)
{
	switch (packet->tuple.protocol) {
	case IPPROTO_TCP:
		return packet->l4_offset + TCP_CHECKSUM;
	case IPPROTO_UDP:
		return packet->l4_offset + UDP_CHECKSUM;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return packet->l4_offset + ICMP_CHECKSUM;
	default:
		return 0;
	}
}

/* An absent sum of UDP stays absent. */
static __always_inline __u64 checksum_flags(const struct packet *packet)
{
	return packet->tuple.protocol == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;
}

/* Replaces an end of the packet itself. A later fragment has no ports, nor a sum over them. */
static __always_inline long rewrite(struct __sk_buff *skb, const struct packet *packet,
				    const struct translation *change)
{
	__u32 sum = checksum_place(packet), place = port_place(packet, change->end);
	__u64 flags = checksum_flags(packet);

	/* The helper takes what it adds to a transport's sum off the device's, whatever the family. */
	if (rewrite_address(skb, packet->l3_offset, packet->flags & PACKET_IPV6, change,
			    change->end, BPF_F_RECOMPUTE_CSUM))
		return -1;
	if (packet->flags & PACKET_LATER_FRAGMENT)
		return 0;
	if (sum && packet->tuple.protocol != IPPROTO_ICMP &&
	    bpf_l4_csum_replace(skb, sum, 0, address_change(change), BPF_F_PSEUDO_HDR | flags))
		return -1;
	if (packet->flags & PACKET_ICMP_ERROR || !place || change->from_port == change->to_port)
		return 0;
	if (sum && bpf_l4_csum_replace(skb, sum, change->from_port, change->to_port,
				       sizeof(__be16) | flags))
		return -1;
	return bpf_skb_store_bytes(skb, place, &change->to_port, sizeof(__be16), 0);
}

/*
 * Replaces the other end of the packet that an ICMP error quotes. The quoted packet's own transport
 * sum stays, which nobody checks: most of what it covers is cut off.
 */
static __always_inline long rewrite_quoted(struct __sk_buff *skb, const struct packet *error,
					   const struct packet *quoted,
					   const struct translation *change)
{
	__u8 end = change->end == END_SOURCE ? END_DESTINATION : END_SOURCE;
	__u32 sum = error->l4_offset + ICMP_CHECKSUM, place = port_place(quoted, end);
	int v6 = error->flags & PACKET_IPV6;

	if (rewrite_address(skb, quoted->l3_offset, v6, change, end, 0))
		return -1;
	if (v6 && bpf_l4_csum_replace(skb, sum, 0, address_change(change), 0))
		return -1;
	if (!place || change->from_port == change->to_port)
		return 0;
	if (bpf_l4_csum_replace(skb, sum, change->from_port, change->to_port, sizeof(__be16)))
		return -1;
	return bpf_skb_store_bytes(skb, place, &change->to_port, sizeof(__be16), 0);
}
