/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The decision about a flow: from its entry while that is fresh, else from the tables, always in
 * the flow's original direction and with identities resolved afresh. A drop is never cached.
 */
#pragma once

#include "conntrack.h"
#include "event.h"
#include "policy.h"

/* Nothing tells yet who has authenticated, so nobody has. */
static __always_inline int wants_auth(struct verdict verdict)
{
	return verdict.action != ACTION_DENY && verdict.flags >> VERDICT_AUTH_SHIFT;
}

static __always_inline int deny(struct run *run, struct verdict verdict, __u16 endpoint,
				__u8 direction)
{
	run->denied = verdict;
	run->denied_endpoint = endpoint;
	run->denied_direction = direction;
	if (wants_auth(verdict))
		return DROP_AUTH_REQUIRED;
	if (verdict.action == ACTION_REDIRECT)
		return DROP_NO_PROXY;
	/* A zero record is the default deny of tables that nothing was written to. */
	if (verdict.flags & VERDICT_DEFAULT || !verdict.cookie)
		return DROP_POLICY;
	return DROP_POLICY_DENY;
}

static __always_inline int is_denied(struct verdict verdict)
{
	int passes = verdict.action == ACTION_ALLOW || verdict.action == ACTION_REDIRECT;

	return !(passes && !wants_auth(verdict)) && !is_audit();
}

/* Tells of a half that was decided in this run, and not so before. */
static __always_inline void tell(struct run *run, __u8 direction, __u16 endpoint,
				 struct verdict now)
{
	struct finding finding = {
		.kind = EVENT_VERDICT,
		.direction = direction,
		.endpoint = endpoint,
		.verdict = now,
	};

	if (now.action == ACTION_DENY || wants_auth(now))
		finding.flags = EVENT_FLAG_AUDITED;
	emit(run, &finding);
}

/* Whether a half must be decided in this run: asked for, and not standing from this generation. */
static __always_inline int must_decide(__u8 wanted, int stale, __u8 half,
				       const struct verdict *verdict)
{
	return wanted && (stale || half != HALF_DECIDED || verdict->action == ACTION_DENY);
}

static __always_inline void begin_entry(const struct run *run, struct ct_entry *entry)
{
	if (run->sender_is_high)
		entry->flags |= FLOW_ORIGINAL_IS_HIGH;
	if (carries_identity(run)) {
		entry->flags |= FLOW_SOURCE_FROM_MARK;
		entry->source_identity = mark_identity(run->mark);
	}
}

static __always_inline void set_identities(struct run *run, const struct ct_entry *entry)
{
	run->source_identity = run->reply ? entry->destination_identity : entry->source_identity;
	run->destination_identity = run->reply ? entry->source_identity :
						 entry->destination_identity;
}

/* What a redirected flow needs later: the port, and what to say if nobody listens there. */
static __always_inline void set_redirect(struct run *run, const struct ct_entry *entry)
{
	run->proxy_port = 0;
	if (!ct_is_redirected(entry))
		return;
	run->proxy_port = entry->egress.proxy_port;
	run->denied = entry->egress;
	run->denied_endpoint = run->endpoint;
	run->denied_direction = DIRECTION_EGRESS;
}

/* A decision under way. */
struct decision {
	struct ct_entry entry; /* as it is to be */
	const struct ct_entry *old; /* as it is; NULL for a new flow */
	__u32 port; /* index of port_class_v1 */
	__u8 wanted; /* enum need */
	__u8 stale;
	__u8 taken; /* enum need: decided in this run, then: to be told */
	__u8 pad;
};

static __always_inline int decide_egress(struct run *run, struct decision *decision,
					 __u16 source)
{
	const struct ct_entry *old = decision->old;
	struct ct_entry *entry = &decision->entry;
	union word word;

	if (!source || entry->flags & FLOW_SOURCE_FROM_MARK) {
		entry->egress_half = HALF_FOREIGN;
		return 0;
	}
	if (!must_decide(decision->wanted & NEED_EGRESS, decision->stale, entry->egress_half,
			 &entry->egress))
		return 0;
	word.raw = policy_verdict(source, DIRECTION_EGRESS, entry->destination_identity,
				  decision->port);
	if (is_denied(word.verdict))
		return deny(run, word.verdict, source, DIRECTION_EGRESS);
	/* What the proxy has begun it ends: the flow's state is in its socket. */
	if (old && ct_is_redirected(old) && word.verdict.action == ACTION_ALLOW) {
		word.verdict.action = ACTION_REDIRECT;
		word.verdict.proxy_port = old->egress.proxy_port;
	}
	entry->egress = word.verdict;
	entry->egress_half = HALF_DECIDED;
	decision->taken |= NEED_EGRESS;
	return 0;
}

static __always_inline int decide_ingress(struct run *run, struct decision *decision,
					  __u16 destination)
{
	struct ct_entry *entry = &decision->entry;
	union word word;

	/* The proxy's own leg is judged where it arrives. */
	if (!destination || ct_is_redirected(entry)) {
		entry->ingress_half = HALF_FOREIGN;
		return 0;
	}
	if (!must_decide(decision->wanted & NEED_INGRESS, decision->stale, entry->ingress_half,
			 &entry->ingress))
		return 0;
	word.raw = policy_verdict(destination, DIRECTION_INGRESS, entry->source_identity,
				  decision->port);
	/* Only what leaves an endpoint is handed to a proxy. */
	if (word.verdict.action == ACTION_REDIRECT || is_denied(word.verdict))
		return deny(run, word.verdict, destination, DIRECTION_INGRESS);
	entry->ingress = word.verdict;
	entry->ingress_half = HALF_DECIDED;
	decision->taken |= NEED_INGRESS;
	return 0;
}

