/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where a packet goes once it may. */
#pragma once

#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>

#include "../abi/mark.h"
#include "answer.h"
#include "event.h"

static __always_inline int pass(const struct run *run)
{
	count(COUNTER_PASSED, run->length);
	return TC_ACT_OK;
}

/* Up the host's stack, which may route or translate it; the mark vouches for the source. */
static __always_inline int pass_to_stack(struct __sk_buff *skb, const struct run *run,
					 __u32 identity)
{
	skb->mark |= mark_with_identity(MARK_IDENTITY, identity);
	return pass(run);
}

static __always_inline void decrement_ttl(struct iphdr *ip)
{
	__u32 check = ip->check;

	check += bpf_htons(0x0100);
	ip->check = check + (check >= 0xffff);
	ip->ttl -= 1;
}

/* Straight into the endpoint's namespace, past the host's stack and to_container. */
static __always_inline int deliver_to_peer(struct __sk_buff *skb, struct run *run,
					   const struct endpoint_record *endpoint)
{
	__u32 headers = ETH_HLEN + sizeof(struct ipv6hdr);
	void *data, *data_end;
	struct ethhdr *eth;

	if (run->packet.ttl <= 1)
		return expire(skb, run);
	if (!(run->packet.flags & PACKET_IPV6))
		headers = ETH_HLEN + sizeof(struct iphdr);
	data = (void *)(__u64)skb->data;
	data_end = (void *)(__u64)skb->data_end;
	if (data + headers > data_end) {
		if (bpf_skb_pull_data(skb, headers))
			return drop(run, DROP_MALFORMED);
		data = (void *)(__u64)skb->data;
		data_end = (void *)(__u64)skb->data_end;
	}
	eth = data;
	if (run->packet.flags & PACKET_IPV6) {
		struct ipv6hdr *ip = data + ETH_HLEN;

		if ((void *)(ip + 1) > data_end)
			return drop(run, DROP_MALFORMED);
		ip->hop_limit -= 1;
		/* The header of IPv6 has no sum of its own to even this out in the device's. */
		bpf_csum_update(skb, (__u16)~bpf_htons(1));
	} else {
		struct iphdr *ip = data + ETH_HLEN;

		if ((void *)(ip + 1) > data_end)
			return drop(run, DROP_MALFORMED);
		decrement_ttl(ip);
	}
	__builtin_memcpy(eth->h_dest, endpoint->mac, ETH_ALEN);
	__builtin_memcpy(eth->h_source, endpoint->node_mac, ETH_ALEN);
	count(COUNTER_PASSED, run->length);
	return bpf_redirect_peer(endpoint->ifindex, 0);
}
