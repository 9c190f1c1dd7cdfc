/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who stands behind an address: endpoints of this node, the ipcache, the world. */
#pragma once

#include "maps.h"
#include "packet.h"

/* Keys of maps are copied to the stack: before 6.10 no argument of a global function may be one. */
static __always_inline struct endpoint_record *endpoint_of(const struct address *address)
{
	struct address key = *address;

	return bpf_map_lookup_elem(&endpoints_v1, &key);
}

/* What is known of an address that is no endpoint's: exactly, or by prefix. */
static __always_inline struct ipcache_entry *ipcache_entry_of(const struct address *address)
{
	struct ipcache_prefix prefix = {.prefix_len = 128, .address = *address};
	struct ipcache_entry *entry = bpf_map_lookup_elem(&ipcache_v2, &prefix.address);

	if (entry)
		return entry;
	entry = bpf_map_lookup_elem(&ipcache_cidr_v2, &prefix);
	return entry && is_ipv4(address) && entry->flags & IPCACHE_IPV6 ? NULL : entry;
}

/* The identity of an address that is no endpoint's; without an entry the world of its family. */
__noinline __u32 ipcache_identity(const struct address *address)
{
	struct ipcache_entry *entry;

	if (!address)
		return 0;
	entry = ipcache_entry_of(address);
	if (entry)
		return entry->identity;
	return is_ipv4(address) ? config.world_ipv4 : config.world_ipv6;
}

static __always_inline __u32 identity_of(const struct address *address,
					 const struct endpoint_record *endpoint)
{
	return endpoint ? endpoint->identity : ipcache_identity(address);
}

/* Word by word: compilers take the copy of a whole constant structure for one of its zeroes. */
static __always_inline void node_address(struct address *address, int v6)
{
#pragma unroll
	for (int i = 0; i < 4; i++)
		address->words[i] = v6 ? config.node_ipv6.words[i] : config.node_ipv4.words[i];
}

/* Whether the address is one of the node's own. */
static __always_inline int is_host(const struct address *address)
{
	struct address key = *address;
	struct ipcache_entry *entry = bpf_map_lookup_elem(&ipcache_v2, &key);

	return entry && entry->identity == IDENTITY_HOST;
}

static __always_inline int is_world(__u32 identity)
{
	return identity == IDENTITY_WORLD || identity == IDENTITY_WORLD_IPV4 ||
	       identity == IDENTITY_WORLD_IPV6 ||
	       identity >> IDENTITY_SCOPE_SHIFT == IDENTITY_SCOPE_LOCAL;
}

/* Whose policies decide at an address: an endpoint's, the host's where it has some, or nobody's. */
static __always_inline __u16 judge_at(const struct endpoint_record *endpoint, __u32 identity)
{
	if (endpoint)
		return endpoint->id;
	return identity == IDENTITY_HOST ? config.host_endpoint : 0;
}
