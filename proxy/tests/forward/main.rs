//! The proxy by itself, without privilege, between clients and a server on loopback.

#[cfg(test)]
#[path = "../lab/mod.rs"]
mod lab;

#[cfg(test)]
const WAITING: palisade_proxy::Waiting = palisade_proxy::Waiting::Ring;

#[cfg(test)]
mod bounds;
#[cfg(test)]
mod exchange;
#[cfg(test)]
mod hold;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod refusal;
#[cfg(test)]
mod stream;
