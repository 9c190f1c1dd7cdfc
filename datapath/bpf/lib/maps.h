/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Every map, and the configuration that the loader fixes. Sizes marked "loader" are set at load. */
#pragma once

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "../abi/config.h"
#include "../abi/conntrack.h"
#include "../abi/counter.h"
#include "../abi/endpoint.h"
#include "../abi/event.h"
#include "../abi/fragment.h"
#include "../abi/ipcache.h"
#include "../abi/nat.h"
#include "../abi/state.h"

const volatile struct datapath_config config;

/* An array of 8-byte words in one mapped value: element size is not rounded up, and a store from
 * user space costs no system call. */
#define WORDS(name, size)                                                                          \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                  \
		__uint(max_entries, 1);                                                            \
		__uint(map_flags, BPF_F_MMAPABLE);                                                 \
		__uint(key_size, sizeof(__u32));                                                   \
		__uint(value_size, size);                                                          \
	} name SEC(".maps")

WORDS(policy_line_v1, 8); /* loader */
WORDS(row_slot_v1, 8); /* loader */
WORDS(row_line_v1, 8); /* loader */
WORDS(cell_slot_v1, 8); /* loader */
WORDS(verdict_v1, 8); /* loader */
WORDS(policy_of_v1, 65536 * 8);
WORDS(port_class_v1, PORT_INDEXES * 2);

struct identity_page {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, IDENTITY_PAGE_LEN * 8);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, IDENTITY_PAGES);
	__uint(key_size, sizeof(__u32));
	__array(values, struct identity_page);
} id_pages_v1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct datapath_state);
} state_v1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* loader */
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct address);
	__type(value, struct endpoint_record);
} endpoints_v1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* loader */
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct address);
	__type(value, struct ipcache_entry);
} ipcache_v2 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1); /* loader */
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ipcache_prefix);
	__type(value, struct ipcache_entry);
} ipcache_cidr_v2 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* loader */
	__type(key, struct ct_key);
	__type(value, struct ct_entry);
} conntrack_v1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, FRAGMENTED_DATAGRAMS);
	__type(key, struct fragment_key);
	__type(value, struct fragment_entry);
} fragments_v1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* loader */
	__type(key, struct nat_key);
	__type(value, struct nat_entry);
} nat_v1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096); /* loader */
} events_v1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTER_ELEMENTS);
	__type(key, __u32);
	__type(value, struct counter);
} counters_v1 SEC(".maps");

/* Adds one packet to a counter. */
static __always_inline void count(__u32 index, __u32 length)
{
	struct counter *counter = bpf_map_lookup_elem(&counters_v1, &index);

	if (!counter)
		return;
	counter->packets += 1;
	counter->bytes += length;
}
