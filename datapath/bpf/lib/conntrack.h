/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One entry per flow, found from either side by the sorted tuple (D3). */
#pragma once

#include "parse.h"
#include "run.h"

#define NANOSECONDS_PER_SECOND 1000000000ull
#define FLOW_CLOSING (FLOW_CLOSING_ORIGINAL | FLOW_CLOSING_REPLY)

static __always_inline __u32 seconds_now(void)
{
	return bpf_ktime_get_coarse_ns() / NANOSECONDS_PER_SECOND;
}

static __always_inline int source_sorts_high(const struct tuple *tuple)
{
#pragma unroll
	for (int i = 0; i < 4; i++) {
		__u32 source = bpf_ntohl(tuple->source.words[i]);
		__u32 destination = bpf_ntohl(tuple->destination.words[i]);

		if (source != destination)
			return source > destination;
	}
	return bpf_ntohs(tuple->source_port) > bpf_ntohs(tuple->destination_port);
}

static __always_inline void ct_set_key(struct run *run, const struct tuple *tuple)
{
	struct ct_key *key = &run->key;

	run->sender_is_high = source_sorts_high(tuple);
	if (run->sender_is_high) {
		key->low = tuple->destination;
		key->low_port = tuple->destination_port;
		key->high = tuple->source;
		key->high_port = tuple->source_port;
	} else {
		key->low = tuple->source;
		key->low_port = tuple->source_port;
		key->high = tuple->destination;
		key->high_port = tuple->destination_port;
	}
	key->protocol = tuple->protocol;
	key->zone = ZONE_FLOW;
}

static __always_inline int ct_is_reply(const struct run *run, const struct ct_entry *entry)
{
	return !run->sender_is_high != !(entry->flags & FLOW_ORIGINAL_IS_HIGH);
}

static __always_inline int ct_is_redirected(const struct ct_entry *entry)
{
	return entry->egress_half == HALF_DECIDED && entry->egress.action == ACTION_REDIRECT;
}

static __always_inline int is_proxy_forward(const struct run *run)
{
	return (run->mark & MARK_KIND_MASK) == MARK_PROXY_FORWARD;
}

/* Whether the packet's source identity came with it: in the proxy's mark, or through a tunnel. */
static __always_inline int carries_identity(const struct run *run)
{
	return is_proxy_forward(run) || (run->mark & MARK_KIND_MASK) == MARK_OVERLAY;
}

/* Whether the packet's source is the one that the flow's entry was made for. */
static __always_inline int ct_same_source(const struct run *run, const struct ct_entry *entry)
{
	int from_mark = carries_identity(run);

	if (run->related || ct_is_reply(run, entry))
		return 1;
	if (!from_mark != !(entry->flags & FLOW_SOURCE_FROM_MARK))
		return 0;
	return !from_mark || entry->source_identity == mark_identity(run->mark);
}

/* The live entry of the packet's flow; a SYN ends the life of a closing one. */
static __always_inline struct ct_entry *ct_lookup(const struct run *run)
{
	struct ct_key key = run->key;
	struct ct_entry *entry = bpf_map_lookup_elem(&conntrack_v1, &key);

	if (!entry || (__s32)(entry->expires - run->now) <= 0)
		return NULL;
	if (run->packet.flags & PACKET_SYN && entry->flags & FLOW_CLOSING && !run->related)
		return NULL;
	return ct_same_source(run, entry) ? entry : NULL;
}

/*
 * From a server: an answer to the proxy where the proxy speaks with its client's address, and the
 * tuple is also that of the client's own leg.
 */
static __always_inline struct ct_entry *ct_lookup_leg(struct run *run, struct ct_entry *flow)
{
	struct ct_entry *leg;

	if (flow && !(ct_is_redirected(flow) && ct_is_reply(run, flow)))
		return flow;
	run->key.zone = ZONE_PROXY_LEG;
	leg = ct_lookup(run);
	if (leg && ct_is_reply(run, leg))
		return leg;
	run->key.zone = ZONE_FLOW;
	return flow;
}

static __always_inline int half_is_proven(__u8 half, const struct verdict *verdict)
{
	if (half == HALF_DECIDED)
		return verdict->action != ACTION_DENY || is_audit();
	return half == HALF_FOREIGN;
}

static __always_inline int ct_is_proven(const struct ct_entry *entry, __u8 needs)
{
	if (needs & NEED_EGRESS && !half_is_proven(entry->egress_half, &entry->egress))
		return 0;
	return !(needs & NEED_INGRESS) || half_is_proven(entry->ingress_half, &entry->ingress);
}

static __always_inline __u32 ct_timeout(__u8 protocol, __u16 flags)
{
	if (protocol != IPPROTO_TCP)
		return config.other_timeout;
	if ((flags & FLOW_CLOSING) == FLOW_CLOSING)
		return config.close_timeout;
	return flags & FLOW_SEEN_REPLY ? config.tcp_timeout : config.syn_timeout;
}

/* Notes one packet of the flow. What does not change is not written, to leave the line shared. */
static __always_inline void ct_account(struct ct_entry *entry, const struct run *run)
{
	__u8 seen = run->packet.tcp_flags;
	__u16 flags = entry->flags;
	__u32 expires;

	if (run->reply)
		flags |= FLOW_SEEN_REPLY;
	if (seen & TCP_RST)
		flags |= FLOW_CLOSING;
	if (seen & TCP_FIN)
		flags |= run->reply ? FLOW_CLOSING_REPLY : FLOW_CLOSING_ORIGINAL;
	if (flags != entry->flags)
		entry->flags = flags;
	expires = run->now + ct_timeout(run->packet.tuple.protocol, flags);
	if (expires != entry->expires)
		entry->expires = expires;
	if (run->reply) {
		if ((entry->tcp_reply | seen) != entry->tcp_reply)
			entry->tcp_reply |= seen;
		__sync_fetch_and_add(&entry->packets_reply, 1);
		__sync_fetch_and_add(&entry->bytes_reply, run->length);
	} else {
		if ((entry->tcp_original | seen) != entry->tcp_original)
			entry->tcp_original |= seen;
		__sync_fetch_and_add(&entry->packets_original, 1);
		__sync_fetch_and_add(&entry->bytes_original, run->length);
	}
}
