//! The policies of the shop, as they stand in `examples/demo/policies`.

use std::fs;
use std::path::Path;

use crate::error::Error;

macro_rules! policies {
    ($($name:literal),*) => {
        [$(($name, include_str!(concat!("../../../demo/policies/", $name)))),*]
    };
}

/// The files; `egress-domain-wildcard.yaml` is the seed policy, unchanged.
const FILES: [(&str, &str); 7] = policies![
    "cart.yaml",
    "db.yaml",
    "egress-domain-wildcard.yaml",
    "kube-dns.yaml",
    "monitor.yaml",
    "pay.yaml",
    "web.yaml"
];

/// The policy that is changed while connections are open.
pub(crate) const CHANGED: &str = "pay.yaml";

/// Writes all of them into a folder.
pub(crate) fn write(folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(Error::io("the folder of policies"))?;
    for (name, text) in FILES {
        fs::write(folder.join(name), text).map_err(Error::io(name))?;
    }
    Ok(())
}

/// The text of the changed policy that no longer names the cart.
pub(crate) fn without_cart() -> String {
    let text = FILES
        .iter()
        .find(|(name, _)| *name == CHANGED)
        .map(|(_, text)| *text);
    text.unwrap_or_default().replace("[web, cart]", "[web]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_change_takes_the_cart_out_and_nothing_else() {
        let before = FILES.iter().find(|(name, _)| *name == CHANGED).unwrap().1;
        let after = without_cart();
        assert!(before.contains("cart") && !after.contains("cart"));
        assert_eq!(before.lines().count(), after.lines().count());
    }
}
