//! Veth pairs between namespaces.

use std::time::Duration;

use crate::{Error, Namespace, wait_for};

/// One end of a veth pair.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// Where it stands.
    pub namespace: &'a Namespace,
    /// Its name there, up to 15 characters.
    pub name: &'a str,
    /// Its addresses with prefix lengths: `10.0.0.1/24`, `fd00::1/64`.
    pub addresses: &'a [&'a str],
}

/// Makes a pair with both ends up and addressed; it goes when one of its namespaces goes.
///
/// Addresses are usable at once: duplicate address detection is left out.
///
/// # Errors
/// What `ip` said, as [`Error::Failed`].
pub fn pair(one: &End<'_>, other: &End<'_>) -> Result<(), Error> {
    one.namespace.ip(&format!(
        "link add {} type veth peer name {} netns {}",
        one.name,
        other.name,
        other.namespace.path().display()
    ))?;
    for end in [one, other] {
        for address in end.addresses {
            let nodad = if address.contains(':') { "nodad" } else { "" };
            end.namespace
                .ip(&format!("address add {address} dev {} {nodad}", end.name))?;
        }
        end.namespace
            .sysctl(&format!("net.ipv6.conf.{}.accept_dad", end.name), "0")?;
        end.namespace.ip(&format!("link set {} up", end.name))?;
    }
    [one, other].into_iter().try_for_each(wait_until_running)
}

/// A veth whose ends have equal numbers carries packets only up to a second after both are up.
fn wait_until_running(end: &End<'_>) -> Result<(), Error> {
    let command = format!("link show {}", end.name);
    let is_running = || {
        end.namespace
            .ip(&command)
            .is_ok_and(|it| it.contains("state UP"))
    };
    let waited = wait_for("the link", PATIENCE, is_running);
    waited.map_err(|timeout| Error::Failed {
        command: format!("ip {command}"),
        output: timeout.to_string(),
    })
}

/// How long a link may take to carry packets.
const PATIENCE: Duration = Duration::from_secs(5);
