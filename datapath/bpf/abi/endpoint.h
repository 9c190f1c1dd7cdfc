/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Endpoints of this node. Twin of abi/src/endpoint.rs. */
#pragma once

#include <linux/types.h>

/* Value of endpoints_v1, one per address of an endpoint. Key: struct address. */
struct endpoint_record {
	__u32 ifindex; /* the host-side veth */
	__u32 identity;
	__u16 id; /* index of policy_of_v1 */
	__u8 mac[6];
	__u8 node_mac[6]; /* the host-side veth's: the endpoint's gateway */
	__u8 pad[2];
};
_Static_assert(sizeof(struct endpoint_record) == 24, "struct endpoint_record");

/* A word of policy_of_v1: both policies of an endpoint, switched at once. */
struct policy_pair {
	__u32 ingress;
	__u32 egress;
};
_Static_assert(sizeof(struct policy_pair) == 8, "struct policy_pair");
