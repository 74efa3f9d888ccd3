//! One table for each machine: what is fed in when, and what must come out.

use super::*;
use clock::Now;
use std::fmt::Debug;

const T1: Duration = Duration::from_millis(500);
const UDP: Timing = Timing::new(T1, false);
const TCP: Timing = Timing::new(T1, true);

fn at(ms: u64) -> Now {
    Now::ZERO + Duration::from_millis(ms)
}

/// The common face of the four machines.
trait Machine {
    type Input;
    type Output: Copy + Debug + PartialEq;
    const DEADLINE: Self::Input;
    fn feed(&mut self, now: Now, input: Self::Input);
    fn poll(&mut self) -> Option<Self::Output>;
    fn due(&self) -> Option<Now>;
    fn over(&self) -> bool;
}

macro_rules! machine {
    ($name:ty, $input:ty, $output:ty) => {
        impl Machine for $name {
            type Input = $input;
            type Output = $output;
            const DEADLINE: $input = <$input>::Deadline;
            fn feed(&mut self, now: Now, input: $input) {
                self.handle(now, input);
            }
            fn poll(&mut self) -> Option<$output> {
                self.poll_output()
            }
            fn due(&self) -> Option<Now> {
                self.deadline()
            }
            fn over(&self) -> bool {
                self.is_terminated()
            }
        }
    };
}

machine!(InviteClient, ClientInput, ClientOutput);
machine!(Client, ClientInput, ClientOutput);
machine!(InviteServer, ServerInput, ServerOutput);
machine!(Server, ServerInput, ServerOutput);

/// Feeds each input at its time in ms, firing timers in between, then lets time run out. Returns each
/// output with its time, and when the machine was over.
fn run<M: Machine>(
    mut machine: M,
    inputs: impl IntoIterator<Item = (u64, M::Input)>,
) -> (Vec<(u64, M::Output)>, Option<u64>) {
    let mut seen = Vec::new();
    let mut over = None;
    let mut drain = |machine: &mut M, now: Now, over: &mut Option<u64>| {
        while let Some(output) = machine.poll() {
            seen.push((now.as_millis(), output));
        }
        if machine.over() {
            over.get_or_insert(now.as_millis());
        }
    };
    drain(&mut machine, Now::ZERO, &mut over);
    let mut inputs = inputs.into_iter().peekable();
    loop {
        let next = inputs.peek().map(|(ms, _)| at(*ms));
        match (machine.due(), next) {
            (Some(due), next) if next.is_none_or(|next| due < next) => {
                machine.feed(due, M::DEADLINE);
                drain(&mut machine, due, &mut over);
            }
            (_, Some(now)) => {
                let (_, input) = inputs.next().unwrap();
                machine.feed(now, input);
                drain(&mut machine, now, &mut over);
            }
            _ => return (seen, over),
        }
    }
}

// covers: RFC 3261 §17.1.1.2, RFC 6026 §7.2
#[test]
fn the_invite_client_follows_its_diagram() {
    use ClientInput::{Response, TransportFailed};
    use ClientOutput::{Deliver, SendAck, SendRequest, TimedOut};
    let send = (0, SendRequest);
    let client = |timing| InviteClient::new(Now::ZERO, timing);
    // Silence.
    let all = [0, 500, 1500, 3500, 7500, 15500, 31500].map(|ms| (ms, SendRequest));
    let (seen, over) = run(client(UDP), []);
    assert_eq!(
        (seen, over),
        ([&all[..], &[(32000, TimedOut)]].concat(), Some(32000))
    );
    assert_eq!(
        run(client(TCP), []),
        (vec![send, (32000, TimedOut)], Some(32000))
    );
    // A provisional stops everything, for as long as it takes.
    let (seen, over) = run(
        client(UDP),
        [(100, Response(100)), (900_000, Response(180))],
    );
    assert_eq!(
        (seen, over),
        (vec![send, (100, Deliver), (900_000, Deliver)], None)
    );
    // A refusal is acknowledged each time and delivered once.
    let refusals = || {
        [
            (100, Response(486)),
            (600, Response(486)),
            (700, Response(200)),
        ]
    };
    let wanted = vec![send, (100, SendAck), (100, Deliver), (600, SendAck)];
    assert_eq!(run(client(UDP), refusals()), (wanted, Some(32100)));
    let wanted = vec![send, (100, SendAck), (100, Deliver)];
    assert_eq!(run(client(TCP), refusals()), (wanted, Some(100)));
    // An answer is delivered each time, for 64·T1.
    let answers = || {
        [
            (100, Response(200)),
            (600, Response(200)),
            (700, Response(486)),
        ]
    };
    let wanted = vec![send, (100, Deliver), (600, Deliver)];
    assert_eq!(run(client(UDP), answers()), (wanted.clone(), Some(32100)));
    assert_eq!(run(client(TCP), answers()), (wanted, Some(32100)));
    // A failed transport.
    let (seen, over) = run(client(UDP), [(10, TransportFailed), (20, Response(200))]);
    assert_eq!(
        (seen, over),
        (vec![send, (10, ClientOutput::TransportFailed)], Some(10))
    );
}

