/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ARP and neighbour discovery of an endpoint. The node answers for every address but the endpoint's
 * own with the host-side veth's link address, so that all of an endpoint's traffic comes here.
 */
#pragma once

#include "deliver.h"
#include "parse.h"

/* What of ARP is needed here; its UAPI header draws in the C library. */
#define ARP_REQUEST 1
#define ARP_REPLY 2
#define ND_NEIGHBOUR_SOLICIT 135
#define ND_NEIGHBOUR_ADVERT 136
#define ND_OPTION_TARGET_ADDRESS 2
#define ND_FLAGS_SOLICITED_OVERRIDE 0x60000000

struct arp_packet {
	__be16 link_type;
	__be16 protocol;
	__u8 link_length;
	__u8 protocol_length;
	__be16 operation;
	__u8 sender_mac[ETH_ALEN];
	__u8 sender[4];
	__u8 target_mac[ETH_ALEN];
	__u8 target[4];
} __attribute__((packed));

struct neighbour_message {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be32 flags;
	struct in6_addr target;
};

struct neighbour_advert {
	struct neighbour_message message;
	__u8 option;
	__u8 option_length; /* in units of 8 bytes */
	__u8 mac[ETH_ALEN];
};

/* A whole frame, moved by two bytes so that everything after the link header is aligned. */
struct neighbour_reply {
	__u8 pad[2];
	struct ethhdr eth;
	struct ipv6hdr ip;
	struct neighbour_advert advert;
};
#define NEIGHBOUR_FRAME (sizeof(struct neighbour_reply) - 2)

/* Out of the device it came in by, with the two ends of the link header exchanged. */
static __always_inline int send_back(struct __sk_buff *skb, const struct run *run)
{
	count(COUNTER_PASSED, run->length);
	return bpf_redirect(skb->ifindex, 0);
}

__noinline int answer_arp(struct __sk_buff *skb, struct run *run)
{
	struct endpoint_record *endpoint;
	struct arp_packet arp;
	struct ethhdr eth;
	__be32 sender, target;
	__u16 operation;

	if (!run)
		return TC_ACT_SHOT;
	if (bpf_skb_load_bytes(skb, ETH_HLEN, &arp, sizeof(arp)) ||
	    arp.link_length != ETH_ALEN || arp.protocol_length != 4)
		return drop(run, DROP_MALFORMED);
	__builtin_memcpy(&sender, arp.sender, sizeof(sender));
	__builtin_memcpy(&target, arp.target, sizeof(target));
	/* A probe for a duplicate of an address, and an announcement, want no answer. */
	if (!sender || sender == target)
		return TC_ACT_SHOT;
	set_ipv4(&run->packet.tuple.source, sender);
	set_ipv4(&run->packet.tuple.destination, target);
	endpoint = endpoint_of(&run->packet.tuple.source);
	if (!endpoint || endpoint->ifindex != skb->ifindex)
		return drop(run, DROP_INVALID_SOURCE);
	operation = bpf_ntohs(arp.operation);
	if (operation == ARP_REPLY)
		return pass(run);
	if (operation != ARP_REQUEST)
		return drop(run, DROP_MALFORMED);
	arp.operation = bpf_htons(ARP_REPLY);
	__builtin_memcpy(arp.target_mac, arp.sender_mac, ETH_ALEN);
	__builtin_memcpy(arp.target, &sender, sizeof(sender));
	__builtin_memcpy(arp.sender_mac, endpoint->node_mac, ETH_ALEN);
	__builtin_memcpy(arp.sender, &target, sizeof(target));
	__builtin_memcpy(eth.h_dest, arp.target_mac, ETH_ALEN);
	__builtin_memcpy(eth.h_source, endpoint->node_mac, ETH_ALEN);
	eth.h_proto = bpf_htons(ETH_P_ARP);
	if (bpf_skb_store_bytes(skb, 0, &eth, sizeof(eth), 0) ||
	    bpf_skb_store_bytes(skb, ETH_HLEN, &arp, sizeof(arp), 0))
		return drop(run, DROP_MALFORMED);
	return send_back(skb, run);
}

/* Over the pseudo header (both addresses, then length and protocol) and the message. */
static __always_inline __be16 advert_checksum(struct neighbour_reply *reply)
{
	__s64 sum = bpf_htonl(sizeof(struct neighbour_advert) + IPPROTO_ICMPV6);

	sum = bpf_csum_diff(NULL, 0, (__be32 *)&reply->ip.saddr, 2 * sizeof(struct in6_addr), sum);
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&reply->advert, sizeof(reply->advert), sum);
	return fold(sum);
}

