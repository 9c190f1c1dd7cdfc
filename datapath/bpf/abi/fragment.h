/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the first fragment of a datagram tells of the others. Twin of abi/src/fragment.rs. */
#pragma once

#include "address.h"

/* Key of fragments_v1. */
struct fragment_key {
	struct address source;
	struct address destination;
	__u32 id; /* as the header has it */
	__u8 protocol; /* the next header, as every fragment says */
	__u8 pad[3];
};
_Static_assert(sizeof(struct fragment_key) == 40, "struct fragment_key");

struct fragment_entry {
	__u32 expires; /* seconds of the monotonic clock */
	__be16 source_port;
	__be16 destination_port;
	__u8 protocol; /* that the ports are of */
	__u8 flags; /* enum packet_flag */
	__u8 icmp_type;
	__u8 pad;
};
_Static_assert(sizeof(struct fragment_entry) == 12, "struct fragment_entry");

enum fragment_size {
	FRAGMENTED_DATAGRAMS = 8192, /* elements of fragments_v1 */
};
