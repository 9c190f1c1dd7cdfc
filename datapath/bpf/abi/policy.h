/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The decision tables (D1). Twin of abi/src/policy.rs and of PortIndex in abi/src/number.rs. */
#pragma once

#include <linux/types.h>

enum policy_size {
	IDENTITY_PAGES = 1024, /* a larger identity is unknown */
	IDENTITY_PAGE_LEN = 65536,
	PORT_INDEXES = 3 * 65536 + 2 * 256 + 256,
};

/* A wide row has a slot for each block of port classes; what these do not speak for follows. */
enum row_form {
	ROW_BLOCK = 16, /* classes in a block */
	ROW_BLOCKS = 4096, /* slots of blocks, before those of single classes */
	ROW_WIDE = 0x10000, /* in the fallback of a row that has them */
};

/* Where each protocol starts in port_class_v1. */
enum port_index {
	PORT_INDEX_TCP = 0,
	PORT_INDEX_UDP = 0x10000,
	PORT_INDEX_SCTP = 0x20000,
	PORT_INDEX_ICMP = 0x30000,
	PORT_INDEX_ICMPV6 = 0x30100,
	PORT_INDEX_OTHER = 0x30200,
};

enum direction {
	DIRECTION_INGRESS = 0,
	DIRECTION_EGRESS = 1,
};

enum action {
	ACTION_DENY = 0,
	ACTION_ALLOW = 1,
	ACTION_REDIRECT = 2,
};

enum verdict_flag {
	VERDICT_LOG = 1,
	VERDICT_DEFAULT = 2, /* a deny that no rule asked for */
	VERDICT_AUTH_SHIFT = 4, /* from here on: the authentication asked for, 0 for none */
};

/* A word of an identity page: the classes of one identity; 0 is the unknown class. */
struct peer_classes {
	__u32 ingress;
	__u32 egress;
};
_Static_assert(sizeof(struct peer_classes) == 8, "struct peer_classes");

/* A policy's rows by peer class, or a row's verdicts by port class. */
struct line {
	__u32 base; /* where its exceptions start; the owner that its slots name */
	__u32 fallback; /* what it holds where it has no exception; a row's may say ROW_WIDE */
};
_Static_assert(sizeof(struct line) == 8, "struct line");

struct slot {
	__u32 owner;
	__u32 value; /* a row, or a verdict with, in a block's slot, a bit above it for each class */
};
_Static_assert(sizeof(struct slot) == 8, "struct slot");

struct verdict {
	__u32 cookie; /* leads to the rule that decided */
	__u16 proxy_port; /* host order; 0 unless the action is redirect */
	__u8 action; /* enum action */
	__u8 flags; /* enum verdict_flag */
};
_Static_assert(sizeof(struct verdict) == 8, "struct verdict");
