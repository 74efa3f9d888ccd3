//! Datagrams that the system dropped before they were read, as it tells of each UDP socket: its buffer
//! was full, or the gate did not let them pass.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};

/// How many of each address's, since its socket was opened. Reads a line for each UDP socket of the
/// system: some milliseconds where there are thousands. What cannot be read is left out.
pub(super) fn unread(listeners: &[SocketAddr]) -> Vec<(SocketAddr, u64)> {
    let mut found = Vec::new();
    for (table, v6) in [("/proc/net/udp", false), ("/proc/net/udp6", true)] {
        let of_table: Vec<_> = listeners.iter().filter(|it| it.is_ipv6() == v6).collect();
        if of_table.is_empty() {
            continue;
        }
        let Ok(file) = File::open(table) else {
            continue;
        };
        for line in BufReader::new(file).lines().map_while(Result::ok) {
            let mut words = line.split_ascii_whitespace();
            let local = words.nth(1).unwrap_or_default();
            let here = of_table.iter().find(|it| name_of(***it) == local);
            let drops = words.last().and_then(|drops| drops.parse().ok());
            found.extend(here.copied().copied().zip(drops));
        }
    }
    found
}

/// An address as the table writes it: words of the machine's own order in hexadecimal digits.
fn name_of(address: SocketAddr) -> String {
    let word = |bytes: &[u8]| {
        let bytes = bytes.try_into().unwrap_or_default();
        format!("{:08X}", u32::from_ne_bytes(bytes))
    };
    let ip: String = match address.ip() {
        IpAddr::V4(ip) => word(&ip.octets()),
        IpAddr::V6(ip) => ip.octets().chunks(4).map(word).collect(),
    };
    format!("{ip}:{:04X}", address.port())
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn what_found_its_sockets_buffer_full_is_counted() {
        for ip in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(socket) = UdpSocket::bind(ip) else {
                continue;
            };
            let own = socket.local_addr().unwrap();
            assert_eq!(unread(&[own]), [(own, 0)], "{ip}");
            socket2::SockRef::from(&socket)
                .set_recv_buffer_size(4_096)
                .unwrap();
            let sender = UdpSocket::bind(ip).unwrap();
            for _ in 0..100 {
                sender.send_to(&[0; 1_000], own).unwrap();
            }
            socket.set_nonblocking(true).unwrap();
            let read = std::iter::from_fn(|| socket.recv(&mut [0; 1_000]).ok()).count();
            let drops = 100 - read as u64;
            assert!(drops > 50, "{ip}: {drops}");
            assert_eq!(unread(&[own]), [(own, drops)], "{ip}");
        }
    }
}
