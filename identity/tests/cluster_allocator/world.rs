//! Several nodes and a collector over one store, where everything may happen in any order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use palisade_identity::{
    ClusterAllocator, Effect, FoundMaster, Identity, Judgement, LabelSet, Lock, Range, Request,
    RequestId, Response, StoreEvent, StoreKeys, StoreRevision, Ticket, UnusedMarks,
};

use super::store::{Lease, Store};

pub(crate) const NODES: usize = 3;
/// More than the label sets, so that there is room for what the collector has not seen yet.
const NUMBERS: u32 = 9;
const BASE: &str = "base";

/// The second is a prefix of the first, and of the third with a slash.
pub(crate) fn sets() -> Vec<LabelSet> {
    let texts: [&[&str]; 4] = [
        &["k8s:a=1", "k8s:b=2"],
        &["k8s:a=1"],
        &["k8s:a=1", "k8s:b/c=2"],
        &["k8s:zone=x"],
    ];
    texts
        .iter()
        .map(|texts| LabelSet::parse(*texts).unwrap())
        .collect()
}

pub(crate) fn keys(node: usize) -> StoreKeys {
    StoreKeys::new(BASE, &format!("n{node}")).unwrap()
}

pub(crate) struct World {
    pub(crate) store: Store<Tag>,
    pub(crate) nodes: Vec<Option<Node>>,
    /// Requests that were given up, or whose node is dead, and that may still be carried out.
    late: Vec<(Lease, Request)>,
    dead: Vec<Lease>,
    collector: Collector,
    pub(crate) outcomes: Outcomes,
}

/// What happened, to know that the test met it.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    pub(crate) made: usize,
    pub(crate) shared: usize,
    pub(crate) failed: usize,
    pub(crate) lost: usize,
    pub(crate) collected: usize,
}

pub(crate) type Tag = (usize, RequestId);

pub(crate) struct Node {
    pub(crate) allocator: ClusterAllocator,
    lease: Lease,
    requests: Vec<(RequestId, Request)>,
    responses: Vec<(RequestId, Response)>,
    watched: VecDeque<StoreEvent>,
    tickets: BTreeMap<Ticket, LabelSet>,
    retries: Vec<LabelSet>,
    /// References that somebody on the node has, with the number they were told.
    pub(crate) held: BTreeMap<LabelSet, (u64, Identity)>,
}

#[derive(Default)]
struct Collector {
    lease: Lease,
    marks: BTreeMap<Identity, UnusedMarks>,
    /// Found twice, about to be deleted.
    sentenced: Option<(Lock, Identity, StoreRevision)>,
}

impl World {
    pub(crate) fn new() -> Self {
        let mut store = Store::new(keys(0));
        let collector = Collector {
            lease: store.lease(),
            ..Collector::default()
        };
        let mut world = Self {
            store,
            nodes: (0..NODES).map(|_| None).collect(),
            late: Vec::new(),
            dead: Vec::new(),
            collector,
            outcomes: Outcomes::default(),
        };
        for at in 0..NODES {
            world.start(at);
        }
        world
    }

    pub(crate) fn start(&mut self, at: usize) {
        let range = Range::new(Identity::new(256), Identity::new(255 + NUMBERS)).unwrap();
        let lease = self.store.lease();
        let listed = self.store.masters().into_iter();
        let listed = listed.map(|(identity, labels, _)| StoreEvent::Master(identity, labels));
        self.nodes[at] = Some(Node {
            allocator: ClusterAllocator::new(keys(at), range, lease),
            lease,
            requests: Vec::new(),
            responses: Vec::new(),
            watched: listed.chain([StoreEvent::Synced]).collect(),
            tickets: BTreeMap::new(),
            retries: Vec::new(),
            held: BTreeMap::new(),
        });
    }

    /// A node dies; what it asked may still be carried out. Its lease stays until it expires.
    pub(crate) fn crash(&mut self, at: usize) {
        if let Some(node) = self.nodes[at].take() {
            self.late.extend(
                node.requests
                    .into_iter()
                    .map(|(_, request)| (node.lease, request)),
            );
            self.dead.push(node.lease);
        }
    }

    pub(crate) fn expire(&mut self) {
        if let Some(lease) = self.dead.pop() {
            self.store.expire(lease);
            self.settle();
        }
    }

    /// A node that lives loses its lease, and is told.
    pub(crate) fn lose_lease(&mut self, at: usize) {
        if let Some(node) = &mut self.nodes[at] {
            let lease = std::mem::replace(&mut node.lease, self.store.lease());
            self.store.expire(lease);
            node.allocator.handle(StoreEvent::LeaseLost);
            self.settle();
        }
    }

    pub(crate) fn allocate(&mut self, at: usize, labels: &LabelSet) {
        if let Some(node) = &mut self.nodes[at] {
            let ticket = node.allocator.allocate(labels);
            node.tickets.insert(ticket, labels.clone());
            self.settle();
        }
    }

