/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Events to user space, and the one way in which a packet is dropped. */
#pragma once

#include <linux/pkt_cls.h>

#include "../abi/drop_reason.h"
#include "identity.h"
#include "run.h"

/* What an event says beyond the packet. */
struct finding {
	struct verdict verdict;
	__u16 endpoint;
	__u8 kind; /* enum event_kind */
	__u8 reason; /* enum drop_reason */
	__u8 direction; /* enum direction */
	__u8 flags; /* enum event_flag */
	__u8 pad[2];
};

__noinline int emit(const struct run *run, const struct finding *finding)
{
	struct raw_event *event;

	if (!run || !finding)
		return 0;
	event = bpf_ringbuf_reserve(&events_v1, sizeof(*event), 0);
	if (!event) {
		count(COUNTER_LOST_EVENTS, run->length);
		return 0;
	}
	event->time = bpf_ktime_get_ns();
	event->kind = finding->kind;
	event->reason = finding->reason;
	event->direction = finding->direction;
	event->protocol = run->packet.tuple.protocol;
	event->flags = finding->flags | (run->packet.flags & PACKET_IPV6 ? EVENT_FLAG_IPV6 : 0) |
		       (run->reply ? EVENT_FLAG_REPLY : 0);
	event->tcp_flags = run->packet.tcp_flags;
	event->endpoint = finding->endpoint;
	event->source_identity = run->source_identity;
	event->destination_identity = run->destination_identity;
	event->verdict = finding->verdict;
	event->source = run->packet.tuple.source;
	event->destination = run->packet.tuple.destination;
	event->source_port = run->packet.tuple.source_port;
	event->destination_port = run->packet.tuple.destination_port;
	event->ifindex = run->ifindex;
	event->length = run->length;
	event->pad = 0;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/* A source that proved false lends its identity to no event; all else is resolved by address. */
static __always_inline void resolve_identities(struct run *run, __u32 reason)
{
	struct tuple *tuple = &run->packet.tuple;

	if (is_unspecified(&tuple->source) && is_unspecified(&tuple->destination))
		return;
	if (!run->source_identity && reason != DROP_INVALID_SOURCE && reason != DROP_FORGED_SOURCE)
		run->source_identity = identity_of(&tuple->source, endpoint_of(&tuple->source));
	if (!run->destination_identity)
		run->destination_identity =
			identity_of(&tuple->destination, endpoint_of(&tuple->destination));
}

/* Drops the packet: counted, told, and always for a reason. */
__noinline int drop(struct run *run, __u32 reason)
{
	struct finding finding = {
		.kind = EVENT_DROP,
		.reason = reason,
	};

	if (!run)
		return TC_ACT_SHOT;
	finding.direction = run->hook;
	finding.endpoint = run->endpoint;
	if (reason == DROP_POLICY || reason == DROP_POLICY_DENY || reason == DROP_NO_PROXY ||
	    reason == DROP_AUTH_REQUIRED) {
		finding.direction = run->denied_direction;
		finding.endpoint = run->denied_endpoint;
		finding.verdict = run->denied;
	}
	resolve_identities(run, reason);
	count(reason & (COUNTER_ELEMENTS - 1), run->length);
	emit(run, &finding);
	return TC_ACT_SHOT;
}
