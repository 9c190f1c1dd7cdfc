/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Endpoints that speak to the world with the node's address (masquerade). The port that stands for a
 * flow's is kept in its conntrack entry; nat_v1 leads an answer back, and is asked with every packet,
 * so that a mapping that was pushed out is made again and never one of somebody else's used.
 *
 * A flow keeps its port where it may. Others are tried in an order that follows from the flow, so
 * that it finds its mapping again even if its conntrack entry was lost.
 */
#pragma once

#include "conntrack.h"
#include "event.h"
#include "rewrite.h"

#define NAT_TRIES 16

/* What a mapping is between. */
struct nat_flow {
	struct nat_key key;
	struct nat_entry entry;
};

/* More than the stack has room for. No run is interrupted by another on its processor. */
struct nat_work {
	struct nat_flow flow;
	struct translation change;
	struct packet quoted;
};

/* Made with the programs, and gone with them. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct nat_work);
} nat_work SEC(".maps");

/* The flow that the packet is of, or that the error speaks about, as a packet that goes its way. */
static __always_inline struct nat_work *nat_begin(struct __sk_buff *skb, const struct run *run,
						  const struct tuple **tuple)
{
	__u32 zero = 0;
	struct nat_work *work = bpf_map_lookup_elem(&nat_work, &zero);

	if (!work)
		return NULL;
	if (!(run->packet.flags & PACKET_ICMP_ERROR)) {
		*tuple = &run->packet.tuple;
		return work;
	}
	__builtin_memset(&work->quoted, 0, sizeof(work->quoted));
	*tuple = &work->quoted.tuple;
	return parse_quoted(skb, &run->packet, &work->quoted) ? work : NULL;
}

static __always_inline int nat_is_ours(const struct nat_entry *entry, const struct nat_flow *flow)
{
	return same_address(&entry->address, &flow->entry.address) &&
	       entry->port == flow->entry.port;
}

static __always_inline int nat_is_over(const struct nat_entry *entry, __u32 now)
{
	return (__s32)(entry->expires - now) <= 0;
}

/* Only protocols whose checksum can be mended get another port. */
static __always_inline int nat_may_choose(__u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_ICMP ||
	       protocol == IPPROTO_ICMPV6;
}

static __always_inline __u32 nat_mix(__u32 hash, __u32 word)
{
	hash = (hash ^ word) * 0x9e3779b1;
	return hash ^ hash >> 15;
}

static __always_inline __u32 nat_hash(const struct nat_flow *flow)
{
	__u32 hash = flow->entry.port | (__u32)flow->key.remote_port << 16;

#pragma unroll
	for (int i = 0; i < 4; i++) {
		hash = nat_mix(hash, flow->entry.address.words[i]);
		hash = nat_mix(hash, flow->key.remote.words[i]);
	}
	return hash;
}

/* Whether a socket of the node's own would be cut off by the mapping. */
static __always_inline int nat_is_taken(struct __sk_buff *skb, const struct nat_key *key)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *socket;
	__u32 size;

	if (key->protocol != IPPROTO_TCP && key->protocol != IPPROTO_UDP)
		return 0;
	if (is_ipv4(&key->node)) {
		tuple.ipv4.saddr = key->remote.words[3];
		tuple.ipv4.daddr = key->node.words[3];
		tuple.ipv4.sport = key->remote_port;
		tuple.ipv4.dport = key->node_port;
		size = sizeof(tuple.ipv4);
	} else {
		__builtin_memcpy(tuple.ipv6.saddr, &key->remote, sizeof(key->remote));
		__builtin_memcpy(tuple.ipv6.daddr, &key->node, sizeof(key->node));
		tuple.ipv6.sport = key->remote_port;
		tuple.ipv6.dport = key->node_port;
		size = sizeof(tuple.ipv6);
	}
	socket = key->protocol == IPPROTO_TCP ?
			 bpf_skc_lookup_tcp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0) :
			 bpf_sk_lookup_udp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	if (!socket)
		return 0;
	bpf_sk_release(socket);
	return 1;
}

/* The n-th port to try: first the flow's own. */
static __always_inline __be16 nat_candidate(const struct nat_flow *flow, __u32 hash, __u32 n)
{
	__u32 own = bpf_ntohs(flow->entry.port);
	__u32 span = config.nat_port_high - config.nat_port_low + 1;
	__u8 protocol = flow->key.protocol;

	if (!nat_may_choose(protocol))
		return flow->entry.port;
	if (!n && (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6 ||
		   (own >= config.nat_port_low && own <= config.nat_port_high)))
		return flow->entry.port;
	hash = nat_mix(hash, n);
	return bpf_htons(config.nat_port_low + hash % span);
}

/* Takes the port that the key names, if nobody has it; whether the flow has it now. */
static __always_inline int nat_claim(struct __sk_buff *skb, struct nat_flow *flow, __u32 now)
{
	struct nat_entry *known = bpf_map_lookup_elem(&nat_v1, &flow->key);

	if (known && nat_is_ours(known, flow)) {
		if (known->expires != flow->entry.expires)
			known->expires = flow->entry.expires;
		return 1;
	}
	if (known && !nat_is_over(known, now))
		return 0;
	if (nat_is_taken(skb, &flow->key))
		return 0;
	return !bpf_map_update_elem(&nat_v1, &flow->key, &flow->entry,
				    known ? BPF_ANY : BPF_NOEXIST);
}

