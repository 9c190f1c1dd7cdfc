//! Namespaces and packets for tests.
