/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Answers to the sender of a packet that is dropped: ICMP errors and TCP resets, out of the device
 * that the packet came in by. Nothing answers an ICMP error, a reset, a group or a later fragment.
 */
#pragma once

#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>

#include "../abi/mark.h"
#include "event.h"
#include "parse.h"

#define ICMP_PROHIBITED 13
#define ICMPV6_DESTINATION_UNREACHABLE 1
#define ICMPV6_PROHIBITED 1
#define ICMPV6_TIME_EXCEEDED 3
#define ANSWER_TTL 64
#define DO_NOT_FRAGMENT 0x4000
#define TCP_HEADER_WORDS 5
/* Enough for the headers of any flow that policy knows; a multiple of 4. */
#define QUOTE_MAX 80

enum answer {
	ANSWER_PROHIBITED,
	ANSWER_EXPIRED,
	ANSWER_RESET,
};

struct icmp_error {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be32 unused;
	__u8 quote[QUOTE_MAX];
};

static __always_inline __be16 fold(__s64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

/* The sum of the pseudo header. What the mapped form adds to IPv4 addresses is zero in these sums. */
static __always_inline __s64 pseudo_sum(const struct address *ends, __u32 length, __u8 protocol)
{
	return bpf_csum_diff(NULL, 0, (__be32 *)ends, 2 * sizeof(struct address),
			     bpf_htonl(length + protocol));
}

/* 0.0.0.0/8, the groups and above of IPv4; the groups and the unspecified address of IPv6. */
static __always_inline int is_answerable_address(const struct address *address)
{
	__u32 first = bpf_ntohl(address->words[3]) >> 24;

	if (is_ipv4(address))
		return first && first < 224;
	return bpf_ntohl(address->words[0]) >> 24 != 0xff && !is_unspecified(address);
}

static __always_inline int is_answerable(const struct packet *packet)
{
	if (packet->flags & (PACKET_ICMP_ERROR | PACKET_LATER_FRAGMENT))
		return 0;
	return is_answerable_address(&packet->tuple.source) &&
	       is_answerable_address(&packet->tuple.destination);
}

static __always_inline int turn_link(struct __sk_buff *skb)
{
	__u8 ends[2 * ETH_ALEN];

	if (bpf_skb_load_bytes(skb, ETH_ALEN, ends, ETH_ALEN) ||
	    bpf_skb_load_bytes(skb, 0, ends + ETH_ALEN, ETH_ALEN))
		return -1;
	return bpf_skb_store_bytes(skb, 0, ends, sizeof(ends), 0);
}

static __always_inline int store_ipv4(struct __sk_buff *skb, const struct address *ends,
				      __u8 protocol, __u32 length)
{
	struct iphdr ip = {
		.version = 4,
		.ihl = sizeof(struct iphdr) / 4,
		.tot_len = bpf_htons(sizeof(struct iphdr) + length),
		.frag_off = bpf_htons(DO_NOT_FRAGMENT),
		.ttl = ANSWER_TTL,
		.protocol = protocol,
		.saddr = ends[0].words[3],
		.daddr = ends[1].words[3],
	};

	ip.check = fold(bpf_csum_diff(NULL, 0, (__be32 *)&ip, sizeof(ip), 0));
	return bpf_skb_store_bytes(skb, ETH_HLEN, &ip, sizeof(ip), BPF_F_RECOMPUTE_CSUM);
}

static __always_inline int store_ipv6(struct __sk_buff *skb, const struct address *ends,
				      __u8 protocol, __u32 length)
{
	__u8 start[8] = {6 << 4, 0, 0, 0, length >> 8, length, protocol, ANSWER_TTL};
	__u32 addresses = ETH_HLEN + sizeof(start);

	if (bpf_skb_store_bytes(skb, ETH_HLEN, start, sizeof(start), BPF_F_RECOMPUTE_CSUM))
		return -1;
	return bpf_skb_store_bytes(skb, addresses, ends, 2 * sizeof(*ends), BPF_F_RECOMPUTE_CSUM);
}

/*
 * Makes the packet one with `length` bytes after its IP header, from `ends[0]` to `ends[1]`; the
 * place of that body, or 0 if it cannot be.
 */
static __always_inline __u32 turn_round(struct __sk_buff *skb, const struct run *run,
					const struct address *ends, __u8 protocol, __u32 length)
{
	int v6 = run->packet.flags & PACKET_IPV6;
	__u32 body = ETH_HLEN + (v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr));

	if (bpf_skb_change_tail(skb, body + length, 0) || turn_link(skb))
		return 0;
	if (v6 ? store_ipv6(skb, ends, protocol, length) : store_ipv4(skb, ends, protocol, length))
		return 0;
	return body;
}

static __always_inline void set_error(struct icmp_error *error, int v6, int expired)
{
	if (expired) {
		error->type = v6 ? ICMPV6_TIME_EXCEEDED : ICMP_TIME_EXCEEDED;
		return;
	}
	error->type = v6 ? ICMPV6_DESTINATION_UNREACHABLE : ICMP_DESTINATION_UNREACHABLE;
	error->code = v6 ? ICMPV6_PROHIBITED : ICMP_PROHIBITED;
}

