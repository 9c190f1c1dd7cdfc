//! The eBPF programs of a node, their loader, maps and events.
