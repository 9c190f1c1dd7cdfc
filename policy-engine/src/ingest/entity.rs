//! Entities: names for peers without pods' labels.

use palisade_identity::Selector;

use super::scope::{Scope, reserved};
use crate::options::Level;
use crate::rule::Entity;

/// The entities that a document may name, in the words it uses.
pub(super) fn words(level: Level) -> &'static [(&'static str, Entity)] {
    match level {
        Level::Agent => &WORDS,
        // The schema of the resource does not list the two families of the world, which are last.
        Level::Cluster => WORDS.split_at(WORDS.len() - 2).0,
    }
}

const WORDS: [(&str, Entity); Entity::ALL.len()] = [
    word(Entity::All),
    word(Entity::Cluster),
    word(Entity::Health),
    word(Entity::Host),
    word(Entity::Ingress),
    word(Entity::Init),
    word(Entity::KubeApiserver),
    word(Entity::None),
    word(Entity::RemoteNode),
    word(Entity::Unmanaged),
    word(Entity::World),
    word(Entity::WorldIpv4),
    word(Entity::WorldIpv6),
];

const fn word(entity: Entity) -> (&'static str, Entity) {
    (entity.name(), entity)
}

/// The selectors of an entity, of which one must match; `None` for everybody.
pub(super) fn selectors(entity: Entity, scope: &Scope) -> Option<Vec<Selector>> {
    let names: &[&str] = match entity {
        Entity::All => return None,
        Entity::Cluster => &[
            "host",
            "remote-node",
            "init",
            "ingress",
            "health",
            "unmanaged",
            "kube-apiserver",
        ],
        Entity::Health => &["health"],
        Entity::Host => &["host"],
        Entity::Ingress => &["ingress"],
        Entity::Init => &["init"],
        Entity::KubeApiserver => &["kube-apiserver"],
        Entity::None => &[],
        Entity::RemoteNode => &["remote-node"],
        Entity::Unmanaged => &["unmanaged"],
        Entity::World => &["world", "world-ipv4", "world-ipv6"],
        Entity::WorldIpv4 => &["world-ipv4"],
        Entity::WorldIpv6 => &["world-ipv6"],
    };
    let mut selectors: Vec<Selector> = names.iter().filter_map(|name| reserved(name)).collect();
    if entity == Entity::Cluster {
        selectors.push(scope.local_cluster());
    }
    Some(selectors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;
    use crate::rule::{Kind, ResourceName};

    #[test]
    fn an_entity_becomes_as_many_peers_as_printing_counts() {
        let resource = ResourceName {
            kind: Kind::Rules,
            namespace: None,
            name: "rules".into(),
        };
        let scope = Scope::new(resource, &Options::default()).expect("the names are valid");
        for entity in Entity::ALL {
            let count = selectors(entity, &scope).map_or(0, |selectors| selectors.len());
            assert_eq!(count, entity.selector_count(), "{entity}");
        }
    }

    #[test]
    fn the_schema_knows_every_entity_but_the_two_families_of_the_world() {
        let (agent, cluster) = (words(Level::Agent), words(Level::Cluster));
        assert_eq!(agent, Entity::ALL.map(word));
        assert_eq!(agent.split_at(11).0, cluster);
        assert_eq!(agent.last(), Some(&("world-ipv6", Entity::WorldIpv6)));
    }
}
