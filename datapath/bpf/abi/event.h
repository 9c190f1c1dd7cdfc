/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Records of the event ring. Twin of abi/src/event.rs. */
#pragma once

#include "address.h"
#include "policy.h"

enum event_kind {
	EVENT_DROP = 1,
	EVENT_VERDICT = 2,
};

enum event_flag {
	EVENT_FLAG_IPV6 = 1,
	EVENT_FLAG_REPLY = 2, /* the packet goes against the flow's original direction */
	EVENT_FLAG_AUDITED = 4, /* policy denied the packet, audit mode let it pass */
};

struct raw_event {
	__u64 time; /* nanoseconds of the monotonic clock */
	__u8 kind; /* enum event_kind */
	__u8 reason; /* enum drop_reason */
	__u8 direction; /* enum direction */
	__u8 protocol;
	__u8 flags; /* enum event_flag */
	__u8 tcp_flags;
	__u16 endpoint; /* whose side decided */
	__u32 source_identity; /* of the packet */
	__u32 destination_identity;
	struct verdict verdict; /* that decided; zero where no policy was asked */
	struct address source; /* of the packet */
	struct address destination;
	__be16 source_port; /* ICMP: the echo identifier at the asking end */
	__be16 destination_port; /* ICMP: the type, as policy sees it, at the other end */
	__u32 ifindex;
	__u32 length;
	__u32 pad;
};
_Static_assert(sizeof(struct raw_event) == 80, "struct raw_event");