/* How much of the packet an error quotes. The barriers let the verifier see both bounds. */
static __always_inline __u32 quotable(const struct packet *packet)
{
	__u32 length = (packet->end - packet->l3_offset) & ~3u;

	barrier_var(length);
	if (length > QUOTE_MAX)
		length = QUOTE_MAX;
	barrier_var(length);
	return length < sizeof(struct iphdr) ? 0 : length;
}

/* An ICMP error that quotes the packet; of a hop limit the node speaks, else the destination. */
__noinline int answer_error(struct __sk_buff *skb, struct run *run, __u32 answer)
{
	struct icmp_error error = {};
	struct address ends[2];
	__u32 quoted, body;
	__s64 sum = 0;
	__u8 protocol;
	int v6;

	if (!run || !is_answerable(&run->packet))
		return TC_ACT_SHOT;
	v6 = run->packet.flags & PACKET_IPV6;
	protocol = v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	ends[0] = run->packet.tuple.destination;
	ends[1] = run->packet.tuple.source;
	if (answer == ANSWER_EXPIRED)
		node_address(&ends[0], v6);
	if (is_unspecified(&ends[0]))
		return TC_ACT_SHOT;
	quoted = quotable(&run->packet);
	if (!quoted || bpf_skb_load_bytes(skb, run->packet.l3_offset, error.quote, quoted))
		return TC_ACT_SHOT;
	set_error(&error, v6, answer == ANSWER_EXPIRED);
	quoted += sizeof(struct icmp_header);
	if (v6)
		sum = pseudo_sum(ends, quoted, protocol);
	error.checksum = fold(bpf_csum_diff(NULL, 0, (__be32 *)&error, quoted, sum));
	body = turn_round(skb, run, ends, protocol, quoted);
	if (!body || bpf_skb_store_bytes(skb, body, &error, quoted, BPF_F_RECOMPUTE_CSUM))
		return TC_ACT_SHOT;
	skb->mark |= MARK_ANSWER;
	return bpf_redirect(skb->ifindex, 0);
}

/* What a segment takes of the sequence. */
static __always_inline __u32 segment_length(const struct packet *packet, const struct tcphdr *tcp)
{
	return packet->end - packet->l4_offset - tcp->doff * 4 + tcp->syn + tcp->fin;
}

/* A reset that the segment's sender must believe, as RFC 9293 has it. */
__noinline int answer_reset(struct __sk_buff *skb, struct run *run)
{
	struct tcphdr tcp, reset = {};
	struct address ends[2];
	__u32 body;

	if (!run || !is_answerable(&run->packet) || run->packet.tcp_flags & TCP_RST ||
	    bpf_skb_load_bytes(skb, run->packet.l4_offset, &tcp, sizeof(tcp)))
		return TC_ACT_SHOT;
	ends[0] = run->packet.tuple.destination;
	ends[1] = run->packet.tuple.source;
	reset.source = tcp.dest;
	reset.dest = tcp.source;
	reset.doff = TCP_HEADER_WORDS;
	reset.rst = 1;
	if (tcp.ack) {
		reset.seq = tcp.ack_seq;
	} else {
		reset.ack = 1;
		reset.ack_seq = bpf_htonl(bpf_ntohl(tcp.seq) + segment_length(&run->packet, &tcp));
	}
	reset.check = fold(bpf_csum_diff(NULL, 0, (__be32 *)&reset, sizeof(reset),
					 pseudo_sum(ends, sizeof(reset), IPPROTO_TCP)));
	body = turn_round(skb, run, ends, IPPROTO_TCP, sizeof(reset));
	if (!body || bpf_skb_store_bytes(skb, body, &reset, sizeof(reset), BPF_F_RECOMPUTE_CSUM))
		return TC_ACT_SHOT;
	skb->mark |= MARK_ANSWER;
	return bpf_redirect(skb->ifindex, 0);
}

/* Drops the packet; if policy denied it, its sender is told where that is configured. */
static __always_inline int refuse(struct __sk_buff *skb, struct run *run, int reason)
{
	int action = drop(run, reason);

	if (!config.deny_answer)
		return action;
	if (reason != DROP_POLICY && reason != DROP_POLICY_DENY && reason != DROP_AUTH_REQUIRED)
		return action;
	if (config.deny_answer == DENY_RESET && run->packet.tuple.protocol == IPPROTO_TCP)
		return answer_reset(skb, run);
	return answer_error(skb, run, ANSWER_PROHIBITED);
}

/* Drops a packet that has no hop left, and tells its sender. */
static __always_inline int expire(struct __sk_buff *skb, struct run *run)
{
	drop(run, DROP_TTL_EXCEEDED);
	return answer_error(skb, run, ANSWER_EXPIRED);
}
