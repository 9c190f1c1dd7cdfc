/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Packets from other machines, to endpoints of this node and to the node itself. */
#pragma once

#include "answer.h"
#include "decide.h"
#include "deliver.h"
#include "proxy.h"

/* The decision about a packet for somebody on this node whose other end is out there. */
static __always_inline int judge_arrival(struct __sk_buff *skb, struct run *run, int is_endpoint)
{
	struct ct_entry *entry = find_flow(skb, run);

	if (is_endpoint)
		entry = ct_lookup_leg(run, entry);
	if (run->related)
		run->needs = NEED_BOTH;
	else
		run->needs = entry && ct_is_reply(run, entry) ? NEED_EGRESS : NEED_INGRESS;
	return judge(run, entry);
}

static __always_inline int arrive_at_endpoint(struct __sk_buff *skb, struct run *run,
					      struct endpoint_record *endpoint)
{
	int reason;

	run->endpoint = endpoint->id;
	/* Through the stack it meets to_container. */
	if (!config.redirect_peer)
		return pass(run);
	reason = judge_arrival(skb, run, 1);
	if (reason)
		return refuse(skb, run, reason);
	if (run->key.zone == ZONE_PROXY_LEG)
		return run->packet.flags & PACKET_FRAGMENT ? drop(run, DROP_FRAGMENT) :
							     return_to_proxy(skb, run);
	if (run->proxy_port && !run->related)
		return drop(run, DROP_PROXY_LEG);
	return deliver_to_peer(skb, run, endpoint);
}

static __always_inline int arrive_at_host(struct __sk_buff *skb, struct run *run)
{
	int reason;

	run->endpoint = config.host_endpoint;
	reason = judge_arrival(skb, run, 0);
	return reason ? refuse(skb, run, reason) : pass(run);
}

/* What is not for IP is the stack's, and so are groups and neighbours. */
static __always_inline int other_class(struct run *run, int class)
{
	if (class == -DROP_MALFORMED || class == -DROP_FRAGMENT)
		return drop(run, -class);
	return pass(run);
}
