// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Hands a client's DNS packets to the proxy as the datapath does, and nothing else: the test of the
 * proxy's sockets wants no policy. Hook: tc ingress of the link to the client. PORT is the proxy's.
 *
 * Written without headers, so that it builds wherever clang is.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

struct __sk_buff {
	u32 before_mark[2];
	u32 mark;
	u32 queue_mapping;
	u32 protocol;
	u32 before_data[14];
	u32 data;
	u32 data_end;
};

struct tuple4 {
	u32 saddr, daddr;
	u16 sport, dport;
};

struct tuple6 {
	u32 saddr[4], daddr[4];
	u16 sport, dport;
};

struct ipv4 {
	u8 eth[14];
	u8 version_ihl, tos;
	u16 len, id, frag;
	u8 ttl, protocol;
	u16 check;
	u32 saddr, daddr;
	u16 sport, dport;
} __attribute__((packed));

struct ipv6 {
	u8 eth[14];
	u32 version_flow;
	u16 len;
	u8 protocol, hops;
	u32 saddr[4], daddr[4];
	u16 sport, dport;
} __attribute__((packed));

#define OK 0
#define SHOT 2
#define TO_PROXY 0x0200
#define TCP 6
#define UDP 17
#define BE16(x) ((u16)((((x) & 0xff) << 8) | ((x) >> 8)))
#define BE32(x) __builtin_bswap32(x)
#define THIS_NETNS ((u64)-1)

static void *(*sk_lookup_udp)(void *skb, void *tuple, u32 len, u64 netns, u64 flags) = (void *)85;
static long (*sk_release)(void *sk) = (void *)86;
static void *(*skc_lookup_tcp)(void *skb, void *tuple, u32 len, u64 netns, u64 flags) = (void *)99;
static long (*sk_assign)(void *skb, void *sk, u64 flags) = (void *)124;

/* An established connection finds its socket by itself once it is routed here. */
static __attribute__((always_inline)) int is_established(struct __sk_buff *skb, void *tuple, u32 len)
{
	void *sk = skc_lookup_tcp(skb, tuple, len, THIS_NETNS, 0);

	if (!sk)
		return 0;
	sk_release(sk);
	return 1;
}

static __attribute__((always_inline)) int assign(struct __sk_buff *skb, void *tuple, u32 len, u8 protocol)
{
	void *sk;
	long failed;

	if (protocol == TCP)
		sk = skc_lookup_tcp(skb, tuple, len, THIS_NETNS, 0);
	else
		sk = sk_lookup_udp(skb, tuple, len, THIS_NETNS, 0);
	if (!sk)
		return SHOT;
	failed = sk_assign(skb, sk, 0);
	sk_release(sk);
	return failed ? SHOT : OK;
}

__attribute__((section("tc"), used)) int redirect(struct __sk_buff *skb)
{
	void *data = (void *)(u64)skb->data, *end = (void *)(u64)skb->data_end;
	struct ipv4 *v4 = data;
	struct ipv6 *v6 = data;

	if (skb->protocol == BE16(0x0800) && (void *)(v4 + 1) <= end) {
		struct tuple4 t = { v4->saddr, v4->daddr, v4->sport, v4->dport };
		u8 protocol = v4->protocol;

		if ((protocol != TCP && protocol != UDP) || t.dport != BE16(53))
			return OK;
		skb->mark = TO_PROXY;
		if (protocol == TCP && is_established(skb, &t, sizeof(t)))
			return OK;
		t.daddr = BE32(0x7f000001);
		t.dport = BE16(PORT);
		return assign(skb, &t, sizeof(t), protocol);
	}
	if (skb->protocol == BE16(0x86dd) && (void *)(v6 + 1) <= end) {
		struct tuple6 t = {
			{ v6->saddr[0], v6->saddr[1], v6->saddr[2], v6->saddr[3] },
			{ v6->daddr[0], v6->daddr[1], v6->daddr[2], v6->daddr[3] },
			v6->sport, v6->dport,
		};
		u8 protocol = v6->protocol;

		if ((protocol != TCP && protocol != UDP) || t.dport != BE16(53))
			return OK;
		skb->mark = TO_PROXY;
		if (protocol == TCP && is_established(skb, &t, sizeof(t)))
			return OK;
		t.daddr[0] = t.daddr[1] = t.daddr[2] = 0;
		t.daddr[3] = BE32(1);
		t.dport = BE16(PORT);
		return assign(skb, &t, sizeof(t), protocol);
	}
	return OK;
}

__attribute__((section("license"), used)) char _license[] = "GPL";
