/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Headers to struct packet. Everything is read through bounded copies, whatever the skb's shape. */
#pragma once

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

#include "../abi/drop_reason.h"
#include "packet.h"

/* What of ICMP is needed here; the UAPI headers of it draw in the C library. */
#define ICMP_ECHO_REPLY 0
#define ICMP_DESTINATION_UNREACHABLE 3
#define ICMP_SOURCE_QUENCH 4
#define ICMP_ECHO_REQUEST 8
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETER_PROBLEM 12
#define ICMPV6_ECHO_REQUEST 128
#define ICMPV6_ECHO_REPLY 129
#define EXTENSION_HEADERS_MAX 6
#define ND_ROUTER_SOLICIT 133
#define ND_REDIRECT 137
#define TCP_FLAG_BYTE 13
#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10
#define ICMPV6_ERROR_MAX 127
/* Where the data of a TCP segment may begin, in the units of a fragment's offset. */
#define TCP_DATA_UNITS 3
#define FRAGMENT_OFFSET_AND_MORE 0x3fff
#define FRAGMENT_OFFSET 0x1fff
#define IPV6_OFFSET_AND_MORE 0xfff9
/* Lengths above this do not fit the length fields: the stack writes 0 (BIG TCP). */
#define IP_LENGTH_MAX 65535

/* The header that both versions of ICMP share. */
struct icmp_header {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be16 id; /* of an echo */
	__be16 sequence;
};

struct fragment_header {
	__u8 next;
	__u8 reserved;
	__be16 offset; /* in units of 8 bytes from bit 3 on; bit 0: more follow */
	__be32 id;
};

static __always_inline void set_ipv4(struct address *address, __be32 ipv4)
{
	address->words[0] = 0;
	address->words[1] = 0;
	address->words[2] = bpf_htonl(0xffff);
	address->words[3] = ipv4;
}

static __always_inline void set_ipv6(struct address *address, const struct in6_addr *ipv6)
{
	__builtin_memcpy(address, ipv6, sizeof(*address));
}

/* 224.0.0.0/24 and ff02::/16: groups that no router forwards. */
static __always_inline int is_link_local_group(const struct address *address)
{
	if (is_ipv4(address))
		return (address->words[3] & bpf_htonl(0xffffff00)) == bpf_htonl(0xe0000000);
	return (address->words[0] & bpf_htonl(0xffff0000)) == bpf_htonl(0xff020000);
}

static __always_inline int is_icmp_error(__u8 protocol, __u8 type)
{
	if (protocol == IPPROTO_ICMPV6)
		return type <= ICMPV6_ERROR_MAX;
	return type == ICMP_DESTINATION_UNREACHABLE || type == ICMP_SOURCE_QUENCH ||
	       type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETER_PROBLEM;
}

/* Ports of an ICMP message; see struct tuple. */
static __always_inline void set_icmp_ports(struct packet *packet, const struct icmp_header *icmp)
{
	__u8 v6 = packet->tuple.protocol == IPPROTO_ICMPV6;
	__u8 request = v6 ? ICMPV6_ECHO_REQUEST : ICMP_ECHO_REQUEST;
	__u8 reply = v6 ? ICMPV6_ECHO_REPLY : ICMP_ECHO_REPLY;

	packet->icmp_type = icmp->type;
	packet->flags |= PACKET_ICMP;
	if (icmp->type == request) {
		packet->tuple.source_port = icmp->id;
		packet->tuple.destination_port = bpf_htons(request);
	} else if (icmp->type == reply) {
		packet->tuple.source_port = bpf_htons(request);
		packet->tuple.destination_port = icmp->id;
		packet->flags |= PACKET_ECHO_REPLY;
	} else {
		packet->tuple.destination_port = bpf_htons(icmp->type);
		if (is_icmp_error(packet->tuple.protocol, icmp->type))
			packet->flags |= PACKET_ICMP_ERROR;
	}
}

/* A header of the packet; one that reaches past the packet's own length is malformed. */
static __always_inline int load_header(struct __sk_buff *skb, const struct packet *packet, void *to,
				       __u32 length)
{
	if (packet->l4_offset + length > packet->end)
		return -DROP_MALFORMED;
	return bpf_skb_load_bytes(skb, packet->l4_offset, to, length) ? -DROP_MALFORMED : 0;
}

