/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the loader and the programs share while they run. Twin of abi/src/state.rs. */
#pragma once

#include <linux/types.h>

#include "policy.h"

/* The value of map state_v1. */
struct datapath_state {
	__u32 generation; /* bumped after the last write of a change */
	__u32 layout; /* LAYOUT_VERSION of the loader that made the maps */
	__u32 pages[IDENTITY_PAGES / 32]; /* the loader's note of which identity pages may stand */
};
_Static_assert(sizeof(struct datapath_state) == 136, "struct datapath_state");
