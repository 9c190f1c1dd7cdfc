//! What tests and the demo may have left on this machine.

use std::fs;
use std::path::Path;

use crate::failure::Failure;

/// Where the testkit and the demo put what they make, with the generated names' beginnings.
const PLACES: [(&str, &str); 2] = [("/run/netns", "pal-"), ("/run", "palisade-")];

/// Fails if anything made by a process that has ended is still there.
pub(crate) fn check() -> Result<(), Failure> {
    let mut left = Vec::new();
    for (folder, beginning) in PLACES {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let ended = names.filter(|name| name.starts_with(beginning) && !is_running(name));
        left.extend(ended.map(|name| format!("{folder}/{name}")));
    }
    if left.is_empty() {
        println!("no namespace, mount or file was left behind");
        return Ok(());
    }
    Err(Failure::Finding(format!(
        "left behind: {}",
        left.join(", ")
    )))
}

/// Whether a process that could own the name still runs: its number is one of the name's parts.
fn is_running(name: &str) -> bool {
    name.split(['-', '.'])
        .filter(|part| part.parse::<u32>().is_ok_and(|number| number > 1))
        .any(|number| Path::new("/proc").join(number).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_belongs_to_the_process_in_it() {
        assert!(is_running(&format!("pal-web-{}-0", std::process::id())));
        assert!(!is_running("pal-web-4194999-0"));
        assert!(!is_running("palisade-node"));
    }
}
