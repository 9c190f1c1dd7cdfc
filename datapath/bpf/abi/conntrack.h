/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Connections with their cached verdicts (D3). Twin of abi/src/conntrack.rs. */
#pragma once

#include "address.h"
#include "policy.h"

/* Key of conntrack_v1: the tuple with its two ends sorted by (address, port). */
struct ct_key {
	struct address low;
	struct address high;
	__be16 low_port;
	__be16 high_port;
	__u8 protocol;
	__u8 zone; /* enum ct_zone */
	__u8 pad[2];
};
_Static_assert(sizeof(struct ct_key) == 40, "struct ct_key");

enum ct_zone {
	ZONE_FLOW = 0,
	ZONE_PROXY_LEG = 1, /* the proxy's own leg, sent from its client's address */
};

enum half {
	HALF_UNDECIDED = 0,
	HALF_DECIDED = 1,
	HALF_FOREIGN = 2, /* not this node's, or the proxy stands in for it */
};

enum flow_flag {
	FLOW_ORIGINAL_IS_HIGH = 1, /* the first packet came from the key's high end */
	FLOW_SEEN_REPLY = 2,
	FLOW_SOURCE_FROM_MARK = 4, /* the source identity came with the packet and is kept */
	FLOW_CLOSING_ORIGINAL = 8,
	FLOW_CLOSING_REPLY = 16,
};

struct ct_entry {
	__u32 generation; /* under which both halves were decided */
	__u32 expires; /* seconds of the monotonic clock */
	__u32 source_identity; /* of the flow's original source */
	__u32 destination_identity;
	struct verdict egress; /* the decision at the original source */
	struct verdict ingress; /* the decision at the original destination */
	__u8 egress_half; /* enum half */
	__u8 ingress_half;
	__u16 flags; /* enum flow_flag */
	__u8 tcp_original; /* TCP flags seen */
	__u8 tcp_reply;
	__be16 nat_port; /* the node's port that stands for the original source's; 0 for none yet */
	__u32 packets_original;
	__u32 packets_reply;
	__u64 bytes_original;
	__u64 bytes_reply;
};
_Static_assert(sizeof(struct ct_entry) == 64, "struct ct_entry");
