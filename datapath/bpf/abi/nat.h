/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Endpoints that speak with the node's address. Twin of abi/src/nat.rs. */
#pragma once

#include "address.h"

/* Key of nat_v1: who answers, and where to. Ports are those of struct tuple. */
struct nat_key {
	struct address remote;
	struct address node;
	__be16 remote_port;
	__be16 node_port;
	__u8 protocol;
	__u8 pad[3];
};
_Static_assert(sizeof(struct nat_key) == 40, "struct nat_key");

struct nat_entry {
	struct address address; /* the endpoint's, */
	__be16 port; /* and its port */
	__u8 pad[2];
	__u32 expires; /* seconds of the monotonic clock */
};
_Static_assert(sizeof(struct nat_entry) == 24, "struct nat_entry");
