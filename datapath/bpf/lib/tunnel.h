/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Tunnels between nodes (VXLAN). The number of the inner network (VNI) is the identity of the inner
 * source, which the receiver so knows even if its ipcache does not yet.
 */
#pragma once

#include "deliver.h"
#include "identity.h"

#define TUNNEL_TTL 64

/* The node that an address is behind; NULL if it is reached without a tunnel. */
static __always_inline const struct address *tunnel_to(const struct address *address)
{
	struct ipcache_entry *entry = ipcache_entry_of(address);

	return entry && !is_unspecified(&entry->tunnel) ? &entry->tunnel : NULL;
}

/* The node that the packet came from and the identity that it carries; not 0 if from no tunnel. */
static __always_inline int decapsulated(struct __sk_buff *skb, struct address *node,
					__u32 *identity)
{
	struct bpf_tunnel_key key = {};

	if (!bpf_skb_get_tunnel_key(skb, &key, sizeof(key), 0)) {
		node->words[2] = bpf_htonl(0xffff);
		node->words[3] = bpf_htonl(key.remote_ipv4);
	} else if (!bpf_skb_get_tunnel_key(skb, &key, sizeof(key), BPF_F_TUNINFO_IPV6)) {
		__builtin_memcpy(node, key.remote_ipv6, sizeof(*node));
	} else {
		return -1;
	}
	*identity = key.tunnel_id;
	return 0;
}

/* Numbers that mean something on one node only, and the host's own, do not travel. */
static __always_inline __u32 travelling_identity(__u32 identity)
{
	if (identity == IDENTITY_HOST)
		return IDENTITY_REMOTE_NODE;
	return is_world(identity) ? IDENTITY_WORLD : identity;
}

/* Tells the overlay's device where the packet is to go; not 0 if it cannot be told. */
static __always_inline long encapsulate(struct __sk_buff *skb, const struct address *node,
					__u32 identity)
{
	struct bpf_tunnel_key key = {.tunnel_id = identity, .tunnel_ttl = TUNNEL_TTL};

	if (!is_ipv4(node)) {
		__builtin_memcpy(key.remote_ipv6, node, sizeof(*node));
		return bpf_skb_set_tunnel_key(skb, &key, sizeof(key), BPF_F_TUNINFO_IPV6);
	}
	key.remote_ipv4 = bpf_ntohl(node->words[3]);
	return bpf_skb_set_tunnel_key(skb, &key, sizeof(key), BPF_F_ZERO_CSUM_TX);
}

enum tunnelling {
	TUNNEL_NONE, /* the destination is behind no node */
	TUNNEL_ENTERED,
	TUNNEL_FAILED,
};

/* Tells the overlay's device which node the packet is for, and who sends it. */
__noinline int enter_tunnel(struct __sk_buff *skb, struct run *run, __u32 identity)
{
	const struct address *node;

	if (!run)
		return TUNNEL_FAILED;
	node = tunnel_to(&run->packet.tuple.destination);
	if (!node)
		return TUNNEL_NONE;
	if (encapsulate(skb, node, travelling_identity(identity)))
		return TUNNEL_FAILED;
	skb->mark |= MARK_OVERLAY;
	return TUNNEL_ENTERED;
}

/* What an endpoint sends to another node: into the tunnel to it, else up the stack. */
static __always_inline int pass_to_node(struct __sk_buff *skb, struct run *run, __u32 identity)
{
	if (!config.overlay)
		return pass_to_stack(skb, run, identity);
	switch (enter_tunnel(skb, run, identity)) {
	case TUNNEL_NONE:
		return pass_to_stack(skb, run, identity);
	case TUNNEL_ENTERED:
		count(COUNTER_PASSED, run->length);
		return bpf_redirect(config.overlay, 0);
	default:
		return drop(run, DROP_NO_TUNNEL);
	}
}

/* Whether the packet is a tunnel's, from a node of the cluster. */
static __always_inline int is_tunnel(const struct run *run)
{
	const struct tuple *tuple = &run->packet.tuple;

	return config.overlay && tuple->protocol == IPPROTO_UDP &&
	       tuple->destination_port == bpf_htons(config.overlay_port) &&
	       ipcache_identity(&tuple->source) == IDENTITY_REMOTE_NODE;
}

/* Whether the packet came past the tunnel that its source is behind. Nodes themselves may. */
__noinline int is_past_tunnel(const struct run *run)
{
	struct ipcache_entry *entry;

	if (!run || !config.overlay)
		return 0;
	entry = ipcache_entry_of(&run->packet.tuple.source);
	return entry && entry->identity != IDENTITY_REMOTE_NODE &&
	       !is_unspecified(&entry->tunnel);
}
