//! Sockets towards servers and the queries under way on them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::mem;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use palisade_abi::{Identity, Mark};

use crate::asked::Asked;
use crate::deadlines::Deadlines;
use crate::entropy::Entropy;
use crate::policy::Outcome;
use crate::socket;
use crate::sys::{self, BATCH, Inbox, Leaving, Parcel};
use crate::udp::wait::Waiter;

/// All sockets towards servers, each for one client identity and one server.
///
/// A query goes out of one of a few sockets, chosen at random, under a random id, so that whoever
/// wants to forge an answer has to guess both port and id. Queries to one server that come together
/// share the socket, and leave together. Sockets are replaced after a while.
#[derive(Debug)]
pub(crate) struct Pool {
    limit: usize,
    /// The sockets with queries that have not left yet.
    unsent: Vec<Token>,
    entropy: Entropy,
    sockets: HashMap<Token, Upstream>,
    /// The sockets that take new queries.
    open: HashMap<Route, Vec<Token>>,
    per_identity: HashMap<Identity, usize>,
    waits: Deadlines<Flight>,
    last_token: u64,
    last_ticket: u64,
}

/// Names one socket, never reused.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Token(u64);

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Route {
    identity: Identity,
    server: SocketAddr,
}

#[derive(Debug)]
struct Upstream {
    socket: UdpSocket,
    route: Route,
    waiting: HashMap<u16, (u64, Box<Asked>)>,
    opened: Instant,
    sent: usize,
    /// The ids of queries that have not left yet.
    unsent: Vec<u16>,
    /// Whether the server turned out not to listen.
    unreachable: bool,
    retired: bool,
}

/// One query under way; the ticket tells it from a later one under the same id.
#[derive(Clone, Copy, Debug)]
struct Flight {
    token: Token,
    id: u16,
    ticket: u64,
}

impl Pool {
    pub(crate) fn new(limit: usize, in_flight: usize) -> io::Result<Self> {
        Ok(Self {
            limit: limit.max(1),
            unsent: Vec::new(),
            entropy: Entropy::open()?,
            sockets: HashMap::new(),
            open: HashMap::new(),
            per_identity: HashMap::new(),
            waits: Deadlines::new(in_flight),
            last_token: FIRST_TOKEN,
            last_ticket: 0,
        })
    }

    /// Gives a query a socket and an id, to leave with [`flush`](Self::flush); gives it back, with
    /// the reason, where that is impossible.
    pub(crate) fn send(
        &mut self,
        mut asked: Box<Asked>,
        mark: Option<Mark>,
        due: Instant,
        waiter: &mut Waiter,
    ) -> Result<(), (Box<Asked>, Outcome)> {
        let route = Route {
            identity: asked.identity,
            server: asked.origin.server,
        };
        let token = match self.choose(route, mark, waiter) {
            Ok(token) => token,
            Err(outcome) => return Err((asked, outcome)),
        };
        let place = self.sockets.get_mut(&token);
        let place = place.and_then(|u| Some((free_id(&mut self.entropy, &u.waiting)?, u)));
        let Some((id, upstream)) = place else {
            return Err((asked, Outcome::Overload));
        };
        asked.set_id(id);
        self.last_ticket += 1;
        let flight = Flight {
            token,
            id,
            ticket: self.last_ticket,
        };
        upstream.sent += 1;
        upstream.waiting.insert(id, (flight.ticket, asked));
        if upstream.unsent.is_empty() {
            self.unsent.push(token);
        }
        upstream.unsent.push(id);
        let sockets = &self.sockets;
        self.waits
            .push(due, flight, |flight| is_waiting(sockets, flight));
        Ok(())
    }

    /// Sends what has been given a socket. Gives back what could not leave.
    pub(crate) fn flush(&mut self) -> Vec<Asked> {
        let mut failed = Vec::new();
        for token in self.unsent.drain(..) {
            if let Some(upstream) = self.sockets.get_mut(&token) {
                upstream.flush(&mut failed);
            }
        }
        failed
    }