/* Turns the solicitation into the answer to it, with the link address of the gateway. */
static __always_inline int advertise(struct __sk_buff *skb, struct run *run,
				     struct neighbour_reply *reply, const __u8 *mac)
{
	if (bpf_skb_load_bytes(skb, 0, &reply->eth, ETH_HLEN + sizeof(struct ipv6hdr)))
		return drop(run, DROP_MALFORMED);
	__builtin_memcpy(reply->advert.mac, mac, ETH_ALEN);
	__builtin_memcpy(reply->eth.h_dest, reply->eth.h_source, ETH_ALEN);
	__builtin_memcpy(reply->eth.h_source, reply->advert.mac, ETH_ALEN);
	reply->ip.daddr = reply->ip.saddr;
	reply->ip.saddr = reply->advert.message.target;
	reply->ip.payload_len = bpf_htons(sizeof(struct neighbour_advert));
	reply->ip.nexthdr = IPPROTO_ICMPV6;
	reply->advert.message.type = ND_NEIGHBOUR_ADVERT;
	reply->advert.message.code = 0;
	reply->advert.message.checksum = 0;
	reply->advert.message.flags = bpf_htonl(ND_FLAGS_SOLICITED_OVERRIDE);
	reply->advert.option = ND_OPTION_TARGET_ADDRESS;
	reply->advert.option_length = 1;
	reply->advert.message.checksum = advert_checksum(reply);
	if (skb->len != NEIGHBOUR_FRAME && bpf_skb_change_tail(skb, NEIGHBOUR_FRAME, 0))
		return drop(run, DROP_MALFORMED);
	if (bpf_skb_store_bytes(skb, 0, &reply->eth, NEIGHBOUR_FRAME, 0))
		return drop(run, DROP_MALFORMED);
	return send_back(skb, run);
}

static __always_inline int is_link_local(const struct address *address)
{
	return (address->words[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000);
}

/* An answer to the host's own question, if it speaks for the endpoint. */
static __always_inline int pass_advert(struct __sk_buff *skb, struct run *run,
				       const struct address *target)
{
	struct endpoint_record *endpoint;

	if (is_link_local_group(&run->packet.tuple.destination))
		return TC_ACT_SHOT;
	if (!is_link_local(target)) {
		endpoint = endpoint_of(target);
		if (!endpoint || endpoint->ifindex != skb->ifindex)
			return drop(run, DROP_INVALID_SOURCE);
	}
	return pass(run);
}

/*
 * A probe for a duplicate address (no source) and router discovery stay silent. A kernel that checks
 * a neighbour it knows asks it by its link address and may do so from its own link-local address,
 * which is no endpoint's; such a question is answered with the link address it was sent to.
 */
__noinline int answer_neighbour(struct __sk_buff *skb, struct run *run)
{
	struct neighbour_reply reply = {};
	struct endpoint_record *endpoint, *own;
	struct address *source, *target;
	__u8 mac[ETH_ALEN];

	if (!run)
		return TC_ACT_SHOT;
	source = &run->packet.tuple.source;
	if (is_unspecified(source) || (run->packet.icmp_type != ND_NEIGHBOUR_SOLICIT &&
				       run->packet.icmp_type != ND_NEIGHBOUR_ADVERT))
		return TC_ACT_SHOT;
	if (bpf_skb_load_bytes(skb, run->packet.l4_offset, &reply.advert.message,
			       sizeof(reply.advert.message)))
		return drop(run, DROP_MALFORMED);
	target = (struct address *)&reply.advert.message.target;
	if (run->packet.icmp_type == ND_NEIGHBOUR_ADVERT)
		return pass_advert(skb, run, target);
	endpoint = endpoint_of(source);
	if (endpoint && endpoint->ifindex == skb->ifindex) {
		own = endpoint_of(target);
		if (own && own->ifindex == skb->ifindex)
			return TC_ACT_SHOT;
		return advertise(skb, run, &reply, endpoint->node_mac);
	}
	if (!is_link_local(source))
		return drop(run, DROP_INVALID_SOURCE);
	if (bpf_skb_load_bytes(skb, 0, mac, ETH_ALEN) || mac[0] & 1)
		return TC_ACT_SHOT;
	return advertise(skb, run, &reply, mac);
}
