/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Why a packet was dropped. Twin of abi/src/drop_reason.rs, which says what each means. */
#pragma once

enum drop_reason {
	DROP_UNSUPPORTED_L2 = 1,
	DROP_MALFORMED = 2,
	DROP_INVALID_SOURCE = 3,
	DROP_NO_ENDPOINT = 4,
	DROP_POLICY = 5,
	DROP_POLICY_DENY = 6,
	DROP_FRAGMENT = 7,
	DROP_CT_FULL = 8,
	DROP_TTL_EXCEEDED = 9,
	DROP_NO_PROXY = 10,
	DROP_PROXY_LEG = 11,
	DROP_FORGED_SOURCE = 12,
	DROP_AUTH_REQUIRED = 13,
	DROP_NAT_NO_PORT = 14,
	DROP_NAT_PROTOCOL = 15,
	DROP_UNKNOWN_NODE = 16,
	DROP_INVALID_IDENTITY = 17,
	DROP_NO_TUNNEL = 18,
};