/* The port that a flow has already, though its entry does not tell. */
static __always_inline int nat_recall(struct nat_flow *flow, __u32 hash)
{
	struct nat_entry *known;

	for (__u32 n = 0; n < NAT_TRIES; n++) {
		flow->key.node_port = nat_candidate(flow, hash, n);
		known = bpf_map_lookup_elem(&nat_v1, &flow->key);
		if (known && nat_is_ours(known, flow))
			return 1;
	}
	return 0;
}

/* Sees to it that the flow has a port of the node's; whether it has. */
static __always_inline int nat_assign(struct __sk_buff *skb, const struct run *run,
				      struct nat_flow *flow, __be16 before)
{
	__u32 hash;

	flow->key.node_port = before;
	if (before && nat_claim(skb, flow, run->now))
		return 1;
	hash = nat_hash(flow);
	if (flow->key.protocol == IPPROTO_TCP && !(run->packet.flags & PACKET_SYN) &&
	    nat_recall(flow, hash))
		return 1;
	for (__u32 n = 0; n < NAT_TRIES; n++) {
		flow->key.node_port = nat_candidate(flow, hash, n);
		if (nat_claim(skb, flow, run->now))
			return 1;
	}
	return 0;
}

/* Whether the protocol has what tells the flows of a node apart. */
static __always_inline int nat_has_ports(const struct tuple *flow)
{
	__be16 request = flow->protocol == IPPROTO_ICMP ? bpf_htons(ICMP_ECHO_REQUEST) :
							  bpf_htons(ICMPV6_ECHO_REQUEST);

	if (flow->protocol == IPPROTO_ICMP || flow->protocol == IPPROTO_ICMPV6)
		return flow->destination_port == request;
	return flow->protocol == IPPROTO_TCP || flow->protocol == IPPROTO_UDP ||
	       flow->protocol == IPPROTO_SCTP;
}

/* The packet, and what it quotes, as another's. */
static __always_inline int nat_translate(struct __sk_buff *skb, const struct run *run,
					 const struct nat_work *work)
{
	if (run->packet.flags & PACKET_ICMP_ERROR &&
	    rewrite_quoted(skb, &run->packet, &work->quoted, &work->change))
		return DROP_MALFORMED;
	return rewrite(skb, &run->packet, &work->change) ? DROP_MALFORMED : 0;
}

/* Gives the packet of an endpoint the node's address; `entry` is its flow's. 0 or a drop reason. */
__noinline int masquerade(struct __sk_buff *skb, struct run *run, struct ct_entry *entry)
{
	struct translation *change;
	const struct tuple *tuple;
	struct nat_work *work;
	struct nat_flow *flow;

	if (!run)
		return DROP_NAT_PROTOCOL;
	work = nat_begin(skb, run, &tuple);
	if (!work || !nat_has_ports(tuple))
		return DROP_NAT_PROTOCOL;
	flow = &work->flow;
	flow->key.remote = tuple->destination;
	flow->key.remote_port = tuple->destination_port;
	flow->key.protocol = tuple->protocol;
	node_address(&flow->key.node, run->packet.flags & PACKET_IPV6);
	flow->entry.address = tuple->source;
	flow->entry.port = tuple->source_port;
	flow->entry.expires = entry ? entry->expires : run->now + config.other_timeout;
	if (is_unspecified(&flow->key.node) ||
	    !nat_assign(skb, run, flow, entry ? entry->nat_port : 0))
		return DROP_NAT_NO_PORT;
	if (entry && entry->nat_port != flow->key.node_port)
		entry->nat_port = flow->key.node_port;
	change = &work->change;
	change->end = END_SOURCE;
	change->from = flow->entry.address;
	change->from_port = flow->entry.port;
	change->to = flow->key.node;
	change->to_port = flow->key.node_port;
	return nat_translate(skb, run, work);
}

/* Gives an answer to the node's address the endpoint's that it is for; 1, 0 for none, or -reason. */
__noinline int unmasquerade(struct __sk_buff *skb, struct run *run)
{
	struct translation *change;
	const struct tuple *tuple;
	struct nat_entry *known;
	struct nat_work *work;
	struct nat_key *key;
	int is_error, reason;
	__u32 expires;

	/* Whoever begins a connection with the node means the node. */
	if (!run || run->packet.flags & PACKET_SYN)
		return 0;
	work = nat_begin(skb, run, &tuple);
	if (!work)
		return 0;
	key = &work->flow.key;
	key->remote = tuple->source;
	key->node = tuple->destination;
	key->remote_port = tuple->source_port;
	key->node_port = tuple->destination_port;
	key->protocol = tuple->protocol;
	known = bpf_map_lookup_elem(&nat_v1, key);
	if (!known || nat_is_over(known, run->now))
		return 0;
	is_error = run->packet.flags & PACKET_ICMP_ERROR;
	expires = run->now + config.other_timeout;
	if (!is_error && (__s32)(known->expires - expires) < 0)
		known->expires = expires;
	change = &work->change;
	change->end = END_DESTINATION;
	change->from = key->node;
	change->from_port = key->node_port;
	change->to = known->address;
	change->to_port = known->port;
	reason = nat_translate(skb, run, work);
	if (reason)
		return -reason;
	run->packet.tuple.destination = change->to;
	if (!is_error)
		run->packet.tuple.destination_port = change->to_port;
	return 1;
}
