//! A filter in the system that drops a share of datagrams before anybody reads them.
//!
//! A classic BPF program on each UDP socket (`socket(7)`, `SO_ATTACH_FILTER`). It sees the UDP header,
//! then the message; a load beyond its end drops it. What belongs to calls in progress passes, calls
//! to emergency numbers pass, and of the rest a share that is drawn for each datagram.
//!
//! ```text
//!   source known? ──no──▶ rest: rest / 1000 pass
//!     │ yes
//!   INVITE ──▶ an emergency number: passes; else calls / 1000 pass
//!   response, ACK, BYE, CANCEL, PRACK, UPDATE, INFO, REFER, NOTIFY: pass
//!   anything else ──▶ rest
//! ```

use std::io;
use std::net::{IpAddr, UdpSocket};

use socket2::{SockFilter, SockRef};

/// What is let through: shares of a thousand, where 1,000 is all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatePolicy {
    /// Of INVITEs from who is known.
    pub calls: u16,
    /// Of OPTIONS, REGISTER and the like, and of everything from strangers.
    pub rest: u16,
    /// Numbers whose INVITEs always pass; at most 32 are looked at.
    pub emergency: Vec<String>,
    /// Networks that are known, as address and length of the prefix; `None`: everybody is.
    pub known: Option<Vec<(IpAddr, u8)>>,
}

impl GatePolicy {
    fn passes_all(&self) -> bool {
        self.calls >= ALL && self.rest >= ALL
    }

    /// The IPv4 networks, if they are all there is to know and few.
    fn networks(&self, v6: bool) -> Option<Vec<(u32, u32)>> {
        let known = self.known.as_ref().filter(|_| !v6)?;
        let v4 = |&(ip, prefix): &(IpAddr, u8)| match ip {
            IpAddr::V4(ip) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32)));
                Some((ip.to_bits(), mask.unwrap_or(0)))
            }
            IpAddr::V6(_) => None,
        };
        let networks: Vec<_> = known.iter().filter_map(v4).collect();
        (networks.len() <= NETWORKS_MAX).then_some(networks)
    }
}

