//! What the kernel can do, found by trying.

use std::fmt;

use crate::sys;

/// Features that programs or loader choose by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Features {
    /// Links of tcx hooks (6.6); filters of clsact stand in.
    pub tcx: bool,
}

impl Features {
    /// Asks the kernel; changes nothing.
    pub fn probe() -> Self {
        Self {
            tcx: sys::has_tcx(),
        }
    }
}

/// Something that the kernel has or lacks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Feature {
    /// What it is called.
    pub name: &'static str,
    /// What it is for, or what stands in for it.
    pub purpose: &'static str,
    /// Whether the programs can be without.
    pub need: Need,
    /// Whether it was found.
    pub found: bool,
}

/// Whether the programs can be without a feature.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Need {
    /// Something stands in.
    Optional,
    /// Nothing does.
    Required,
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = match (self.found, self.need) {
            (true, _) => "yes",
            (false, Need::Optional) => "no",
            (false, Need::Required) => "MISSING",
        };
        write!(f, "{:<24} {found:<8} {}", self.name, self.purpose)
    }
}

/// Helpers that the programs call.
const HELPERS: [(libbpf_sys::bpf_func_id, &str, &str); 6] = [
    (
        libbpf_sys::BPF_FUNC_sk_assign,
        "bpf_sk_assign",
        "hands a flow to a proxy",
    ),
    (
        libbpf_sys::BPF_FUNC_skc_lookup_tcp,
        "bpf_skc_lookup_tcp",
        "finds the proxy's connections",
    ),
    (
        libbpf_sys::BPF_FUNC_redirect_peer,
        "bpf_redirect_peer",
        "delivers past the host's stack",
    ),
    (
        libbpf_sys::BPF_FUNC_ringbuf_reserve,
        "bpf_ringbuf_reserve",
        "tells of drops and verdicts",
    ),
    (
        libbpf_sys::BPF_FUNC_ktime_get_coarse_ns,
        "bpf_ktime_get_coarse_ns",
        "ages connections",
    ),
    (
        libbpf_sys::BPF_FUNC_csum_diff,
        "bpf_csum_diff",
        "answers neighbour discovery",
    ),
];

/// Kinds of maps that the tables are.
const MAPS: [(libbpf_sys::bpf_map_type, &str, &str); 4] = [
    (
        libbpf_sys::BPF_MAP_TYPE_ARRAY_OF_MAPS,
        "array of maps",
        "pages of identities",
    ),
    (
        libbpf_sys::BPF_MAP_TYPE_LPM_TRIE,
        "prefix map",
        "identities of prefixes",
    ),
    (
        libbpf_sys::BPF_MAP_TYPE_LRU_HASH,
        "LRU hash",
        "connections and fragments",
    ),
    (
        libbpf_sys::BPF_MAP_TYPE_RINGBUF,
        "ring buffer",
        "tells of drops and verdicts",
    ),
];

/// What the programs and the loader use of the kernel, each found by trying it.
///
/// Takes root, without which a kernel seems to have little. Nothing stays behind.
pub fn features() -> Vec<Feature> {
    let helpers = HELPERS.iter().map(|&(helper, name, purpose)| Feature {
        name,
        purpose,
        need: Need::Required,
        found: sys::has_helper(helper),
    });
    let maps = MAPS.iter().map(|&(kind, name, purpose)| Feature {
        name,
        purpose,
        need: Need::Required,
        found: sys::has_map(kind),
    });
    let tcx = Feature {
        name: "tcx",
        purpose: "links of programs to devices; filters of clsact stand in",
        need: Need::Optional,
        found: sys::has_tcx(),
    };
    helpers.chain(maps).chain([tcx]).collect()
}
