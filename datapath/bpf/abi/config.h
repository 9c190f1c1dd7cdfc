/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the loader fixes before a program is loaded. Twin of abi/src/config.rs. */
#pragma once

#include "address.h"

enum datapath_mode {
	MODE_ENFORCE = 0,
	MODE_AUDIT = 1, /* what policy denies passes, with an event that says so */
};

/* What the sender of a packet that policy denies is told. */
enum deny_answer {
	DENY_SILENT = 0,
	DENY_ICMP = 1, /* that it is prohibited */
	DENY_RESET = 2, /* TCP: a reset, else as DENY_ICMP */
};

struct datapath_config {
	__u32 policies; /* records of policy_line_v1 */
	__u32 row_slots; /* slots of row_slot_v1 */
	__u32 rows; /* records of row_line_v1 */
	__u32 cell_slots; /* slots of cell_slot_v1 */
	__u32 verdicts; /* records of verdict_v1 */
	__u32 mode; /* enum datapath_mode */
	__u32 world_ipv4; /* identity of an IPv4 address that the ipcache does not know */
	__u32 world_ipv6; /* the same for IPv6 */
	__u32 tcp_timeout; /* seconds */
	__u32 syn_timeout;
	__u32 close_timeout;
	__u32 other_timeout;
	__u32 redirect_peer; /* 1: deliver with bpf_redirect_peer, 0: through the stack */
	__u32 deny_answer; /* enum deny_answer */
	struct address node_ipv4; /* the node's address towards the network; zero if it has none */
	struct address node_ipv6;
	__u32 host_endpoint; /* whose policies are the host's own; 0 while it has none */
	__u32 masquerade; /* 1: to the world, endpoints speak with the node's address */
	__u32 nat_port_low; /* the ports that are given to them, */
	__u32 nat_port_high; /* this one included */
	__u32 overlay; /* the device of the tunnels to other nodes; 0 if there are none */
	__u32 overlay_port; /* the UDP port that nodes send them to */
};
_Static_assert(sizeof(struct datapath_config) == 112, "struct datapath_config");
