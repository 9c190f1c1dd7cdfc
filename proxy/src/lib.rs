//! A transparent DNS proxy that enforces rules per query.
