/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counters. Twin of abi/src/counter.rs. */
#pragma once

#include <linux/types.h>

/* Elements of counters_v1, indexed by enum drop_reason. */
enum counter_index {
	COUNTER_PASSED = 0,
	COUNTER_LOST_EVENTS = 63, /* events that found the ring full */
	COUNTER_ELEMENTS = 64,
};

struct counter {
	__u64 packets;
	__u64 bytes;
};
_Static_assert(sizeof(struct counter) == 16, "struct counter");
