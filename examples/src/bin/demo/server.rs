//! A server of the shop: echoes, or sends on its own once it is told to.

use std::io::{self, Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use palisade_testkit::Namespace;

use crate::error::Error;

/// The first byte of a client that only listens from then on.
pub(crate) const TICK: u8 = b'T';
/// Between two numbers of a server that sends on its own.
const PACE: Duration = Duration::from_millis(10);
/// How often a server looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(100);

/// Serves a port over TCP and UDP and both families, until the guard goes.
#[derive(Debug)]
pub(crate) struct Server {
    stop: Arc<AtomicBool>,
}

impl Server {
    /// Starts serving in a namespace.
    pub(crate) fn start(namespace: &Namespace, port: u16) -> Result<Self, Error> {
        let any: SocketAddr = (Ipv6Addr::UNSPECIFIED, port).into();
        let sockets =
            namespace.run(|| io::Result::Ok((TcpListener::bind(any)?, UdpSocket::bind(any)?)))?;
        let (listener, socket) = sockets.map_err(Error::io(format!("port {port}")))?;
        socket
            .set_read_timeout(Some(LOOK))
            .map_err(Error::io("a server's patience"))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        // The listener's thread ends with the demo; it waits in the kernel and holds nothing up.
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let stop = stopped.clone();
                thread::spawn(move || serve(connection, &stop));
            }
        });
        let stopped = stop.clone();
        thread::spawn(move || serve_datagrams(&socket, &stopped));
        Ok(Self { stop })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Serves a connection; it ends when the client leaves.
fn serve(mut connection: TcpStream, stop: &AtomicBool) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut buffer = [0; 512];
    loop {
        let length = connection.read(&mut buffer)?;
        let received = buffer.get(..length).unwrap_or_default();
        match received {
            [] => return Ok(()),
            [TICK, ..] => return tick(stop, |number| connection.write_all(number)),
            echoed => connection.write_all(echoed)?,
        }
    }
}

fn serve_datagrams(socket: &UdpSocket, stop: &Arc<AtomicBool>) {
    let mut buffer = [0; 512];
    while !stop.load(Ordering::Relaxed) {
        let Ok((length, client)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        match buffer.get(..length).unwrap_or_default() {
            [TICK, ..] => {
                if let Ok(socket) = socket.try_clone() {
                    let stop = stop.clone();
                    thread::spawn(move || {
                        tick(&stop, |number| match socket.send_to(number, client) {
                            // A client that is cut off may be let in again; only its end is one.
                            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                                Err(error)
                            }
                            Ok(_) | Err(_) => Ok(()),
                        })
                    });
                }
            }
            echoed => drop(socket.send_to(echoed, client)),
        }
    }
}

/// Sends numbers that grow by one.
fn tick(stop: &AtomicBool, mut send: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut number = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        send(&number.to_be_bytes())?;
        number += 1;
        thread::sleep(PACE);
    }
    Ok(())
}
