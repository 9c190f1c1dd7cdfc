/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Addresses. Twin of abi/src/address.rs. */
#pragma once

#include <linux/types.h>

/* 16 bytes in network order; IPv4 is IPv4-mapped (::ffff:a.b.c.d). */
struct address {
	__be32 words[4];
};
_Static_assert(sizeof(struct address) == 16, "struct address");
