// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The two programs of an endpoint's host-side veth.
 *
 *   from_container  tcx ingress: packets that the endpoint sends
 *   to_container    tcx egress: packets that the host's stack sends to the endpoint
 *
 * Invariants: a device without an endpoint record passes nothing; ingress policy is decided once,
 * in from_container when it delivers straight to the peer, else in to_container; a mark vouches for
 * the source only, and none that we set or got enters a namespace of an endpoint.
 */
#include <linux/bpf.h>

#include "lib/answer.h"
#include "lib/decide.h"
#include "lib/deliver.h"
#include "lib/fragment.h"
#include "lib/neighbour.h"
#include "lib/proxy.h"
#include "lib/tunnel.h"

/* For the loader to compare with its own; see src/layout.rs. */
struct abi_layouts {
	struct peer_classes peer_classes;
	struct policy_pair policy_pair;
	struct line line;
	struct slot slot;
	struct raw_event raw_event;
	enum datapath_mode mode;
	enum deny_answer deny_answer;
	enum policy_size policy_size;
	enum row_form row_form;
	enum port_index port_index;
	enum direction direction;
	enum action action;
	enum verdict_flag verdict_flag;
	enum ipcache_flag ipcache_flag;
	enum known_identity known_identity;
	enum ct_zone ct_zone;
	enum fragment_size fragment_size;
	enum half half;
	enum flow_flag flow_flag;
	enum counter_index counter_index;
	enum drop_reason drop_reason;
	enum mark_kind mark_kind;
	enum event_kind event_kind;
	enum event_flag event_flag;
};
const volatile struct abi_layouts *const volatile abi_layouts = NULL;

static __always_inline int from_container_ip(struct __sk_buff *skb, struct run *run)
{
	struct endpoint_record *source = endpoint_of(&run->packet.tuple.source);
	struct endpoint_record *destination;
	struct ct_entry *entry;
	int to_peer, reason;

	if (!source || source->ifindex != skb->ifindex)
		return drop(run, DROP_INVALID_SOURCE);
	run->endpoint = source->id;
	destination = endpoint_of(&run->packet.tuple.destination);
	to_peer = destination && config.redirect_peer;
	run->now = seconds_now();
	if (run->packet.flags & PACKET_FRAGMENT) {
		reason = track_fragment(run);
		if (reason)
			return drop(run, reason);
	}
	entry = find_flow(skb, run);
	if (destination)
		entry = ct_lookup_leg(run, entry);
	/* What goes to the host itself meets no other program. */
	if (to_peer || run->related ||
	    (config.host_endpoint && is_host(&run->packet.tuple.destination)))
		run->needs = NEED_BOTH;
	else
		run->needs = entry && ct_is_reply(run, entry) ? NEED_INGRESS : NEED_EGRESS;
	reason = judge(run, entry);
	if (reason)
		return refuse(skb, run, reason);
	/* The stack puts fragments together and forgets the socket that was chosen for one. */
	if (run->packet.flags & PACKET_FRAGMENT &&
	    (run->proxy_port || run->key.zone == ZONE_PROXY_LEG))
		return drop(run, DROP_FRAGMENT);
	if (run->key.zone == ZONE_PROXY_LEG)
		return return_to_proxy(skb, run);
	if (run->proxy_port)
		return run->reply ? drop(run, DROP_PROXY_LEG) : redirect_to_proxy(skb, run);
	if (to_peer)
		return deliver_to_peer(skb, run, destination);
	return destination ? pass_to_stack(skb, run, source->identity) :
			     pass_to_node(skb, run, source->identity);
}

SEC("tc")
int from_container(struct __sk_buff *skb)
{
	struct run run = {};
	int class;

	begin(&run, skb, DIRECTION_EGRESS, 0);
	class = parse(skb, &run.packet);
	switch (class) {
	case CLASS_IP:
		return from_container_ip(skb, &run);
	case CLASS_ARP:
		return answer_arp(skb, &run);
	case CLASS_NEIGHBOUR:
		return answer_neighbour(skb, &run);
	case CLASS_LINK_LOCAL:
		return TC_ACT_SHOT;
	default:
		return drop(&run, -class);
	}
}

static __always_inline int to_container_ip(struct __sk_buff *skb, struct run *run)
{
	struct endpoint_record *destination = endpoint_of(&run->packet.tuple.destination);
	__u32 kind = run->mark & MARK_KIND_MASK;
	struct ct_entry *entry;
	int local_source, reason;

	if (!destination || destination->ifindex != skb->ifindex)
		return drop(run, DROP_NO_ENDPOINT);
	run->endpoint = destination->id;
	if (kind == MARK_ANSWER)
		return pass(run);
	local_source = endpoint_of(&run->packet.tuple.source) != NULL;
	if (local_source && !is_vouched(kind))
		return drop(run, DROP_FORGED_SOURCE);
	run->now = seconds_now();
	if (run->packet.flags & PACKET_FRAGMENT) {
		reason = track_fragment(run);
		if (reason)
			return drop(run, reason);
	}
	entry = find_flow(skb, run);
	if (local_source && kind == MARK_PROXY_FORWARD) {
		run->key.zone = ZONE_PROXY_LEG;
		entry = ct_lookup(run);
	}
	if (kind == MARK_PROXY_RETURN && !(entry && ct_is_reply(run, entry)))
		return drop(run, DROP_PROXY_LEG);
	if (run->related || (config.host_endpoint && is_host(&run->packet.tuple.source)))
		run->needs = NEED_BOTH;
	else
		run->needs = entry && ct_is_reply(run, entry) ? NEED_EGRESS : NEED_INGRESS;
	reason = judge(run, entry);
	if (reason)
		return drop(run, reason);
	if (!run->related && !run->proxy_port != (kind != MARK_PROXY_RETURN))
		return drop(run, DROP_PROXY_LEG);
	return pass(run);
}

SEC("tc")
int to_container(struct __sk_buff *skb)
{
	struct run run = {};
	int class;

	begin(&run, skb, DIRECTION_INGRESS, skb->mark);
	class = parse(skb, &run.packet);
	switch (class) {
	case CLASS_IP:
		return to_container_ip(skb, &run);
	case CLASS_ARP:
	case CLASS_NEIGHBOUR:
		return pass(&run);
	case CLASS_LINK_LOCAL:
		return TC_ACT_SHOT;
	default:
		return drop(&run, -class);
	}
}

char _license[] SEC("license") = "Dual BSD/GPL";
