/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Fragments are judged one by one as packets of their flow. Only the first has ports, which are
 * remembered for the others; one whose first was not seen is dropped. A first fragment that is
 * denied is remembered too, and the others are denied for the same reason.
 */
#pragma once

#include "run.h"

/* How long the stack keeps an incomplete datagram. */
#define FRAGMENT_SECONDS 30

/* Remembers the ports of a first fragment, or gives them to a later one; 0 or a drop reason. */
__noinline int track_fragment(struct run *run)
{
	struct fragment_entry entry = {}, *known;
	struct fragment_key key = {};
	struct packet *packet;

	if (!run)
		return DROP_FRAGMENT;
	packet = &run->packet;
	key.source = packet->tuple.source;
	key.destination = packet->tuple.destination;
	key.id = packet->fragment_id;
	key.protocol = packet->fragment_protocol;
	if (packet->flags & PACKET_FIRST_FRAGMENT) {
		entry.expires = run->now + FRAGMENT_SECONDS;
		entry.source_port = packet->tuple.source_port;
		entry.destination_port = packet->tuple.destination_port;
		entry.protocol = packet->tuple.protocol;
		entry.flags = packet->flags & (PACKET_ICMP | PACKET_ECHO_REPLY);
		entry.icmp_type = packet->icmp_type;
		return bpf_map_update_elem(&fragments_v1, &key, &entry, BPF_ANY) ? DROP_FRAGMENT :
										   0;
	}
	known = bpf_map_lookup_elem(&fragments_v1, &key);
	if (!known || (__s32)(known->expires - run->now) <= 0)
		return DROP_FRAGMENT;
	packet->tuple.source_port = known->source_port;
	packet->tuple.destination_port = known->destination_port;
	packet->tuple.protocol = known->protocol;
	packet->flags |= known->flags;
	packet->icmp_type = known->icmp_type;
	return 0;
}