// covers: RFC 3261 §17.1.2.2
#[test]
fn the_non_invite_client_follows_its_diagram() {
    use ClientInput::Response;
    use ClientOutput::{Deliver, SendRequest, TimedOut};
    let send = (0, SendRequest);
    let client = |timing| Client::new(Now::ZERO, timing);
    let (seen, over) = run(client(UDP), []);
    let all = [
        0, 500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500,
    ];
    let all = all.map(|ms| (ms, SendRequest));
    assert_eq!(
        (seen, over),
        ([&all[..], &[(32000, TimedOut)]].concat(), Some(32000))
    );
    assert_eq!(
        run(client(TCP), []),
        (vec![send, (32000, TimedOut)], Some(32000))
    );
    // After a provisional, every T2.
    let (seen, _) = run(client(UDP), [(100, Response(100)), (9000, Response(200))]);
    let wanted = vec![
        send,
        (100, Deliver),
        (500, SendRequest),
        (4500, SendRequest),
        (8500, SendRequest),
    ];
    assert_eq!(seen, [wanted, vec![(9000, Deliver)]].concat());
    // The final response once; what follows is swallowed for T4.
    let finals = || [(100, Response(200)), (200, Response(200))];
    assert_eq!(
        run(client(UDP), finals()),
        (vec![send, (100, Deliver)], Some(5100))
    );
    assert_eq!(
        run(client(TCP), finals()),
        (vec![send, (100, Deliver)], Some(100))
    );
}

// covers: RFC 3261 §17.2.1, RFC 6026 §7.1
#[test]
fn the_invite_server_follows_its_diagram() {
    use ServerInput::{Ack, Request, Respond, TransportFailed};
    use ServerOutput::{DeliverAck, Failed, SendResponse};
    let server = InviteServer::new;
    // Provisional responses are repeated to a repeated request.
    let (seen, over) = run(
        server(UDP),
        [(0, Respond(100)), (500, Request), (900, Respond(180))],
    );
    assert_eq!(
        (seen, over),
        ([0, 500, 900].map(|ms| (ms, SendResponse)).to_vec(), None)
    );
    // A refusal is repeated until its ACK.
    let table = [
        (0, Respond(486)),
        (600, Request),
        (2000, Ack),
        (2500, Request),
    ];
    let wanted = [0, 500, 600, 1500].map(|ms| (ms, SendResponse)).to_vec();
    assert_eq!(run(server(UDP), table), (wanted, Some(7000)));
    let wanted = [0, 600].map(|ms| (ms, SendResponse)).to_vec();
    assert_eq!(run(server(TCP), table), (wanted, Some(2000)));
    // Nobody acknowledges.
    let (seen, over) = run(server(UDP), [(0, Respond(486))]);
    let sent = seen
        .iter()
        .filter(|(_, output)| *output == SendResponse)
        .count();
    assert_eq!(
        (sent, seen.last(), over),
        (11, Some(&(32000, Failed)), Some(32000))
    );
    // An answer: only its user repeats it, and requests are swallowed.
    let table = [
        (0, Respond(200)),
        (500, Request),
        (500, Respond(200)),
        (600, Ack),
        (700, Respond(486)),
    ];
    let wanted = vec![(0, SendResponse), (500, SendResponse), (600, DeliverAck)];
    assert_eq!(run(server(UDP), table), (wanted.clone(), Some(32000)));
    assert_eq!(run(server(TCP), table), (wanted, Some(32000)));
    assert_eq!(
        run(server(UDP), [(5, TransportFailed)]),
        (vec![(5, Failed)], Some(5))
    );
}

// covers: RFC 3261 §17.2.2, RFC 4320 §4.2
#[test]
fn the_non_invite_server_follows_its_diagram() {
    use ServerInput::{Request, Respond};
    use ServerOutput::{Failed, SendResponse};
    let server = |timing| Server::new(Now::ZERO, timing);
    let table = [
        (100, Request),
        (200, Respond(100)),
        (300, Request),
        (400, Respond(200)),
        (500, Request),
        (600, Respond(500)),
    ];
    let sent = |times: &[u64]| {
        times
            .iter()
            .map(|ms| (*ms, SendResponse))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        run(server(UDP), table),
        (sent(&[200, 300, 400, 500]), Some(32400))
    );
    assert_eq!(run(server(TCP), table), (sent(&[200, 300, 400]), Some(400)));
    assert_eq!(run(server(UDP), []), (vec![(32000, Failed)], Some(32000)));
}
