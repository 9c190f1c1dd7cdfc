//! DNS names, patterns, a wire view, a cache and the filter that decides a query.
