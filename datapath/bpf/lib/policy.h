/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The walk through the decision tables (D1), in the order that abi/policy.h gives: writers go the
 * other way, so that a reader between any two of their stores sees the old verdict or the new one.
 * Every load is volatile and whole.
 */
#pragma once

#include <linux/in.h>

#include "maps.h"

/* A word read whole, then taken apart in whatever byte order the machine has. */
union word {
	__u64 raw;
	struct peer_classes classes;
	struct policy_pair policies;
	struct line line;
	struct slot slot;
	struct verdict verdict;
};

/* Past the array every table reads as zero: a line without exceptions whose default denies. */
static __always_inline union word word_at(void *map, __u64 index, __u64 limit)
{
	union word word = {};
	__u32 zero = 0;
	__u64 *words;

	if (index >= limit)
		return word;
	words = bpf_map_lookup_elem(map, &zero);
	if (words)
		word.raw = *(volatile __u64 *)&words[index];
	return word;
}

static __always_inline __u32 port_index(__u8 protocol, __u16 port)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return PORT_INDEX_TCP + port;
	case IPPROTO_UDP:
		return PORT_INDEX_UDP + port;
	case IPPROTO_SCTP:
		return PORT_INDEX_SCTP + port;
	case IPPROTO_ICMP:
		return PORT_INDEX_ICMP + (port & 0xff);
	case IPPROTO_ICMPV6:
		return PORT_INDEX_ICMPV6 + (port & 0xff);
	default:
		return PORT_INDEX_OTHER + protocol;
	}
}

static __always_inline __u16 port_class(__u64 index)
{
	__u32 zero = 0;
	__u16 *classes = bpf_map_lookup_elem(&port_class_v1, &zero);

	if (!classes || index >= PORT_INDEXES)
		return 0;
	return *(volatile __u16 *)&classes[index];
}

/* No page is the unknown class, and so is a number past the last page. */
static __always_inline union word peer_classes(__u32 identity)
{
	union word none = {};
	__u32 number = identity >> 16;
	void *page;

	if (number >= IDENTITY_PAGES)
		return none;
	page = bpf_map_lookup_elem(&id_pages_v1, &number);
	return page ? word_at(page, identity & 0xffff, IDENTITY_PAGE_LEN) : none;
}

static __always_inline __u32 line_at(union word line, void *slots, __u64 limit, __u32 index)
{
	union word slot;
	__u64 at = (__u64)line.line.base + index;

	if (at >= limit)
		return line.line.fallback;
	slot = word_at(slots, at, limit);
	return slot.slot.owner == line.line.base ? slot.slot.value : line.line.fallback;
}

/*
 * A row's verdict for a port class. The slot of a block holds one verdict, in its low half, and says
 * in its high half which of the block's classes have it.
 */
static __always_inline __u16 cell_at(union word row, __u32 class)
{
	union word block;

	if (row.line.fallback & ROW_WIDE) {
		block = word_at(&cell_slot_v1, (__u64)row.line.base + class / ROW_BLOCK,
				config.cell_slots);
		if (block.slot.owner == row.line.base &&
		    block.slot.value >> (16 + class % ROW_BLOCK) & 1)
			return block.slot.value;
		class += ROW_BLOCKS;
	}
	return line_at(row, &cell_slot_v1, config.cell_slots, class);
}

/* What an endpoint's policy of one direction says about a peer: a struct verdict as a word. */
__noinline __u64 policy_verdict(__u32 endpoint, __u32 direction, __u32 identity, __u32 port)
{
	union word policies = word_at(&policy_of_v1, endpoint & 0xffff, 65536);
	__u16 class = port_class(port);
	union word peer = peer_classes(identity);
	__u32 ingress = direction == DIRECTION_INGRESS;
	__u32 policy = ingress ? policies.policies.ingress : policies.policies.egress;
	__u32 row;
	__u16 cell;

	row = line_at(word_at(&policy_line_v1, policy, config.policies), &row_slot_v1,
		      config.row_slots, ingress ? peer.classes.ingress : peer.classes.egress);
	cell = cell_at(word_at(&row_line_v1, row, config.rows), class);
	return word_at(&verdict_v1, cell, config.verdicts).raw;
}
