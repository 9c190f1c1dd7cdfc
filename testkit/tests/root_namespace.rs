//! The guards and servers of the testkit, on real namespaces.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::time::Duration;

use palisade_testkit::{BpfFs, Error, Namespace, echo, link, wait_for};

fn joined() -> Result<(Namespace, Namespace), Error> {
    let (one, other) = (Namespace::new("one")?, Namespace::new("other")?);
    link::pair(
        &link::End {
            namespace: &one,
            name: "eth0",
            addresses: &["10.0.0.1/24", "fd00::1/64"],
        },
        &link::End {
            namespace: &other,
            name: "eth0",
            addresses: &["10.0.0.2/24", "fd00::2/64"],
        },
    )?;
    Ok((one, other))
}

#[test]
fn tcp_and_udp_echo_over_both_families() {
    let (client, server) = joined().unwrap();
    for address in ["10.0.0.2:0", "[fd00::2]:0"] {
        let address: SocketAddr = address.parse().unwrap();
        let tcp = echo::Server::tcp(&server, address).unwrap();
        let udp = echo::Server::udp(&server, address).unwrap();
        client
            .run(|| {
                let mut stream = TcpStream::connect(tcp.address()).unwrap();
                stream.write_all(b"stream").unwrap();
                let mut answer = [0; 6];
                stream.read_exact(&mut answer).unwrap();
                assert_eq!(&answer, b"stream");

                let any = if address.is_ipv4() {
                    "0.0.0.0:0"
                } else {
                    "[::]:0"
                };
                let socket = UdpSocket::bind(any).unwrap();
                socket
                    .set_read_timeout(Some(Duration::from_secs(5)))
                    .unwrap();
                socket.send_to(b"datagram", udp.address()).unwrap();
                let mut answer = [0; 8];
                socket.recv(&mut answer).unwrap();
                assert_eq!(&answer, b"datagram");
            })
            .unwrap();
    }
}

#[test]
fn a_server_closes_its_connections_when_it_stops() {
    let (client, server) = joined().unwrap();
    let tcp = echo::Server::tcp(&server, "10.0.0.2:0".parse().unwrap()).unwrap();
    let address = tcp.address();
    let mut stream = client.run(|| TcpStream::connect(address)).unwrap().unwrap();
    drop(tcp);
    assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
    assert!(client.run(|| TcpStream::connect(address)).unwrap().is_err());
}

#[test]
fn a_namespace_goes_with_its_guard_even_after_a_panic() {
    let mut path = None;
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let namespace = Namespace::new("panic").unwrap();
        path = Some(namespace.path().to_owned());
        namespace.run(|| panic!("a test that fails")).unwrap();
    }));
    assert!(panicked.is_err());
    assert!(!path.unwrap().exists());
}

#[test]
fn another_process_enters_by_the_file() {
    let namespace = Namespace::new("file").unwrap();
    let net = format!("--net={}", namespace.path().display());
    let entered = Command::new("nsenter")
        .args([&net, "readlink", "/proc/self/ns/net"])
        .output();
    let own = namespace
        .run(|| fs::read_link("/proc/thread-self/ns/net"))
        .unwrap()
        .unwrap();
    let entered = String::from_utf8(entered.unwrap().stdout).unwrap();
    assert_eq!(entered.trim(), own.to_str().unwrap());
    assert_ne!(own, fs::read_link("/proc/self/ns/net").unwrap());
}

#[test]
fn a_process_runs_inside_and_is_killed_with_its_guard() {
    let namespace = Namespace::new("process").unwrap();
    let process = namespace.spawn(Command::new("sleep").arg("60")).unwrap();
    let proc = format!("/proc/{}", process.id());
    let own = namespace
        .run(|| fs::read_link("/proc/thread-self/ns/net"))
        .unwrap()
        .unwrap();
    wait_for("sleep to run inside", Duration::from_secs(5), || {
        fs::read_link(format!("{proc}/ns/net")).is_ok_and(|net| net == own)
    })
    .unwrap();
    drop(process);
    assert!(!fs::exists(proc).unwrap());
}

#[test]
fn a_bpf_file_system_takes_pins_and_goes_with_its_guard() {
    let bpffs = BpfFs::mount().unwrap();
    let path = bpffs.path().to_owned();
    fs::create_dir(path.join("maps")).unwrap();
    drop(bpffs);
    assert!(!path.exists());
}
