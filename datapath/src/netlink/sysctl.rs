use std::fs;
use std::path::PathBuf;

use super::Error;

/// Sets a kernel setting of the calling thread's network namespace: `ipv4/ip_forward`.
///
/// The name is a path below `net`, so that device names may hold dots.
///
/// # Errors
/// [`Error::Sysctl`].
pub fn set_sysctl(name: &str, value: &str) -> Result<(), Error> {
    // /proc/sys/net shows the namespace of the thread that opens it.
    let path = PathBuf::from("/proc/sys/net").join(name);
    fs::write(path, value).map_err(|source| Error::Sysctl {
        name: name.into(),
        value: value.into(),
        source,
    })
}
