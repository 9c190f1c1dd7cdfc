/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Addresses and prefixes with their identities. Twin of abi/src/ipcache.rs. */
#pragma once

#include "address.h"

/* Key of ipcache_cidr_v2. Exact addresses are keys of ipcache_v2. */
struct ipcache_prefix {
	__u32 prefix_len; /* in the 128-bit mapped space */
	struct address address;
};
_Static_assert(sizeof(struct ipcache_prefix) == 20, "struct ipcache_prefix");

enum ipcache_flag {
	IPCACHE_IPV6 = 1, /* a prefix of IPv6: it says nothing about IPv4 addresses it covers */
};

/* Identities that the programs know by number. */
enum known_identity {
	IDENTITY_HOST = 1,
	IDENTITY_WORLD = 2,
	IDENTITY_REMOTE_NODE = 6,
	IDENTITY_WORLD_IPV4 = 9,
	IDENTITY_WORLD_IPV6 = 10,
	IDENTITY_SCOPE_SHIFT = 24,
	IDENTITY_SCOPE_LOCAL = 1, /* prefixes and names outside the cluster */
};

struct ipcache_entry {
	__u32 identity;
	__u32 flags; /* enum ipcache_flag */
	struct address tunnel; /* the node that the address is behind, by a tunnel; zero for none */
};
_Static_assert(sizeof(struct ipcache_entry) == 24, "struct ipcache_entry");
