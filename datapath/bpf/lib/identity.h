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

/* The identity of an address that is no endpoint's: exact, by prefix, or the world of its family. */
__noinline __u32 ipcache_identity(const struct address *address)
{
	struct ipcache_prefix prefix = {.prefix_len = 128};
	struct ipcache_entry *entry;

	if (!address)
		return 0;
	prefix.address = *address;
	entry = bpf_map_lookup_elem(&ipcache_v1, &prefix.address);
	if (entry)
		return entry->identity;
	entry = bpf_map_lookup_elem(&ipcache_cidr_v1, &prefix);
	if (entry && !(is_ipv4(address) && entry->flags & IPCACHE_IPV6))
		return entry->identity;
	return is_ipv4(address) ? config.world_ipv4 : config.world_ipv6;
}

static __always_inline __u32 identity_of(const struct address *address,
					 const struct endpoint_record *endpoint)
{
	return endpoint ? endpoint->identity : ipcache_identity(address);
}
