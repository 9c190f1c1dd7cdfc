//! What tests and the demo may have left on this machine.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::failure::Failure;

/// Where the testkit and the agent put what they make, with the names' beginnings.
const PLACES: [(&str, &str); 3] = [
    ("/run/netns", "pal-"),
    ("/run", "palisade-"),
    ("/sys/class/net", "pal"),
];

/// What stood there before.
pub(crate) struct Before(BTreeSet<String>);

impl Before {
    /// Looks around.
    pub(crate) fn look() -> Self {
        Self(found())
    }

    /// Fails if anything is there that was not there before, unless a process that still runs may
    /// be using it.
    pub(crate) fn compare(&self) -> Result<(), Failure> {
        let now = found();
        let new = now.difference(&self.0).filter(|path| !is_used(path));
        let left: Vec<&str> = new.map(String::as_str).collect();
        if left.is_empty() {
            println!("no namespace, mount, link or file was left behind");
            return Ok(());
        }
        Err(Failure::Finding(format!(
            "left behind: {}",
            left.join(", ")
        )))
    }
}

fn found() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (folder, beginning) in PLACES {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let ours = names.filter(|name| name.starts_with(beginning));
        found.extend(ours.map(|name| format!("{folder}/{name}")));
    }
    found
}

/// Whether a process that could own the name still runs: its number is one of the name's parts.
fn is_used(path: &str) -> bool {
    path.split(['-', '.', '/'])
        .filter(|part| part.parse::<u32>().is_ok_and(|number| number > 1))
        .any(|number| Path::new("/proc").join(number).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_belongs_to_the_process_in_it() {
        assert!(is_used(&format!(
            "/run/netns/pal-web-{}-0",
            std::process::id()
        )));
        assert!(!is_used("/run/netns/pal-web-4194999-0"));
    }
}