/// Puts a policy in force on a socket, or takes the filter away when everything passes.
///
/// # Errors
/// The system's: a kernel without socket filters. Then nothing is dropped.
pub(super) fn set(socket: &UdpSocket, policy: &GatePolicy) -> io::Result<()> {
    let socket_ref = SockRef::from(socket);
    if policy.passes_all() {
        return match socket_ref.detach_filter() {
            // None was there.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        };
    }
    let v6 = socket.local_addr()?.is_ipv6();
    let program: Vec<SockFilter> = program(policy, v6)
        .into_iter()
        .map(|[code, jt, jf, k]| {
            // Each was written here, and fits.
            SockFilter::new(code as u16, jt as u8, jf as u8, k)
        })
        .collect();
    socket_ref.attach_filter(&program)
}

/// One instruction: code, jump if true, jump if false, operand.
type Instruction = [u32; 4];

fn program(policy: &GatePolicy, v6: bool) -> Vec<Instruction> {
    let mut out = Vec::with_capacity(128);
    let rest = share(policy.rest);
    if let Some(networks) = policy.networks(v6) {
        // Past the networks that are left and what strangers get.
        let mut left = networks.len() as u32 * 4 + rest.len() as u32;
        for (network, mask) in networks {
            left -= 4;
            out.extend([
                [LOAD_WORD, 0, 0, SOURCE_V4],
                [AND, 0, 0, mask],
                [JUMP_EQUAL, 0, 1, network & mask],
                [JUMP, 0, 0, left],
            ]);
        }
        out.extend(&rest);
    }
    out.push([LOAD_WORD, 0, 0, PAYLOAD]);
    for method in GOING {
        out.extend([[JUMP_EQUAL, 0, 1, word(method)], PASS]);
    }
    // What is no INVITE goes by the rest's share.
    out.push([JUMP_EQUAL, rest.len() as u32, 0, word(b"INVI")]);
    out.extend(&rest);
    out.push([LOAD_WORD, 0, 0, PAYLOAD + 7]);
    out.extend([[JUMP_EQUAL, 0, 1, word(b"urn:")], PASS]);
    let numbers = policy.emergency.iter().take(NUMBERS_MAX);
    numbers.for_each(|number| out.extend(emergency(number.as_bytes())));
    out.extend(share(policy.calls));
    out
}

/// Passes `sip:NUMBER@` and `sip:NUMBER;`; goes on behind itself for any other.
fn emergency(number: &[u8]) -> Vec<Instruction> {
    let mut tests: Vec<(u32, u32, u32)> = vec![(LOAD_WORD, PAYLOAD + 7, word(b"sip:"))];
    let mut at = PAYLOAD + 11;
    for chunk in number.chunks(4) {
        if let &[a, b, c, d] = chunk {
            tests.push((LOAD_WORD, at, word(&[a, b, c, d])));
            at += 4;
            continue;
        }
        for &byte in chunk {
            tests.push((LOAD_BYTE, at, u32::from(byte)));
            at += 1;
        }
    }
    // Behind each test come those that follow it, two instructions each, and five at the end.
    let mut left = tests.len() as u32 * 2 + 5;
    let mut out = Vec::with_capacity(tests.len() * 2 + 5);
    for (load, at, value) in tests {
        left -= 2;
        out.extend([[load, 0, 0, at], [JUMP_EQUAL, 0, left, value]]);
    }
    out.extend([
        [LOAD_BYTE, 0, 0, at],
        [JUMP_EQUAL, 0, 1, u32::from(b'@')],
        PASS,
        [JUMP_EQUAL, 0, 1, u32::from(b';')],
        PASS,
    ]);
    out
}

/// Passes that share of a thousand, and drops the rest.
fn share(of_thousand: u16) -> Vec<Instruction> {
    if of_thousand >= ALL {
        return vec![PASS];
    }
    let threshold = (u64::from(of_thousand) << 32) / u64::from(ALL);
    vec![
        [LOAD_WORD, 0, 0, RANDOM],
        [JUMP_NOT_BELOW, 0, 1, threshold as u32],
        DROP,
        PASS,
    ]
}

const fn word(text: &[u8; 4]) -> u32 {
    u32::from_be_bytes(*text)
}

/// The beginnings of what belongs to something that is there.
const GOING: [&[u8; 4]; 9] = [
    b"SIP/", b"ACK ", b"BYE ", b"CANC", b"PRAC", b"UPDA", b"INFO", b"REFE", b"NOTI",
];

const ALL: u16 = 1_000;
/// Numbers of 2 to 8 digits: 17 instructions each at most.
const NUMBERS_MAX: usize = 32;
/// Known networks; with more the source is not looked at.
const NETWORKS_MAX: usize = 64;

// linux/filter.h, linux/bpf_common.h.
const LOAD_WORD: u32 = 0x20;
const LOAD_BYTE: u32 = 0x30;
const AND: u32 = 0x54;
const JUMP: u32 = 0x05;
const JUMP_EQUAL: u32 = 0x15;
const JUMP_NOT_BELOW: u32 = 0x35;
const PASS: Instruction = [0x06, 0, 0, u32::MAX];
const DROP: Instruction = [0x06, 0, 0, 0];
/// The message, behind the UDP header.
const PAYLOAD: u32 = 8;
/// The source address in the IPv4 header (`SKF_NET_OFF`).
const SOURCE_V4: u32 = 0xfff0_0000 + 12;
/// A random word (`SKF_AD_OFF + SKF_AD_RANDOM`).
const RANDOM: u32 = 0xffff_f000 + 56;

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends `messages` a hundred times through a filter; how many of each arrived.
    fn passed(policy: &GatePolicy, from: &str, messages: &[&str]) -> Vec<usize> {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        set(&socket, policy).unwrap();
        let sender = UdpSocket::bind((from, 0)).unwrap();
        let mut buffer = [0; 256];
        let arrived = |message: &&str| {
            (0..100)
                .filter(|_| {
                    let bytes = message.as_bytes();
                    sender.send_to(bytes, socket.local_addr().unwrap()).unwrap();
                    socket.recv_from(&mut buffer).is_ok()
                })
                .count()
        };
        messages.iter().map(arrived).collect()
    }

    fn policy(calls: u16, rest: u16) -> GatePolicy {
        GatePolicy {
            calls,
            rest,
            emergency: vec!["112".to_owned(), "116117".to_owned(), "15".to_owned()],
            known: Some(vec![
                ("192.0.2.0".parse().unwrap(), 24),
                ("127.0.0.1".parse().unwrap(), 32),
            ]),
        }
    }

    const MESSAGES: [&str; 10] = [
        "INVITE sip:+44123456789@127.0.0.1 SIP/2.0\r\n",
        "OPTIONS sip:a@b SIP/2.0\r\n\r\n",
        "REGISTER sip:a@b SIP/2.0\r\n\r\n",
        "BYE sip:a@127.0.0.1 SIP/2.0\r\n",
        "SIP/2.0 200 OK\r\n\r\n",
        "INVITE sip:112@127.0.0.1 SIP/2.0\r\n",
        "INVITE sip:116117;x=y@127.0.0.1 SIP/2.0\r\n",
        "INVITE sip:15@127.0.0.1 SIP/2.0\r\n",
        "INVITE sip:1121@127.0.0.1 SIP/2.0\r\n",
        "ACK sip:a@127.0.0.1 SIP/2.0\r\n",
    ];

    #[test]
    fn calls_in_progress_and_emergency_calls_pass_a_closed_gate() {
        let known = passed(&policy(0, 0), "127.0.0.1", &MESSAGES);
        assert_eq!(known, [0, 0, 0, 100, 100, 100, 100, 100, 0, 100]);
        let stranger = passed(&policy(1_000, 0), "127.0.0.9", &MESSAGES);
        assert_eq!(stranger, [0; 10], "a stranger has no call in progress");
    }

    #[test]
    fn a_share_passes_and_an_open_gate_is_no_filter() {
        let some = passed(&policy(500, 1_000), "127.0.0.1", &MESSAGES);
        assert!((20..80).contains(&some[0]), "{some:?}");
        assert_eq!(some[1..8], [100; 7]);
        let all = passed(&policy(1_000, 1_000), "127.0.0.9", &MESSAGES);
        assert_eq!(all, [100; 10]);
    }

    #[test]
    fn whom_it_does_not_know_by_their_networks_it_takes_for_known() {
        let open = GatePolicy {
            known: None,
            ..policy(1_000, 0)
        };
        let stranger = passed(&open, "127.0.0.9", &MESSAGES);
        assert_eq!(stranger[..4], [100, 0, 0, 100]);
    }

    #[test]
    fn the_largest_program_is_one_that_the_system_takes() {
        let numbers = (0..40).map(|n| format!("1234{n:04}")).collect();
        let networks = (0..64).map(|n| (IpAddr::from([10, n, 0, 0]), 16));
        let policy = GatePolicy {
            emergency: numbers,
            known: Some(networks.collect()),
            ..policy(1, 1)
        };
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        set(&socket, &policy).unwrap();
        set(&socket, &policy_all()).unwrap();
        set(&socket, &policy_all()).unwrap();
    }

    fn policy_all() -> GatePolicy {
        policy(1_000, 1_000)
    }
}
