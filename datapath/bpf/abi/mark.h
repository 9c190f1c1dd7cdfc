/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The packet mark (D4). Twin of abi/src/mark.rs.
 *
 * Kind in 0x0f00; the identity's low 16 bits in the high half, its bits 16 to 23 in the low byte;
 * 0xf000 belongs to others.
 */
#pragma once

#include <linux/types.h>

enum mark_kind {
	MARK_TO_PROXY = 0x0200,
	MARK_OVERLAY = 0x0400, /* into a tunnel, or out of one with the identity it carried */
	MARK_PROXY_RETURN = 0x0a00, /* from the proxy to the client it answers */
	MARK_PROXY_FORWARD = 0x0b00, /* from the proxy, in the name of the client it carries */
	MARK_ANSWER = 0x0c00, /* made by a program, to the sender of what it dropped */
	MARK_IDENTITY = 0x0f00, /* from an endpoint of this node */
};

#define MARK_KIND_MASK 0x0f00u
#define MARK_MASK 0xffff0fffu

static inline __u32 mark_with_identity(enum mark_kind kind, __u32 identity)
{
	return (__u32)kind | (identity & 0xffff) << 16 | (identity >> 16 & 0xff);
}

static inline __u32 mark_identity(__u32 mark)
{
	return mark >> 16 | (mark & 0xff) << 16;
}