    /// What [`flush`](Self::flush) would send, for someone else to; whose business
    /// [`left`](Self::left) is then.
    pub(crate) fn leaving(&self) -> Vec<Leaving<'_>> {
        let sockets = self.unsent.iter();
        let sockets = sockets.filter_map(|token| self.sockets.get(token));
        sockets.flat_map(Upstream::leaving).collect()
    }

    /// What has left has left, but for the queries in these places, in ascending order. Gives back
    /// what could not leave.
    pub(crate) fn left(&mut self, unsent: &[usize]) -> Vec<Asked> {
        let mut failed = Vec::new();
        let mut places = 0..;
        for token in self.unsent.drain(..) {
            if let Some(upstream) = self.sockets.get_mut(&token) {
                let mut ids = mem::take(&mut upstream.unsent);
                ids.retain(|id| upstream.waiting.contains_key(id));
                let again = ids.into_iter().zip(&mut places);
                upstream.unsent = again
                    .filter(|(_, place)| unsent.binary_search(place).is_ok())
                    .map(|(id, _)| id)
                    .collect();
                // An error may be owed to earlier queries, whose rejection came back.
                upstream.flush(&mut failed);
            }
        }
        failed
    }

    /// Takes datagrams from a socket. Says how many.
    pub(crate) fn receive(&mut self, token: Token, inbox: &mut Inbox) -> usize {
        let Some(upstream) = self.sockets.get_mut(&token) else {
            return 0;
        };
        match inbox.receive(&upstream.socket) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => {
                upstream.unreachable = true;
                0
            }
        }
    }

    /// The query that a message from a socket answers.
    pub(crate) fn answered(&mut self, token: Token, message: &[u8]) -> Option<Box<Asked>> {
        let upstream = self.sockets.get_mut(&token)?;
        let id = u16::from_be_bytes(*message.first_chunk()?);
        match upstream.waiting.entry(id) {
            Entry::Occupied(waiting) if waiting.get().1.is_answered_by(message) => {
                Some(waiting.remove().1)
            }
            Entry::Occupied(_) | Entry::Vacant(_) => None,
        }
    }

    /// Notes that the server does not listen.
    pub(crate) fn set_unreachable(&mut self, token: Token) {
        if let Some(upstream) = self.sockets.get_mut(&token) {
            upstream.unreachable = true;
        }
    }

    /// The queries that will not be answered, if the server turned out not to listen.
    pub(crate) fn lost(&mut self, token: Token) -> Vec<Asked> {
        let upstream = self.sockets.get_mut(&token);
        let Some(upstream) = upstream.filter(|upstream| upstream.unreachable) else {
            return Vec::new();
        };
        upstream.unreachable = false;
        let waiting = upstream.waiting.drain();
        waiting.map(|(_, (_, asked))| *asked).collect()
    }

    /// Takes the next query that has waited long enough.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<Box<Asked>> {
        while let Some(flight) = self.waits.pop(now) {
            let upstream = self.sockets.get_mut(&flight.token);
            let waiting = upstream.map(|upstream| upstream.waiting.entry(flight.id));
            if let Some(Entry::Occupied(waiting)) = waiting
                && waiting.get().0 == flight.ticket
            {
                return Some(waiting.remove().1);
            }
        }
        None
    }

    /// When [`expire`](Self::expire) has something to do at the earliest.
    pub(crate) fn next_expiry(&mut self) -> Option<Instant> {
        let sockets = &self.sockets;
        self.waits.next(|flight| is_waiting(sockets, flight))
    }

    /// Closes the sockets that have served their time.
    pub(crate) fn sweep(&mut self, now: Instant, waiter: &mut Waiter) {
        let worn = self
            .sockets
            .iter()
            .filter(|(_, upstream)| upstream.is_worn(now));
        for token in worn.map(|(token, _)| *token).collect::<Vec<_>>() {
            self.retire(token);
        }
        let done = self
            .sockets
            .iter()
            .filter(|(_, u)| u.retired && u.waiting.is_empty());
        for token in done.map(|(token, _)| *token).collect::<Vec<_>>() {
            self.close(token, waiter);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// A socket for a new query: one of a route's places at random, filled at first use.
    fn choose(
        &mut self,
        route: Route,
        mark: Option<Mark>,
        waiter: &mut Waiter,
    ) -> Result<Token, Outcome> {
        let unsent = self.unsent.last().copied();
        let same = |token: &Token| {
            let upstream = self.sockets.get(token);
            upstream.is_some_and(|upstream| upstream.route == route && !upstream.is_full())
        };
        if let Some(token) = unsent.filter(same) {
            return Ok(token);
        }
        let place = self.entropy.next().map_err(|_| Outcome::Unreachable)?;
        let tokens = self.open.get(&route).map(Vec::as_slice).unwrap_or_default();
        if let Some(token) = tokens.get(usize::from(place) % PLACES).copied() {
            if !self
                .sockets
                .get(&token)
                .is_some_and(|upstream| upstream.is_worn(Instant::now()))
            {
                return Ok(token);
            }
            self.retire(token);
        }
        let opened = if self.make_room(route.identity, waiter) {
            self.open(route, mark, waiter)
                .map_err(|_| Outcome::Unreachable)
        } else {
            Err(Outcome::Overload)
        };
        // Short of sockets, a query is less hard to forge an answer to, but it is answered.
        let other = self
            .open
            .get(&route)
            .and_then(|tokens| tokens.first())
            .copied();
        opened.or_else(|outcome| other.ok_or(outcome))
    }

    /// Sees to it that one more socket is within the limits, closing an idle one if need be.
    fn make_room(&mut self, identity: Identity, waiter: &mut Waiter) -> bool {
        let share = (self.limit / 4).max(1);
        let over_share = self
            .per_identity
            .get(&identity)
            .is_some_and(|used| *used >= share);
        if !over_share && self.sockets.len() < self.limit {
            return true;
        }
        let idle = self.sockets.iter().find(|(_, upstream)| {
            upstream.waiting.is_empty() && (!over_share || upstream.route.identity == identity)
        });
        let Some(token) = idle.map(|(token, _)| *token) else {
            return false;
        };
        self.retire(token);
        self.close(token, waiter);
        true
    }

    fn open(&mut self, route: Route, mark: Option<Mark>, waiter: &mut Waiter) -> io::Result<Token> {
        let socket = socket::udp_upstream(route.server, mark)?;
        self.last_token += 1;
        let token = Token(self.last_token);
        waiter.attend(&socket, token.0)?;
        let opened = Instant::now();
        let waiting = HashMap::new();
        let upstream = Upstream {
            socket,
            route,
            waiting,
            opened,
            sent: 0,
            unsent: Vec::new(),
            unreachable: false,
            retired: false,
        };
        self.sockets.insert(token, upstream);
        self.open.entry(route).or_default().push(token);
        *self.per_identity.entry(route.identity).or_default() += 1;
        Ok(token)
    }

    /// Gives a socket no more queries.
    fn retire(&mut self, token: Token) {
        let Some(upstream) = self.sockets.get_mut(&token) else {
            return;
        };
        upstream.retired = true;
        if let Entry::Occupied(mut open) = self.open.entry(upstream.route) {
            open.get_mut().retain(|other| *other != token);
            if open.get().is_empty() {
                open.remove();
            }
        }
    }

    fn close(&mut self, token: Token, waiter: &mut Waiter) {
        let Some(upstream) = self.sockets.remove(&token) else {
            return;
        };
        // A ring that can take no more ends the thread as it is used next.
        waiter.forget(token.0).ok();
        if let Entry::Occupied(mut used) = self.per_identity.entry(upstream.route.identity) {
            *used.get_mut() -= 1;
            if *used.get() == 0 {
                used.remove();
            }
        }
    }
}

impl Upstream {
    fn leaving(&self) -> impl Iterator<Item = Leaving<'_>> {
        let waiting = self.unsent.iter().filter_map(|id| self.waiting.get(id));
        waiting.map(|(_, asked)| Leaving {
            socket: self.socket.as_fd(),
            parcel: Parcel {
                message: asked.message(),
                target: None,
                source: None,
            },
        })
    }

    fn flush(&mut self, failed: &mut Vec<Asked>) {
        let ids = mem::take(&mut self.unsent);
        if ids.is_empty() {
            return;
        }
        let parcel = |id: &u16| {
            let (_, asked) = self.waiting.get(id)?;
            Some(Parcel {
                message: asked.message(),
                target: None,
                source: None,
            })
        };
        let parcels: Vec<_> = ids.iter().filter_map(parcel).collect();
        let (mut sent, mut error) = sys::send(&self.socket, &parcels);
        if error.is_some() {
            // The first error may be owed to earlier queries, whose rejection came back.
            let rest = parcels.get(sent..).unwrap_or_default();
            let (more, again) = sys::send(&self.socket, rest);
            (sent, error) = (sent + more, again);
        }
        drop(parcels);
        if error.is_some() {
            let unsent = ids.iter().skip(sent);
            let unsent = unsent.filter_map(|id| self.waiting.remove(id));
            failed.extend(unsent.map(|(_, asked)| *asked));
        }
    }

    fn is_full(&self) -> bool {
        self.unsent.len() >= BATCH
    }

    fn is_worn(&self, now: Instant) -> bool {
        self.sent >= QUERIES_PER_SOCKET || now.duration_since(self.opened) >= SOCKET_LIFETIME
    }
}

impl Token {
    /// The socket that a key stands for, unless it is one of the loop's own numbers.
    pub(crate) fn of_key(key: u64) -> Option<Self> {
        (key > FIRST_TOKEN).then_some(Self(key))
    }
}

fn is_waiting(sockets: &HashMap<Token, Upstream>, flight: &Flight) -> bool {
    let waiting = sockets
        .get(&flight.token)
        .and_then(|upstream| upstream.waiting.get(&flight.id));
    waiting.is_some_and(|(ticket, _)| *ticket == flight.ticket)
}

fn free_id(entropy: &mut Entropy, waiting: &HashMap<u16, (u64, Box<Asked>)>) -> Option<u16> {
    // A socket has few queries under way, so that the first draw is nearly always free.
    (0..16).find_map(|_| entropy.next().ok().filter(|id| !waiting.contains_key(id)))
}

/// Keys below belong to the loop itself.
const FIRST_TOKEN: u64 = 1 << 32;
/// Sockets that a route's queries spread over. They are as many in every thread, because one thread
/// alone may serve all the queries of a client.
const PLACES: usize = 4;
const QUERIES_PER_SOCKET: usize = 512;
const SOCKET_LIFETIME: Duration = Duration::from_secs(10);
