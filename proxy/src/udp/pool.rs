//! Sockets towards servers and the queries under way on them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use palisade_abi::{Identity, Mark};

use crate::asked::Asked;
use crate::deadlines::Deadlines;
use crate::entropy::Entropy;
use crate::policy::Outcome;
use crate::socket;

/// All sockets towards servers, each for one client identity and one server.
///
/// A query goes out of one of a few sockets, chosen at random, under a random id, so that whoever
/// wants to forge an answer has to guess both port and id. Sockets are replaced after a while.
#[derive(Debug)]
pub(crate) struct Pool {
    limit: usize,
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
    retired: bool,
}

/// One query under way; the ticket tells it from a later one under the same id.
#[derive(Clone, Copy, Debug)]
struct Flight {
    token: Token,
    id: u16,
    ticket: u64,
}

/// What a readable socket had to say.
#[derive(Debug)]
pub(crate) enum Received {
    /// An answer to a query that waited.
    Answer(Box<Asked>, Vec<u8>),
    /// Something that no query waits for.
    Mismatch,
    /// Nothing more.
    Nothing,
    /// The server does not listen; none of these will be answered.
    Unreachable(Vec<Asked>),
}

impl Pool {
    pub(crate) fn new(limit: usize, in_flight: usize) -> io::Result<Self> {
        Ok(Self {
            limit: limit.max(1),
            entropy: Entropy::open()?,
            sockets: HashMap::new(),
            open: HashMap::new(),
            per_identity: HashMap::new(),
            waits: Deadlines::new(in_flight),
            last_token: FIRST_TOKEN,
            last_ticket: 0,
        })
    }

    /// Sends a query to its server; gives it back, with the reason, where that is impossible.
    pub(crate) fn send(
        &mut self,
        mut asked: Box<Asked>,
        mark: Option<Mark>,
        due: Instant,
        epoll: &Epoll,
    ) -> Result<(), (Box<Asked>, Outcome)> {
        let route = Route {
            identity: asked.identity,
            server: asked.origin.server,
        };
        let token = match self.choose(route, mark, epoll) {
            Ok(token) => token,
            Err(outcome) => return Err((asked, outcome)),
        };
        let place = self.sockets.get_mut(&token);
        let place = place.and_then(|u| Some((free_id(&mut self.entropy, &u.waiting)?, u)));
        let Some((id, upstream)) = place else {
            return Err((asked, Outcome::Overload));
        };
        let message = asked.under_id(id);
        // The first error may be owed to an earlier query, whose rejection by the server came back.
        if upstream
            .socket
            .send(message)
            .or_else(|_| upstream.socket.send(message))
            .is_err()
        {
            return Err((asked, Outcome::Unreachable));
        }
        self.last_ticket += 1;
        let flight = Flight {
            token,
            id,
            ticket: self.last_ticket,
        };
        upstream.sent += 1;
        upstream.waiting.insert(id, (flight.ticket, asked));
        let sockets = &self.sockets;
        self.waits
            .push(due, flight, |flight| is_waiting(sockets, flight));
        Ok(())
    }

    /// Takes one datagram from a socket.
    pub(crate) fn receive(&mut self, token: Token, buffer: &mut [u8]) -> Received {
        let Some(upstream) = self.sockets.get_mut(&token) else {
            return Received::Nothing;
        };
        let message = match upstream.socket.recv(buffer) {
            Ok(len) => buffer.get(..len).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Received::Nothing,
            Err(_) => {
                let lost = upstream
                    .waiting
                    .drain()
                    .map(|(_, (_, asked))| *asked)
                    .collect();
                return Received::Unreachable(lost);
            }
        };
        let id = message
            .first_chunk()
            .map_or(0, |id| u16::from_be_bytes(*id));
        match upstream.waiting.entry(id) {
            Entry::Occupied(waiting) if waiting.get().1.is_answered_by(message) => {
                Received::Answer(waiting.remove().1, message.to_vec())
            }
            Entry::Occupied(_) | Entry::Vacant(_) => Received::Mismatch,
        }
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
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.waits.next()
    }

    /// Closes the sockets that have served their time.
    pub(crate) fn sweep(&mut self, now: Instant) {
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
            self.close(token);
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
        epoll: &Epoll,
    ) -> Result<Token, Outcome> {
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
        let opened = if self.make_room(route.identity) {
            self.open(route, mark, epoll)
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
    fn make_room(&mut self, identity: Identity) -> bool {
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
        self.close(token);
        true
    }

    fn open(&mut self, route: Route, mark: Option<Mark>, epoll: &Epoll) -> io::Result<Token> {
        let socket = socket::udp_upstream(route.server, mark)?;
        self.last_token += 1;
        let token = Token(self.last_token);
        epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, token.0))?;
        let opened = Instant::now();
        let waiting = HashMap::new();
        let upstream = Upstream {
            socket,
            route,
            waiting,
            opened,
            sent: 0,
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

    fn close(&mut self, token: Token) {
        // The kernel forgets the descriptor's events as it is closed.
        let Some(upstream) = self.sockets.remove(&token) else {
            return;
        };
        if let Entry::Occupied(mut used) = self.per_identity.entry(upstream.route.identity) {
            *used.get_mut() -= 1;
            if *used.get() == 0 {
                used.remove();
            }
        }
    }
}

impl Upstream {
    fn is_worn(&self, now: Instant) -> bool {
        self.sent >= QUERIES_PER_SOCKET || now.duration_since(self.opened) >= SOCKET_LIFETIME
    }
}

impl Token {
    /// The socket that an event tells of, unless it is one of the loop's own numbers.
    pub(crate) fn of_event(data: u64) -> Option<Self> {
        (data > FIRST_TOKEN).then_some(Self(data))
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

/// Events below belong to the loop itself.
const FIRST_TOKEN: u64 = 1 << 32;
/// Sockets that a route's queries spread over.
const PLACES: usize = 4;
const QUERIES_PER_SOCKET: usize = 512;
const SOCKET_LIFETIME: Duration = Duration::from_secs(10);
