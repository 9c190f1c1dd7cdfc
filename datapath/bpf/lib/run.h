/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Everything that one run of a program knows about its packet. */
#pragma once

#include "../abi/mark.h"
#include "maps.h"
#include "packet.h"

struct run {
	struct packet packet;
	struct ct_key key;
	__u32 generation; /* read before any lookup */
	__u32 now; /* seconds */
	__u32 ifindex;
	__u32 length;
	__u32 source_identity; /* of the packet; 0 while unknown */
	__u32 destination_identity;
	__u32 mark; /* as it came, where it can be believed */
	__u16 endpoint; /* this program's, once known */
	__u16 proxy_port; /* of a redirected flow, else 0 */
	__u8 hook; /* enum direction, seen from this node's endpoints and the node */
	__u8 needs; /* enum need: the halves that this run must prove */
	__u8 sender_is_high;
	__u8 reply; /* the packet goes against the flow's original direction */
	__u8 related; /* an ICMP error: the flow is the one it speaks about */
	__u8 pad[3];
	struct verdict denied; /* what denied, */
	__u16 denied_endpoint; /* whose policy it was */
	__u8 denied_direction; /* and of which direction */
	__u8 denied_pad[5];
};

enum need {
	NEED_EGRESS = 1,
	NEED_INGRESS = 2,
	NEED_BOTH = 3,
};

static __always_inline int is_audit(void)
{
	return config.mode == MODE_AUDIT;
}

static __always_inline __u32 generation_now(void)
{
	__u32 zero = 0;
	struct datapath_state *state = bpf_map_lookup_elem(&state_v1, &zero);

	return state ? *(volatile __u32 *)&state->generation : 0;
}

static __always_inline void begin(struct run *run, struct __sk_buff *skb, __u8 hook, __u32 mark)
{
	run->hook = hook;
	run->ifindex = skb->ifindex;
	run->length = skb->len;
	run->mark = mark;
	run->generation = generation_now();
	skb->mark &= ~MARK_MASK;
}

/* Whether the mark says where the packet's source address comes from. */
static __always_inline int is_vouched(__u32 kind)
{
	return kind == MARK_IDENTITY || kind == MARK_PROXY_FORWARD || kind == MARK_PROXY_RETURN;
}
