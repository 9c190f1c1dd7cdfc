// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The two programs of a device that leads to the network.
 *
 *   from_network  tcx ingress: packets from other machines
 *   to_network    tcx egress: packets that this node sends or forwards
 *
 * Invariants: nobody out there speaks with an address of this node or its endpoints; what leaves with
 * an endpoint's address came from it or from the proxy; ingress policy of an endpoint is decided here
 * when the packet is delivered straight to it, else in to_container. Packets between other machines
 * are passed as they are.
 */
#include <linux/bpf.h>

#include "lib/arrive.h"
#include "lib/fragment.h"
#include "lib/leave.h"
#include "lib/nat.h"
#include "lib/tunnel.h"

static __always_inline int is_node_address(const struct address *address)
{
	struct address node;

	node_address(&node, !is_ipv4(address));
	return same_address(&node, address);
}

static __always_inline int from_network_ip(struct __sk_buff *skb, struct run *run)
{
	struct address *to = &run->packet.tuple.destination;
	struct endpoint_record *endpoint;
	int to_host, found, reason = 0;

	if (endpoint_of(&run->packet.tuple.source) || is_host(&run->packet.tuple.source) ||
	    is_past_tunnel(run))
		return drop(run, DROP_FORGED_SOURCE);
	run->now = seconds_now();
	endpoint = endpoint_of(to);
	/* What it carries is judged when it has come out. */
	if (is_tunnel(run) && is_host(to))
		return pass(run);
	to_host = !endpoint && (config.masquerade || config.host_endpoint) && is_host(to);
	if (run->packet.flags & PACKET_FRAGMENT && (endpoint || to_host))
		reason = track_fragment(run);
	/* The host's stack can wait for a first fragment, unless it is to be judged here. */
	if (reason && (endpoint || config.host_endpoint))
		return drop(run, reason);
	if (to_host && !reason && config.masquerade && is_node_address(to)) {
		found = unmasquerade(skb, run);
		if (found < 0)
			return drop(run, -found);
		if (found)
			endpoint = endpoint_of(to);
		/* Its endpoint has gone. */
		if (found && !endpoint)
			return drop(run, DROP_NO_ENDPOINT);
	}
	if (endpoint)
		return arrive_at_endpoint(skb, run, endpoint);
	if (to_host && config.host_endpoint)
		return arrive_at_host(skb, run);
	return pass(run);
}

SEC("tc")
int from_network(struct __sk_buff *skb)
{
	struct run run = {};
	int class;

	begin(&run, skb, DIRECTION_INGRESS, 0);
	class = parse(skb, &run.packet);
	return class == CLASS_IP ? from_network_ip(skb, &run) : other_class(&run, class);
}

static __always_inline int leave_endpoint(struct __sk_buff *skb, struct run *run)
{
	struct ct_entry *entry = find_departure(skb, run);
	__u32 peer;
	int reason;

	if (is_proxy_forward(run)) {
		reason = judge_proxy(run, entry);
		if (reason)
			return drop(run, reason);
		entry = ct_lookup(run);
	}
	if (!config.masquerade || (entry && ct_is_reply(run, entry)))
		return pass(run);
	peer = entry ? entry->destination_identity :
		       ipcache_identity(&run->packet.tuple.destination);
	if (!is_world(peer))
		return pass(run);
	reason = masquerade(skb, run, entry);
	return reason ? drop(run, reason) : pass(run);
}

static __always_inline int to_network_ip(struct __sk_buff *skb, struct run *run)
{
	struct endpoint_record *source = endpoint_of(&run->packet.tuple.source);
	__u32 kind = run->mark & MARK_KIND_MASK;
	int from_host = !source && config.host_endpoint && is_host(&run->packet.tuple.source);
	int reason;

	if (kind == MARK_ANSWER || kind == MARK_OVERLAY || !(source || from_host))
		return pass(run);
	if (source && kind != MARK_IDENTITY && kind != MARK_PROXY_FORWARD)
		return drop(run, DROP_FORGED_SOURCE);
	run->endpoint = source ? source->id : config.host_endpoint;
	run->now = seconds_now();
	if (run->packet.flags & PACKET_FRAGMENT) {
		reason = track_fragment(run);
		if (reason)
			return drop(run, reason);
	}
	if (source)
		return leave_endpoint(skb, run);
	reason = judge_host(skb, run);
	return reason ? drop(run, reason) : pass(run);
}

SEC("tc")
int to_network(struct __sk_buff *skb)
{
	struct run run = {};
	int class;

	begin(&run, skb, DIRECTION_EGRESS, skb->mark);
	class = parse(skb, &run.packet);
	return class == CLASS_IP ? to_network_ip(skb, &run) : other_class(&run, class);
}

char _license[] SEC("license") = "Dual BSD/GPL";