/* The entry as it was, or a new one, and what of it must be decided. */
static __always_inline void begin_decision(const struct run *run, const struct ct_entry *old,
					   struct decision *decision)
{
	decision->old = old;
	decision->stale = !old || old->generation != run->generation;
	decision->wanted = old && decision->stale ? NEED_BOTH : run->needs;
	if (old)
		decision->entry = *old;
	else
		begin_entry(run, &decision->entry);
}

static __always_inline int same_verdict(const struct verdict *a, const struct verdict *b)
{
	return a->cookie == b->cookie && a->action == b->action &&
	       a->proxy_port == b->proxy_port && a->flags == b->flags;
}

/* Only a change is told. */
static __always_inline void forget_unchanged(struct decision *decision, const struct ct_entry *old)
{
	if (same_verdict(&old->egress, &decision->entry.egress))
		decision->taken &= ~NEED_EGRESS;
	if (same_verdict(&old->ingress, &decision->entry.ingress))
		decision->taken &= ~NEED_INGRESS;
}

static __always_inline long ct_store(const struct run *run, const struct ct_entry *entry)
{
	struct ct_key key = run->key;

	return bpf_map_update_elem(&conntrack_v1, &key, entry, BPF_ANY);
}

/* Decides what must be decided; returns 0 and leaves a proven entry, or a drop reason. */
__noinline int decide(struct run *run, const struct ct_entry *old)
{
	struct endpoint_record *source, *destination;
	const struct address *from, *to;
	struct decision decision = {};
	struct ct_entry *entry = &decision.entry;
	__u16 sends, receives;
	int reason, high;

	if (!run)
		return DROP_POLICY;
	begin_decision(run, old, &decision);
	high = entry->flags & FLOW_ORIGINAL_IS_HIGH;
	from = high ? &run->key.high : &run->key.low;
	to = high ? &run->key.low : &run->key.high;
	decision.port = port_index(run->key.protocol,
				   bpf_ntohs(high ? run->key.low_port : run->key.high_port));
	source = endpoint_of(from);
	destination = endpoint_of(to);
	if (!(entry->flags & FLOW_SOURCE_FROM_MARK))
		entry->source_identity = identity_of(from, source);
	entry->destination_identity = identity_of(to, destination);
	set_identities(run, entry);

	sends = judge_at(source, entry->source_identity);
	receives = judge_at(destination, entry->destination_identity);
	reason = decide_egress(run, &decision, sends);
	if (!reason)
		reason = decide_ingress(run, &decision, receives);
	if (reason)
		return reason;

	if (old)
		forget_unchanged(&decision, old);
	entry->generation = run->generation;
	if (!run->related)
		ct_account(entry, run);
	/* A whole new entry: a reader never meets one half of the old decision and one of the new. */
	if (ct_store(run, entry))
		return DROP_CT_FULL;
	if (decision.taken & NEED_EGRESS)
		tell(run, DIRECTION_EGRESS, sends, entry->egress);
	if (decision.taken & NEED_INGRESS)
		tell(run, DIRECTION_INGRESS, receives, entry->ingress);
	set_redirect(run, entry);
	return 0;
}

/* The flow's decision for this packet: 0, or a drop reason. */
static __always_inline int judge(struct run *run, struct ct_entry *entry)
{
	if (!entry)
		return decide(run, NULL);
	run->reply = ct_is_reply(run, entry);
	if (entry->generation != run->generation || !ct_is_proven(entry, run->needs))
		return decide(run, entry);
	set_identities(run, entry);
	if (!run->related)
		ct_account(entry, run);
	set_redirect(run, entry);
	return 0;
}

/* An ICMP error belongs to the flow it speaks about, if that is known here. */
__noinline int find_related(struct __sk_buff *skb, struct run *run)
{
	struct packet flow = {};

	if (!run || !parse_quoted(skb, &run->packet, &flow))
		return 0;
	ct_set_key(run, &flow.tuple);
	run->related = 1;
	if (ct_lookup(run))
		return 1;
	run->related = 0;
	return 0;
}

/* The entry of the packet's flow, with the run's key set to it; NULL for a new flow. */
static __always_inline struct ct_entry *find_flow(struct __sk_buff *skb, struct run *run)
{
	struct tuple *tuple = &run->packet.tuple;
	struct ct_entry *entry;

	if (run->packet.flags & PACKET_ICMP_ERROR && find_related(skb, run))
		return ct_lookup(run);
	ct_set_key(run, tuple);
	entry = ct_lookup(run);
	if (entry || !(run->packet.flags & PACKET_ECHO_REPLY))
		return entry;
	/* A reply that nobody asked for is a message of its own type. */
	tuple->source_port = 0;
	tuple->destination_port = bpf_htons(run->packet.icmp_type);
	ct_set_key(run, tuple);
	return ct_lookup(run);
}
