// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Building blocks of the datapath, each sixteen times in a run, so that a run's own cost can be taken
 * off: the walk through the decision tables, and the two lookups in a prefix map that Cilium's policy
 * takes. In a chain every key waits for the answer before it, as it does for a packet that comes alone.
 *
 * And two programs for devices: one that delivers and does nothing else, and one that does nothing.
 */
#include <linux/bpf.h>
#include <linux/in6.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>

#include "lib/policy.h"

#define LOOKUPS 16

/* What keys are drawn from, evenly; 1 of each is the same key every time. */
struct spread {
	__u32 endpoints; /* from 1 on */
	__u32 identities;
	__u32 first_identity;
	__u32 ports; /* of TCP, from 1 on */
	__u64 zero; /* 0, which no compiler knows */
	__u64 state; /* of the random numbers; never 0 */
	__u64 answers; /* so that none is left out */
};

struct spread spread;

/* A key of Cilium's policy map: bits of prefix_len follow it. */
struct prefix_key {
	__u32 prefix_len;
	__u32 identity; /* 0 for any */
	__u8 direction;
	__u8 protocol;
	__be16 port;
};

struct prefix_value {
	__u32 words[3];
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1 << 17);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix_key);
	__type(value, struct prefix_value);
} prefixes SEC(".maps");

struct question {
	__u32 endpoint;
	__u32 identity;
	__u32 port;
};

enum block {
	BLOCK_NONE,
	BLOCK_TABLES,
	BLOCK_PREFIXES,
};

static __always_inline __u64 next(__u64 state)
{
	state ^= state << 13;
	state ^= state >> 7;
	return state ^ state << 17;
}

static __always_inline __u32 below(__u32 random, __u32 limit)
{
	return (__u64)random * limit >> 32;
}

static __always_inline void draw(__u64 state, struct question *question)
{
	question->endpoint = 1 + below(state, spread.endpoints);
	question->identity = spread.first_identity + below(state >> 32, spread.identities);
	question->port = PORT_INDEX_TCP + 1 + below(state * 0x9e3779b1 >> 32, spread.ports);
}

static __always_inline __u64 ask_prefix(__u32 identity)
{
	struct prefix_key key = {
		.prefix_len = 64,
		.identity = identity,
		.direction = DIRECTION_EGRESS,
		.protocol = IPPROTO_TCP,
		.port = bpf_htons(80),
	};
	struct prefix_value *value = bpf_map_lookup_elem(&prefixes, &key);

	return value ? value->words[0] : 0;
}

static __always_inline __u64 ask(enum block block, const struct question *question)
{
	switch (block) {
	case BLOCK_TABLES:
		return policy_verdict(question->endpoint, DIRECTION_EGRESS, question->identity,
				      question->port);
	case BLOCK_PREFIXES:
		return ask_prefix(question->identity) + ask_prefix(0);
	default:
		return question->endpoint + question->identity + question->port;
	}
}

static __always_inline int run(enum block block, int in_chain)
{
	__u64 state = spread.state, answers = 0, answer;
	struct question question;

#pragma unroll
	for (int i = 0; i < LOOKUPS; i++) {
		state = next(state);
		draw(state, &question);
		answer = ask(block, &question);
		answers += answer;
		if (in_chain)
			state ^= answer & spread.zero;
	}
	spread.state = state;
	spread.answers += answers;
	return TC_ACT_OK;
}

SEC("tc")
int none_apart(struct __sk_buff *skb)
{
	return run(BLOCK_NONE, 0);
}

SEC("tc")
int none_chained(struct __sk_buff *skb)
{
	return run(BLOCK_NONE, 1);
}

SEC("tc")
int tables_apart(struct __sk_buff *skb)
{
	return run(BLOCK_TABLES, 0);
}

SEC("tc")
int tables_chained(struct __sk_buff *skb)
{
	return run(BLOCK_TABLES, 1);
}

SEC("tc")
int prefix_apart(struct __sk_buff *skb)
{
	return run(BLOCK_PREFIXES, 0);
}

SEC("tc")
int prefix_chained(struct __sk_buff *skb)
{
	return run(BLOCK_PREFIXES, 1);
}

/* The host-side device of the other endpoint, by the number of this one's. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u32);
} other_end SEC(".maps");

SEC("tc")
int deliver_only(struct __sk_buff *skb)
{
	__u32 index = skb->ifindex & 255;
	__u32 *other = bpf_map_lookup_elem(&other_end, &index);

	return other ? bpf_redirect_peer(*other, 0) : TC_ACT_SHOT;
}

SEC("tc")
int do_nothing(struct __sk_buff *skb)
{
	return TC_ACT_OK;
}

char _license[] SEC("license") = "Dual BSD/GPL";
