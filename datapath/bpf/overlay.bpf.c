// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The two programs of the overlay's device, which takes packets from node to node through tunnels.
 *
 *   from_overlay  tcx ingress: packets that came out of a tunnel
 *   to_overlay    tcx egress: packets that are to go into one
 *
 * Invariants: only nodes of the cluster are believed, about addresses that are behind them; nobody
 * comes as the host or as nobody; ingress policy of an endpoint is decided here when the packet is
 * delivered straight to it, else in to_container. No packet goes on to a third machine.
 */
#include <linux/bpf.h>
#include <linux/if_packet.h>

#include "lib/arrive.h"
#include "lib/fragment.h"
#include "lib/leave.h"
#include "lib/tunnel.h"

/* The source identity that the packet carries, or 0 if it may not. */
static __always_inline __u32 carried_identity(const struct run *run, __u32 identity)
{
	if (identity == IDENTITY_HOST)
		return 0;
	if (identity != IDENTITY_WORLD)
		return identity;
	return run->packet.flags & PACKET_IPV6 ? config.world_ipv6 : config.world_ipv4;
}

/* Whether the source is an address of ours, or behind another node than the packet came from. */
__noinline int is_forged(const struct run *run, const struct address *node)
{
	const struct address *source, *behind;

	if (!run || !node)
		return 1;
	source = &run->packet.tuple.source;
	if (endpoint_of(source) || is_host(source))
		return 1;
	behind = tunnel_to(source);
	return behind && !same_address(behind, node);
}

static __always_inline int from_overlay_ip(struct __sk_buff *skb, struct run *run)
{
	struct address *to = &run->packet.tuple.destination;
	struct address node = {};
	struct endpoint_record *endpoint;
	__u32 identity;
	int reason;

	if (decapsulated(skb, &node, &identity) || ipcache_identity(&node) != IDENTITY_REMOTE_NODE)
		return drop(run, DROP_UNKNOWN_NODE);
	identity = carried_identity(run, identity);
	if (!identity)
		return drop(run, DROP_INVALID_IDENTITY);
	if (is_forged(run, &node))
		return drop(run, DROP_FORGED_SOURCE);
	run->mark = mark_with_identity(MARK_OVERLAY, identity);
	run->source_identity = identity;
	run->now = seconds_now();
	endpoint = endpoint_of(to);
	if (!endpoint && !is_host(to))
		return drop(run, DROP_NO_ENDPOINT);
	if (run->packet.flags & PACKET_FRAGMENT) {
		reason = track_fragment(run);
		if (reason)
			return drop(run, reason);
	}
	/* Link addresses mean nothing in a tunnel. */
	bpf_skb_change_type(skb, PACKET_HOST);
	if (endpoint && !config.redirect_peer)
		skb->mark |= run->mark;
	if (endpoint)
		return arrive_at_endpoint(skb, run, endpoint);
	return config.host_endpoint ? arrive_at_host(skb, run) : pass(run);
}

SEC("tc")
int from_overlay(struct __sk_buff *skb)
{
	struct run run = {};
	int class;

	begin(&run, skb, DIRECTION_INGRESS, 0);
	class = parse(skb, &run.packet);
	if (class == CLASS_IP)
		return from_overlay_ip(skb, &run);
	/* There are no neighbours in a tunnel. */
	return class < 0 ? drop(&run, -class) : TC_ACT_SHOT;
}

/* Judges what nobody has judged, and says who sends it: 0, or a drop reason. */
static __always_inline int judge_departure(struct __sk_buff *skb, struct run *run,
					   __u32 *identity)
{
	struct endpoint_record *source = endpoint_of(&run->packet.tuple.source);
	__u32 kind = run->mark & MARK_KIND_MASK;

	if (kind == MARK_ANSWER) {
		*identity = IDENTITY_REMOTE_NODE;
		return 0;
	}
	if (source) {
		run->endpoint = source->id;
		*identity = source->identity;
		if (kind == MARK_PROXY_FORWARD) {
			*identity = mark_identity(run->mark);
			return judge_proxy(run, find_departure(skb, run));
		}
		return kind == MARK_IDENTITY ? 0 : DROP_FORGED_SOURCE;
	}
	*identity = ipcache_identity(&run->packet.tuple.source);
	if (*identity != IDENTITY_HOST || !config.host_endpoint)
		return 0;
	run->endpoint = config.host_endpoint;
	return judge_host(skb, run);
}

static __always_inline int to_overlay_ip(struct __sk_buff *skb, struct run *run)
{
	__u32 identity = 0;
	int reason;

	run->now = seconds_now();
	if (run->packet.flags & PACKET_FRAGMENT) {
		reason = track_fragment(run);
		if (reason)
			return drop(run, reason);
	}
	reason = judge_departure(skb, run, &identity);
	if (reason)
		return drop(run, reason);
	if (enter_tunnel(skb, run, identity) != TUNNEL_ENTERED)
		return drop(run, DROP_NO_TUNNEL);
	return pass(run);
}

SEC("tc")
int to_overlay(struct __sk_buff *skb)
{
	struct run run = {};
	int class;

	begin(&run, skb, DIRECTION_EGRESS, skb->mark);
	/* from_container has said where to. */
	if ((run.mark & MARK_KIND_MASK) == MARK_OVERLAY) {
		skb->mark |= MARK_OVERLAY;
		return TC_ACT_OK;
	}
	class = parse(skb, &run.packet);
	if (class == CLASS_IP)
		return to_overlay_ip(skb, &run);
	return class < 0 ? drop(&run, -class) : TC_ACT_SHOT;
}

char _license[] SEC("license") = "Dual BSD/GPL";
