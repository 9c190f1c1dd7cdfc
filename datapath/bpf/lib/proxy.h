/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Hands a packet to the proxy: the socket is chosen here, the mark makes the loader's rule route
 * the packet to this host, and it goes up the stack unchanged.
 */
#pragma once

#include "deliver.h"
#include "parse.h"

/* The loopback address of the packet's family, where the proxy listens. */
static __always_inline __u32 listener_tuple(const struct run *run, struct bpf_sock_tuple *tuple)
{
	__builtin_memset(tuple, 0, sizeof(*tuple));
	if (run->packet.flags & PACKET_IPV6) {
		tuple->ipv6.daddr[3] = bpf_htonl(1);
		tuple->ipv6.dport = bpf_htons(run->proxy_port);
		return sizeof(tuple->ipv6);
	}
	tuple->ipv4.daddr = bpf_htonl(0x7f000001);
	tuple->ipv4.dport = bpf_htons(run->proxy_port);
	return sizeof(tuple->ipv4);
}

static __always_inline __u32 own_tuple(const struct run *run, struct bpf_sock_tuple *tuple)
{
	const struct tuple *packet = &run->packet.tuple;

	__builtin_memset(tuple, 0, sizeof(*tuple));
	if (run->packet.flags & PACKET_IPV6) {
		__builtin_memcpy(tuple->ipv6.saddr, &packet->source, sizeof(tuple->ipv6.saddr));
		__builtin_memcpy(tuple->ipv6.daddr, &packet->destination,
				 sizeof(tuple->ipv6.daddr));
		tuple->ipv6.sport = packet->source_port;
		tuple->ipv6.dport = packet->destination_port;
		return sizeof(tuple->ipv6);
	}
	tuple->ipv4.saddr = packet->source.words[3];
	tuple->ipv4.daddr = packet->destination.words[3];
	tuple->ipv4.sport = packet->source_port;
	tuple->ipv4.dport = packet->destination_port;
	return sizeof(tuple->ipv4);
}

/* Whether a connection is the proxy's: a half-open one is, a whole one carries the mark. */
static __always_inline int is_proxy_socket(struct bpf_sock *socket, __u32 kind)
{
	struct bpf_sock *full;

	if (socket->state == BPF_TCP_NEW_SYN_RECV)
		return 1;
	if (socket->state == BPF_TCP_LISTEN || socket->state == BPF_TCP_TIME_WAIT)
		return 0;
	full = bpf_sk_fullsock(socket);
	return full && (full->mark & MARK_KIND_MASK) == kind;
}

/* The connection that the packet itself names. */
static __always_inline int assign_connection(struct __sk_buff *skb, const struct run *run,
					     __u32 kind)
{
	struct bpf_sock_tuple tuple;
	__u32 size = own_tuple(run, &tuple);
	struct bpf_sock *socket;
	int done = 0;

	socket = bpf_skc_lookup_tcp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	if (!socket)
		return 0;
	if (is_proxy_socket(socket, kind))
		done = !bpf_sk_assign(skb, socket, 0);
	bpf_sk_release(socket);
	return done;
}

static __always_inline int assign_udp(struct __sk_buff *skb, struct bpf_sock_tuple *tuple,
				      __u32 size)
{
	struct bpf_sock *socket = bpf_sk_lookup_udp(skb, tuple, size, BPF_F_CURRENT_NETNS, 0);
	int done;

	if (!socket)
		return 0;
	done = !bpf_sk_assign(skb, socket, 0);
	bpf_sk_release(socket);
	return done;
}

static __always_inline int assign_listener(struct __sk_buff *skb, const struct run *run)
{
	struct bpf_sock_tuple tuple;
	__u32 size = listener_tuple(run, &tuple);
	struct bpf_sock *socket;
	int done;

	if (run->packet.tuple.protocol == IPPROTO_UDP)
		return assign_udp(skb, &tuple, size);
	socket = bpf_skc_lookup_tcp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	if (!socket)
		return 0;
	done = !bpf_sk_assign(skb, socket, 0);
	bpf_sk_release(socket);
	return done;
}

static __always_inline int pass_to_proxy(struct __sk_buff *skb, const struct run *run)
{
	skb->mark |= MARK_TO_PROXY;
	return pass(run);
}

/* A packet of the client: its connection with the proxy, or the proxy's listener. */
__noinline int redirect_to_proxy(struct __sk_buff *skb, struct run *run)
{
	if (!run)
		return TC_ACT_SHOT;
	/* The stack itself finds the socket that an ICMP error is for. */
	if (run->related)
		return pass_to_proxy(skb, run);
	if (run->packet.tuple.protocol == IPPROTO_TCP &&
	    assign_connection(skb, run, MARK_PROXY_RETURN))
		return pass_to_proxy(skb, run);
	if (assign_listener(skb, run))
		return pass_to_proxy(skb, run);
	return drop(run, DROP_NO_PROXY);
}

/* A packet of the server, to a proxy that speaks with its client's address. */
__noinline int return_to_proxy(struct __sk_buff *skb, struct run *run)
{
	struct bpf_sock_tuple tuple;
	__u32 size;

	if (!run)
		return TC_ACT_SHOT;
	size = own_tuple(run, &tuple);
	if (run->related)
		return pass_to_proxy(skb, run);
	if (run->packet.tuple.protocol == IPPROTO_TCP &&
	    assign_connection(skb, run, MARK_PROXY_FORWARD))
		return pass_to_proxy(skb, run);
	if (run->packet.tuple.protocol == IPPROTO_UDP && assign_udp(skb, &tuple, size))
		return pass_to_proxy(skb, run);
	return drop(run, DROP_NO_PROXY);
}
