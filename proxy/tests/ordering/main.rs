//! No client meets a drop at an address that an answer has just told it.
//!
//! The proxy, the node's core that decides when an answer may go, and tables that are written
//! slowly, at random: a thousand clients ask at once for names that share addresses, and each
//! connects in the very thread that got its answer. With the gate switched off the same clients
//! meet drops, so that the test would notice one.

#[cfg(test)]
#[expect(dead_code, reason = "this test needs the messages and the server only")]
#[path = "../lab/mod.rs"]
mod lab;

#[cfg(test)]
const WAITING: palisade_proxy::Waiting = palisade_proxy::Waiting::Ring;

#[cfg(test)]
mod enforcer;

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, SocketAddr};
    use std::sync::{Arc, Barrier};
    use std::thread;
    use std::time::Duration;

    use palisade_proxy::{Proxy, Running};

    use crate::enforcer::{Gate, PODS, Random, Slow, ZONES, pod};
    use crate::lab::{A, Client, NOERROR, Server, answer, code, forward, query, question_end};

    const CLIENTS: usize = 1000;
    /// So few that most answers share theirs.
    const ADDRESSES: u8 = 120;

    const TRIES: usize = 10;

    #[test]
    fn a_thousand_clients_reach_what_their_answers_say() {
        let (dropped, proxy) = run(Gate::On, 1);
        assert_eq!(dropped, 0, "of {CLIENTS} clients");
        let stats = proxy.stats();
        assert_eq!(stats.late, 0);
        assert!(stats.released >= CLIENTS as u64);
        assert!(stats.held_longest > Duration::ZERO, "the wait is measured");
    }

    #[test]
    fn without_the_gate_clients_meet_drops() {
        let (dropped, _proxy) = run(Gate::Off, 2);
        assert!(dropped > 0, "nothing would be noticed");
    }

    /// Says how many clients could not reach an address that they were told.
    fn run(gate: Gate, seed: u64) -> (usize, Running) {
        let server = Server::new(Ipv4Addr::LOCALHOST, move |query, _| {
            let mut random = Random::new(seed ^ u64::from(query[15]) << 8 ^ u64::from(query[16]));
            let told = [(); 3].map(|()| address(random.below(u64::from(ADDRESSES))));
            vec![answer(query, &told)]
        });
        let (policy, tables) = Slow::start(gate, seed);
        let mut config = forward(server.address);
        // Nothing is to be late but what the gate lets through.
        config.timing.hold = Duration::from_secs(60);
        let proxy = Proxy::bind(config)
            .unwrap()
            .start(Arc::new(policy))
            .unwrap();
        let target = proxy.addresses()[0];
        let together = Arc::new(Barrier::new(CLIENTS));
        let clients = (0..CLIENTS).map(|number| {
            let (tables, together) = (tables.clone(), together.clone());
            let client = thread::Builder::new().stack_size(256 << 10);
            client.spawn(move || {
                let asked = ask(number, target, &together);
                let (_, port) = ZONES[number % ZONES.len()];
                let from = pod(number % PODS);
                asked
                    .iter()
                    .all(|address| tables.connect(from, *address, port))
            })
        });
        let clients: Vec<_> = clients.collect::<Result<_, _>>().unwrap();
        let reached = clients.into_iter().map(|client| client.join().unwrap());
        (reached.filter(|reached| !reached).count(), proxy)
    }

    /// The addresses that a client is told for its name.
    fn ask(number: usize, proxy: SocketAddr, together: &Barrier) -> Vec<IpAddr> {
        let (zone, _) = ZONES[number % ZONES.len()];
        let query = query(1, &format!("n{:03}.{zone}", number / 7), A);
        let client = Client::new(pod(number % PODS), proxy);
        together.wait();
        let reply = insist(&client, &query);
        let records = reply[question_end(&reply)..].chunks(16);
        let addresses = records.map(|record| <[u8; 4]>::try_from(&record[12..]).unwrap());
        addresses.map(IpAddr::from).collect()
    }

    /// Asks as a stub does: again where a socket was too full to take the query, or its server's.
    fn insist(client: &Client, query: &[u8]) -> Vec<u8> {
        client
            .0
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        let mut buffer = [0; 512];
        for _ in 0..TRIES {
            client.send(query);
            match client.0.recv(&mut buffer) {
                Ok(length) if code(&buffer) == NOERROR => return buffer[..length].to_vec(),
                Ok(_) | Err(_) => {}
            }
        }
        panic!("no answer after {TRIES} tries");
    }

    fn address(number: u64) -> Ipv4Addr {
        Ipv4Addr::new(198, 51, 100, u8::try_from(number).unwrap())
    }
}