/* Ports and flags. Of a packet inside an ICMP error only the first 8 bytes are sure to be there. */
static __always_inline int parse_l4(struct __sk_buff *skb, struct packet *packet, int inner)
{
	__u8 header[20] = {};
	struct icmp_header icmp;

	switch (packet->tuple.protocol) {
	case IPPROTO_TCP:
		if (load_header(skb, packet, header, inner ? 8 : sizeof(struct tcphdr)))
			return -DROP_MALFORMED;
		if (!inner) {
			if (header[12] >> 4 < 5)
				return -DROP_MALFORMED;
			packet->tcp_flags = header[TCP_FLAG_BYTE];
			if ((packet->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
				packet->flags |= PACKET_SYN;
		}
		break;
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
		if (load_header(skb, packet, header, 8))
			return -DROP_MALFORMED;
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if ((packet->tuple.protocol == IPPROTO_ICMPV6) != !!(packet->flags & PACKET_IPV6))
			return -DROP_MALFORMED;
		if (load_header(skb, packet, &icmp, sizeof(icmp)))
			return -DROP_MALFORMED;
		set_icmp_ports(packet, &icmp);
		return 0;
	default:
		return 0;
	}
	packet->tuple.source_port = *(__be16 *)header;
	packet->tuple.destination_port = *(__be16 *)(header + 2);
	return 0;
}

/* One that would replace a part of the TCP header that was judged is none. */
static __always_inline int note_fragment(struct packet *packet, __u32 id, __u8 protocol,
					 __u32 offset)
{
	if (packet->flags & PACKET_FRAGMENT)
		return -DROP_MALFORMED;
	packet->fragment_id = id;
	packet->fragment_protocol = protocol;
	packet->flags |= offset ? PACKET_LATER_FRAGMENT : PACKET_FIRST_FRAGMENT;
	if (offset && offset < TCP_DATA_UNITS && protocol == IPPROTO_TCP)
		return -DROP_FRAGMENT;
	return 0;
}

static __always_inline int parse_ipv4(struct __sk_buff *skb, struct packet *packet, int inner)
{
	struct iphdr ip;
	__u32 header, length, room;
	int error;

	if (bpf_skb_load_bytes(skb, packet->l3_offset, &ip, sizeof(ip)))
		return -DROP_MALFORMED;
	header = ip.ihl * 4;
	if (ip.version != 4 || header < sizeof(ip))
		return -DROP_MALFORMED;
	set_ipv4(&packet->tuple.source, ip.saddr);
	set_ipv4(&packet->tuple.destination, ip.daddr);
	packet->tuple.protocol = ip.protocol;
	packet->ttl = ip.ttl;
	packet->l4_offset = packet->l3_offset + header;
	packet->end = skb->len;
	if (!inner) {
		length = bpf_ntohs(ip.tot_len);
		room = skb->len - packet->l3_offset;
		if (!length && room > IP_LENGTH_MAX)
			length = room;
		if (length < header || length > room)
			return -DROP_MALFORMED;
		packet->end = packet->l3_offset + length;
	}
	if (ip.frag_off & bpf_htons(FRAGMENT_OFFSET_AND_MORE)) {
		error = note_fragment(packet, ip.id, ip.protocol,
				      bpf_ntohs(ip.frag_off) & FRAGMENT_OFFSET);
		if (error || packet->flags & PACKET_LATER_FRAGMENT)
			return error;
	}
	return parse_l4(skb, packet, inner);
}

/* Steps over a fragment header; one around a whole packet says nothing. */
static __always_inline int skip_fragment(struct __sk_buff *skb, struct packet *packet, __u8 *next)
{
	struct fragment_header fragment;
	__u16 offset;

	if (load_header(skb, packet, &fragment, sizeof(fragment)))
		return -DROP_MALFORMED;
	offset = bpf_ntohs(fragment.offset);
	packet->l4_offset += sizeof(fragment);
	*next = fragment.next;
	if (!(offset & IPV6_OFFSET_AND_MORE))
		return 0;
	return note_fragment(packet, fragment.id, fragment.next, offset >> 3);
}

/* Walks to the header that policy knows; a chain longer than the bound is malformed. */
static __always_inline int skip_extensions(struct __sk_buff *skb, struct packet *packet, __u8 next)
{
	struct ipv6_opt_hdr header;
	int error;

	for (int i = 0; i <= EXTENSION_HEADERS_MAX; i++) {
		switch (next) {
		case IPPROTO_HOPOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
		case IPPROTO_AH:
			break;
		case IPPROTO_FRAGMENT:
			error = skip_fragment(skb, packet, &next);
			if (error)
				return error;
			if (!(packet->flags & PACKET_LATER_FRAGMENT))
				continue;
			packet->tuple.protocol = next;
			return 0;
		default:
			packet->tuple.protocol = next;
			return 0;
		}
		if (load_header(skb, packet, &header, sizeof(header)))
			return -DROP_MALFORMED;
		packet->l4_offset += next == IPPROTO_AH ? (header.hdrlen + 2) * 4 :
							  (header.hdrlen + 1) * 8;
		next = header.nexthdr;
	}
	return -DROP_MALFORMED;
}

static __always_inline int parse_ipv6(struct __sk_buff *skb, struct packet *packet, int inner)
{
	struct ipv6hdr ip;
	__u32 length, room;
	int error;

	if (bpf_skb_load_bytes(skb, packet->l3_offset, &ip, sizeof(ip)))
		return -DROP_MALFORMED;
	if (ip.version != 6)
		return -DROP_MALFORMED;
	set_ipv6(&packet->tuple.source, &ip.saddr);
	set_ipv6(&packet->tuple.destination, &ip.daddr);
	packet->flags |= PACKET_IPV6;
	packet->ttl = ip.hop_limit;
	packet->l4_offset = packet->l3_offset + sizeof(ip);
	packet->end = skb->len;
	if (!inner) {
		length = bpf_ntohs(ip.payload_len);
		room = skb->len - packet->l4_offset;
		if (!length && room > IP_LENGTH_MAX)
			length = room;
		if (length > room)
			return -DROP_MALFORMED;
		packet->end = packet->l4_offset + length;
	}
	error = skip_extensions(skb, packet, ip.nexthdr);
	if (error || packet->flags & PACKET_LATER_FRAGMENT)
		return error;
	return parse_l4(skb, packet, inner);
}

/* Neighbour discovery is only genuine with a hop limit that no router has touched. */
static __always_inline int is_neighbour_discovery(const struct packet *packet)
{
	return packet->tuple.protocol == IPPROTO_ICMPV6 && packet->ttl == 255 &&
	       packet->icmp_type >= ND_ROUTER_SOLICIT && packet->icmp_type <= ND_REDIRECT;
}

/* Returns an enum packet_class, or a negative enum drop_reason. */
static __always_inline int parse(struct __sk_buff *skb, struct packet *packet)
{
	int error;

	packet->l3_offset = ETH_HLEN;
	if (skb->vlan_present)
		return -DROP_UNSUPPORTED_L2;
	switch (skb->protocol) {
	case bpf_htons(ETH_P_IP):
		error = parse_ipv4(skb, packet, 0);
		break;
	case bpf_htons(ETH_P_IPV6):
		error = parse_ipv6(skb, packet, 0);
		break;
	case bpf_htons(ETH_P_ARP):
		return CLASS_ARP;
	default:
		return -DROP_UNSUPPORTED_L2;
	}
	if (error)
		return error;
	/* Nobody who is honest sends these in parts, and what they speak about may be cut off. */
	if (packet->flags & PACKET_FRAGMENT &&
	    (packet->flags & PACKET_ICMP_ERROR || is_neighbour_discovery(packet)))
		return -DROP_FRAGMENT;
	if (is_neighbour_discovery(packet))
		return CLASS_NEIGHBOUR;
	return is_link_local_group(&packet->tuple.destination) ? CLASS_LINK_LOCAL : CLASS_IP;
}

/*
 * The flow that an ICMP error speaks about, as a packet of it that goes the error's way, with the
 * places of the headers that are quoted. Those must have come from whom the error is sent to.
 */
static __always_inline int parse_quoted(struct __sk_buff *skb, const struct packet *error,
					struct packet *flow)
{
	struct address sender;
	__be16 port;

	flow->l3_offset = error->l4_offset + sizeof(struct icmp_header);
	if (error->flags & PACKET_IPV6 ? parse_ipv6(skb, flow, 1) : parse_ipv4(skb, flow, 1))
		return 0;
	if (flow->flags & (PACKET_ICMP_ERROR | PACKET_LATER_FRAGMENT) ||
	    !same_address(&flow->tuple.source, &error->tuple.destination))
		return 0;
	sender = flow->tuple.source;
	flow->tuple.source = flow->tuple.destination;
	flow->tuple.destination = sender;
	port = flow->tuple.source_port;
	flow->tuple.source_port = flow->tuple.destination_port;
	flow->tuple.destination_port = port;
	flow->flags &= PACKET_IPV6;
	return 1;
}