    pub(crate) fn release(&mut self, at: usize, labels: &LabelSet) {
        if let Some(node) = &mut self.nodes[at]
            && let Some((count, _)) = node.held.get_mut(labels)
        {
            *count -= 1;
            if *count == 0 {
                node.held.remove(labels);
            }
            node.allocator.release(labels);
            self.settle();
        }
    }

    pub(crate) fn resync(&mut self, at: usize) {
        if let Some(node) = &mut self.nodes[at] {
            node.allocator.resync();
            self.settle();
        }
    }

    /// Carries out one request of a node, or pretends that it failed.
    pub(crate) fn execute(&mut self, at: usize, pick: usize, fault: Fault) {
        let Some(node) = &mut self.nodes[at] else {
            return;
        };
        if node.requests.is_empty() {
            return;
        }
        let (id, request) = node.requests.swap_remove(pick % node.requests.len());
        let lease = node.lease;
        // Whoever carries requests out repeats this one until it is done.
        let unlocks = matches!(request, Request::Unlock { .. });
        let response = match fault {
            _ if unlocks => self.store.execute(lease, (at, id), &request),
            Fault::None => self.store.execute(lease, (at, id), &request),
            Fault::Refused => Some(Response::Failed),
            Fault::Unanswered if matches!(request, Request::Lock { .. }) => Some(Response::Failed),
            Fault::Unanswered => {
                self.late.push((lease, request));
                Some(Response::Failed)
            }
        };
        if let (Some(response), Some(node)) = (response, &mut self.nodes[at]) {
            node.responses.push((id, response));
        }
        self.settle();
    }

    pub(crate) fn respond(&mut self, at: usize, pick: usize) {
        let Some(node) = &mut self.nodes[at] else {
            return;
        };
        if !node.responses.is_empty() {
            let (id, response) = node.responses.swap_remove(pick % node.responses.len());
            node.allocator.handle(StoreEvent::Answer(id, response));
            self.settle();
        }
    }

    pub(crate) fn watch(&mut self, at: usize) {
        if let Some(node) = &mut self.nodes[at]
            && let Some(event) = node.watched.pop_front()
        {
            node.allocator.handle(event);
            self.settle();
        }
    }

    pub(crate) fn retry(&mut self, at: usize) {
        if let Some(node) = &mut self.nodes[at]
            && let Some(labels) = node.retries.pop()
        {
            node.allocator.handle(StoreEvent::Retry(labels));
            self.settle();
        }
    }

    /// What was given up is carried out after all, and nobody hears of it.
    pub(crate) fn late(&mut self, pick: usize) {
        if !self.late.is_empty() {
            let (lease, request) = self.late.swap_remove(pick % self.late.len());
            if !matches!(request, Request::Lock { .. }) {
                self.store
                    .execute(lease, (usize::MAX, id_of_nobody()), &request);
            }
            self.settle();
        }
    }

