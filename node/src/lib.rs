//! The pure core of a node: events in, ordered plans out.
