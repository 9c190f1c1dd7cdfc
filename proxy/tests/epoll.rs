//! The proxy where the kernel forbids `io_uring`: whatever concerns datagrams, once more.

#[cfg(test)]
#[expect(dead_code, reason = "shared with tests of streams")]
#[path = "lab/mod.rs"]
mod lab;

#[cfg(test)]
const WAITING: palisade_proxy::Waiting = palisade_proxy::Waiting::Epoll;

#[cfg(test)]
#[path = "forward/bounds.rs"]
mod bounds;
#[cfg(test)]
#[path = "forward/exchange.rs"]
mod exchange;
#[cfg(test)]
#[path = "forward/hold.rs"]
mod hold;
#[cfg(test)]
#[path = "forward/hostile.rs"]
mod hostile;
