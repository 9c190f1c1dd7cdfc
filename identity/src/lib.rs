//! Labels, selectors, security identities and the ipcache.
