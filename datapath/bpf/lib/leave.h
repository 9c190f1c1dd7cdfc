/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Packets to other machines: what of them nobody has judged yet. */
#pragma once

#include "decide.h"

/* The flow of a packet that leaves; the proxy's own legs are kept apart. */
static __always_inline struct ct_entry *find_departure(struct __sk_buff *skb, struct run *run)
{
	struct ct_entry *entry = find_flow(skb, run);

	if (!is_proxy_forward(run))
		return entry;
	run->key.zone = ZONE_PROXY_LEG;
	return ct_lookup(run);
}

/* from_container has judged what endpoints send; the proxy's leg is known to nobody else. */
static __always_inline int judge_proxy(struct run *run, struct ct_entry *entry)
{
	run->needs = NEED_EGRESS;
	return judge(run, entry);
}

/* The host's own policies about what it sends: 0, or a drop reason. */
static __always_inline int judge_host(struct __sk_buff *skb, struct run *run)
{
	struct ct_entry *entry = find_flow(skb, run);

	if (run->related)
		run->needs = NEED_BOTH;
	else
		run->needs = entry && ct_is_reply(run, entry) ? NEED_INGRESS : NEED_EGRESS;
	return judge(run, entry);
}