    /// One step of the collector: it looks at a master, or deletes the one it has sentenced.
    pub(crate) fn collect(&mut self, pick: usize) {
        if let Some((lock, identity, revision)) = self.collector.sentenced.take() {
            let key = keys(0).master(identity);
            let same = self
                .store
                .keys
                .get(&key)
                .is_some_and(|entry| entry.revision == revision);
            if same && self.store.holds(&lock) {
                self.store.remove(&key);
                self.outcomes.collected += 1;
            }
            let lease = self.collector.lease;
            self.store.execute(
                lease,
                (usize::MAX, id_of_nobody()),
                &Request::Unlock { lock },
            );
            self.settle();
            return;
        }
        let masters = self.store.masters();
        if masters.is_empty() {
            return;
        }
        let (identity, labels, revision) = masters[pick % masters.len()].clone();
        let key = keys(0).lock(&labels);
        if !self.store.is_free(&key) {
            return;
        }
        let lease = self.collector.lease;
        let Some(Response::Locked(lock)) =
            self.store.lock(lease, (usize::MAX, id_of_nobody()), &key)
        else {
            return;
        };
        let listing: Vec<(String, String)> = self
            .store
            .keys
            .iter()
            .map(|(key, entry)| (key.clone(), entry.value.clone()))
            .collect();
        let pairs = listing
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()));
        let used = keys(0).used(&labels, pairs).contains(&identity);
        let marks = self.collector.marks.entry(identity).or_default();
        let found = FoundMaster {
            identity,
            revision,
            used,
        };
        let judgement = marks.judge(found);
        *marks = marks.round([found]).marks;
        if judgement == Judgement::Delete {
            self.collector.sentenced = Some((lock, identity, revision));
        } else {
            self.store.execute(
                lease,
                (usize::MAX, id_of_nobody()),
                &Request::Unlock { lock },
            );
        }
        self.settle();
    }

    /// Passes on what the store and the nodes have to say.
    fn settle(&mut self) {
        loop {
            for ((lease, (at, id)), response) in std::mem::take(&mut self.store.granted) {
                match self.nodes.get_mut(at).and_then(Option::as_mut) {
                    Some(node) if node.lease == lease => node.responses.push((id, response)),
                    // Granted to the dead, or to a lease that is over: it expires with the lease.
                    _ => {}
                }
            }
            for event in std::mem::take(&mut self.store.events) {
                for node in self.nodes.iter_mut().flatten() {
                    node.watched.push_back(event.clone());
                }
            }
            let mut quiet = true;
            for node in self.nodes.iter_mut().flatten() {
                while let Some(effect) = node.allocator.poll() {
                    quiet = false;
                    node.take(effect, &mut self.outcomes);
                }
            }
            if quiet && self.store.granted.is_empty() && self.store.events.is_empty() {
                break;
            }
        }
    }

    /// Everything that is under way comes to an end, without faults.
    pub(crate) fn finish(&mut self) {
        self.settle();
        while !self.dead.is_empty() {
            self.expire();
        }
        while !self.late.is_empty() {
            self.late(0);
        }
        self.finish_without_late();
    }

    pub(crate) fn finish_without_late(&mut self) {
        if self.collector.sentenced.is_some() {
            self.collect(0);
        }
        for _ in 0..2_000 {
            for at in 0..NODES {
                self.execute(at, 0, Fault::None);
                self.respond(at, 0);
                self.watch(at);
                self.retry(at);
            }
            if self.nodes.iter().flatten().all(Node::is_quiet) {
                return;
            }
        }
        panic!("the nodes do not come to rest");
    }

    /// No number has two label sets, no label set two numbers, and the store says the same.
    pub(crate) fn check(&self) {
        let mut numbers: BTreeMap<&LabelSet, Identity> = BTreeMap::new();
        let mut labels_of: BTreeMap<Identity, &LabelSet> = BTreeMap::new();
        for (at, node) in self.nodes.iter().enumerate() {
            for (labels, (_, identity)) in node.iter().flat_map(|node| &node.held) {
                let known = *numbers.entry(labels).or_insert(*identity);
                assert_eq!(known, *identity, "two numbers of {labels}");
                let known = *labels_of.entry(*identity).or_insert(labels);
                assert_eq!(known, labels, "two label sets of {identity}");
                let value = |key: &str| self.store.keys.get(key).map(|entry| entry.value.clone());
                let master = value(&keys(at).master(*identity));
                assert_eq!(master, Some(labels.canonical_key()), "master of {identity}");
                let slave = value(&keys(at).slave(labels));
                assert_eq!(
                    slave,
                    Some(identity.to_string()),
                    "slave of {labels} on {at}"
                );
            }
        }
    }

    /// Numbers that slaves name.
    pub(crate) fn used(&self) -> BTreeSet<Identity> {
        let listing: Vec<(String, String)> = self
            .store
            .keys
            .iter()
            .map(|(key, entry)| (key.clone(), entry.value.clone()))
            .collect();
        let pairs = || {
            listing
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str()))
        };
        sets()
            .iter()
            .flat_map(|labels| keys(0).used(labels, pairs()))
            .collect()
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    None,
    /// It is not carried out.
    Refused,
    /// It may be carried out later.
    Unanswered,
}

impl Node {
    fn take(&mut self, effect: Effect, outcomes: &mut Outcomes) {
        match effect {
            Effect::Allocated {
                ticket,
                identity,
                allocation,
            } => {
                let labels = self.tickets.remove(&ticket).unwrap();
                let held = self.held.entry(labels).or_insert((0, identity));
                assert_eq!(held.1, identity);
                held.0 += 1;
                match allocation {
                    palisade_identity::Allocation::New => outcomes.made += 1,
                    _ => outcomes.shared += 1,
                }
            }
            Effect::Ask(id, request) => self.requests.push((id, request)),
            Effect::Failed { ticket, .. } => {
                outcomes.failed += 1;
                assert!(self.tickets.remove(&ticket).is_some());
            }
            Effect::Lost { labels, identity } => {
                outcomes.lost += 1;
                let (_, held) = self.held.remove(&labels).unwrap();
                assert_eq!(held, identity);
            }
            Effect::Retry { labels, .. } => self.retries.push(labels),
        }
    }

    fn is_quiet(&self) -> bool {
        let idle = self.requests.is_empty() && self.responses.is_empty();
        idle && self.watched.is_empty() && self.retries.is_empty() && self.tickets.is_empty()
    }
}

/// The number of a request whose answer nobody reads.
fn id_of_nobody() -> RequestId {
    let mut allocator = ClusterAllocator::new(keys(0), Range::CLUSTER, 0);
    allocator.handle(StoreEvent::Synced);
    allocator.allocate(&LabelSet::new());
    match allocator.poll() {
        Some(Effect::Ask(id, _)) => id,
        other => panic!("{other:?}"),
    }
}
