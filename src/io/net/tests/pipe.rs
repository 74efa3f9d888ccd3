//! Connections without a socket: what control and the router find of them is what they find of any other.

use super::*;
use crate::io::net::{Pipe, WebDoor};

async fn pipe_from(door: &WebDoor, last: u8) -> Pipe {
    let remote = SocketAddr::from(([127, 0, 0, last], 40_000));
    door.pipe(arrival(remote)).await
}

/// Transports with nothing but pipes.
fn side(limits: &Limits) -> Side {
    let (net, inputs) = Net::start(&[], None, limits).unwrap();
    let bell = Bell::new().unwrap();
    inputs.watch(&bell).unwrap();
    Side {
        net,
        inputs,
        bell,
        at: SocketAddr::new(V4, 0),
        transport: Transport::Ws,
    }
}

async fn ends(pipe: &mut Pipe) {
    let last = timeout(SOON, pipe.from_control.recv()).await.unwrap();
    assert_eq!(last, None);
}

#[tokio::test]
async fn messages_pass_whole_both_ways_and_what_was_said_before_the_end_is_read() {
    let mut side = side(&Limits::default());
    let mut pipe = pipe_from(&side.net.door(), 1).await;
    pipe.to_control.send(message("one")).await.unwrap();
    let (flow, bytes) = side.packet().await;
    assert_eq!(bytes, message("one"));
    assert_eq!(flow.remote, SocketAddr::from(([127, 0, 0, 1], 40_000)));
    assert_eq!((flow.transport, flow.listener), (Transport::Ws, LISTENER));
    side.send(flow, &message("two"));
    let told = timeout(SOON, pipe.from_control.recv()).await.unwrap();
    assert_eq!(told, Some(message("two")));
    // A last word, sent by one who hears no answer any more.
    for word in ["three", "four"] {
        pipe.to_control.send(message(word)).await.unwrap();
    }
    drop(pipe);
    side.send(flow, &message("to nobody"));
    assert_eq!(side.packet().await.1, message("three"));
    assert_eq!(side.packet().await.1, message("four"));
    assert_eq!(side.next().await, NetInput::FlowFailed(flow));
    assert_eq!(side.count("connections"), 0);
}

#[tokio::test]
async fn one_who_proves_nothing_in_time_is_cut_off_and_one_who_is_known_stays() {
    let limits = Limits {
        header_timeout: Duration::from_millis(200),
        stranger_timeout: Duration::from_millis(300),
        ..Limits::default()
    };
    let mut side = side(&limits);
    let door = side.net.door();
    let (mut silent, mut stranger) = (pipe_from(&door, 1).await, pipe_from(&door, 2).await);
    let mut known = pipe_from(&door, 3).await;
    stranger.to_control.send(message("who?")).await.unwrap();
    side.packet().await;
    known.to_control.send(message("me")).await.unwrap();
    let (flow, _) = side.packet().await;
    side.net.sender().vouch(flow);
    ends(&mut silent).await;
    ends(&mut stranger).await;
    assert_eq!((side.count("too_slow"), side.count("idle")), (1, 1));
    let waited = timeout(Duration::from_millis(400), known.from_control.recv()).await;
    assert!(waited.is_err(), "{waited:?}");
}

#[tokio::test]
async fn a_crowd_of_pipes_at_one_address_keeps_to_its_bound_and_keeps_out_nobody_who_is_known() {
    let limits = Limits {
        connections_per_ip_max: 2,
        ..Limits::default()
    };
    let mut side = side(&limits);
    let door = side.net.door();
    let mut known = pipe_from(&door, 1).await;
    known.to_control.send(message("me")).await.unwrap();
    let (flow, _) = side.packet().await;
    side.net.sender().vouch(flow);
    let mut first = pipe_from(&door, 1).await;
    let second = pipe_from(&door, 1).await;
    ends(&mut first).await;
    second.to_control.send(message("still here")).await.unwrap();
    assert_eq!(side.packet().await.1, message("still here"));
    side.send(flow, &message("you too"));
    let told = timeout(SOON, known.from_control.recv()).await.unwrap();
    assert_eq!(told, Some(message("you too")));
    assert_eq!(side.count("evicted"), 1);
}
