//! Flows: what happened to which packet, and which rule decided.
