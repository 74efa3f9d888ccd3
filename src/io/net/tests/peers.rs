//! Who is who over TLS: names that are proven to us, and certificates that we show and ask for.

use sip::transport::PeerId;

use super::super::tls::{Callee, Caller, ClientTrust};
use super::*;

/// Somebody whose certificate has these names besides those of this machine.
struct Somebody {
    made: certs::DevCertificate,
    _folder: Folder,
}

impl Somebody {
    fn named(folder: &str, names: &[&str]) -> Self {
        let folder = Folder::new(folder);
        let names: Vec<String> = names.iter().map(|it| (*it).to_owned()).collect();
        Self {
            made: certs::ensure(&folder.0, &names).unwrap(),
            _folder: folder,
        }
    }

    /// He believes whoever `other` was signed by.
    fn believing(&self, other: &Self) -> TlsFiles {
        let trust = Trust::Authorities(other.made.authority.clone());
        files(self.made.clone(), trust)
    }

    fn shown(&self) -> KeyPairFiles {
        KeyPairFiles {
            certificate: self.made.certificate.clone(),
            key: self.made.key.clone(),
        }
    }
}

fn callee(id: u64, name: &str, ours: Option<KeyPairFiles>) -> Callee {
    Callee {
        id: PeerId(id),
        told: format!("trunks.t{id}"),
        name: Some(name.to_owned()),
        ours,
    }
}

fn side(tls: &TlsFiles) -> Side {
    let tls = TlsConfig::load(tls).unwrap();
    Side::start(Transport::Tls, V4, Some(tls), &Limits::default())
}

fn to_peer(from: &Side, at: SocketAddr, peer: u64) -> Flow {
    Flow {
        peer: Some(PeerId(peer)),
        ..from.to(at)
    }
}

/// Whether the flow failed without a word getting through.
async fn fails(ours: &mut Side, flow: Flow) -> bool {
    ours.send(flow, &message("secret"));
    let ends = [ours.next().await, ours.next().await];
    ends.contains(&NetInput::FlowFailed(flow))
}

// covers: RFC 5922 §7.1, RFC 5923 §5
#[tokio::test]
async fn a_connection_on_which_one_name_was_proven_is_used_for_no_other_at_that_address() {
    let carrier = Somebody::named("names-carrier", &["one.example", "two.example"]);
    let mut ours = carrier.believing(&carrier);
    ours.callees = vec![
        callee(1, "one.example", None),
        callee(2, "two.example", None),
        callee(3, "three.example", None),
    ];
    let mut ours = side(&ours);
    let mut theirs = side(&carrier.believing(&carrier));
    for (peer, opened) in [(1, 1), (2, 2), (1, 2), (2, 2)] {
        ours.send(to_peer(&ours, theirs.at, peer), &message("for you"));
        assert_eq!(theirs.packet().await.1, message("for you"));
        assert_eq!(ours.count("opened"), opened, "to peer {peer}");
    }
    // One that they cannot prove, and one that nobody knows any more.
    for peer in [3, 4] {
        let flow = to_peer(&ours, theirs.at, peer);
        assert!(fails(&mut ours, flow).await, "peer {peer}");
    }
    assert!(theirs.take().is_none());
}

#[tokio::test]
async fn without_its_peer_in_the_flow_a_connection_would_serve_any_name() {
    // The control: what is asked for is an address alone, as every flow once did.
    let carrier = Somebody::named("names-control", &["one.example"]);
    let ours = side(&carrier.believing(&carrier));
    let mut theirs = side(&carrier.believing(&carrier));
    for _for_another_name in 0..2 {
        ours.send(ours.to(theirs.at), &message("for you"));
        theirs.packet().await;
    }
    assert_eq!(ours.count("opened"), 1);
}

// covers: RFC 5922 §7.3
#[tokio::test]
async fn whoever_shows_a_certificate_is_known_by_the_name_in_it() {
    let carrier = Somebody::named("client-carrier", &["sbc.carrier.example"]);
    let stranger = Somebody::named("client-stranger", &["sbc.carrier.example"]);
    let server = Somebody::named("client-server", &["tandem.example"]);
    let known = || Caller {
        id: PeerId(7),
        told: "trunks.carrier".to_owned(),
        name: "sbc.carrier.example".to_owned(),
    };
    let other = || Caller {
        name: "other.example".to_owned(),
        ..known()
    };
    let (shown, strange) = (Some(carrier.shown()), Some(stranger.shown()));
    // What the caller shows, whether it must be shown, who is known: who he is then, if he is let in.
    let cases = [
        (shown.clone(), true, known(), Some(Some(PeerId(7)))),
        (shown.clone(), true, other(), Some(None)),
        (None, true, known(), None),
        (strange.clone(), true, known(), None),
        (shown, false, known(), Some(Some(PeerId(7)))),
        (None, false, known(), Some(None)),
        (strange, false, known(), None),
    ];
    for (n, (shows, required, caller, let_in)) in cases.into_iter().enumerate() {
        let mut theirs = server.believing(&server);
        theirs.callers = vec![caller];
        let authorities = carrier.made.authority.clone();
        let clients = ClientTrust {
            authorities,
            required,
        };
        theirs.clients = [(LISTENER.0, clients)].into();
        let mut theirs = side(&theirs);
        let mut ours = carrier.believing(&server);
        ours.callees = vec![callee(1, "tandem.example", shows)];
        let mut ours = side(&ours);
        let flow = to_peer(&ours, theirs.at, 1);
        match let_in {
            Some(peer) => {
                ours.send(flow, &message("call"));
                assert_eq!(theirs.packet().await.0.peer, peer, "case {n}");
            }
            None => {
                assert!(fails(&mut ours, flow).await, "case {n}");
                assert!(theirs.take().is_none(), "case {n}");
            }
        }
    }
}

#[tokio::test]
async fn names_and_certificates_of_a_reload_hold_for_the_next_connection_and_open_ones_stay() {
    let carrier = Somebody::named("reload-carrier", &["one.example"]);
    let mut files = carrier.believing(&carrier);
    files.callees = vec![callee(1, "one.example", None)];
    let tls = TlsConfig::load(&files).unwrap();
    let limits = Limits::default();
    let mut ours = Side::start(Transport::Tls, V4, Some(tls.clone()), &limits);
    let mut theirs = side(&carrier.believing(&carrier));
    ours.send(to_peer(&ours, theirs.at, 1), &message("before"));
    let (back, _) = theirs.packet().await;

    files.callees = vec![callee(2, "two.example", None)];
    tls.reload(&files).unwrap();
    let flow = to_peer(&ours, theirs.at, 2);
    assert!(fails(&mut ours, flow).await);
    theirs.send(back, &message("still here"));
    assert_eq!(ours.packet().await.1, message("still here"));

    // One that is wrong changes nothing, and says whose it is.
    let missing = KeyPairFiles {
        certificate: "/nowhere/carrier.pem".into(),
        key: "/nowhere/carrier.key".into(),
    };
    let mut wrong = files.clone();
    wrong.callees = vec![callee(3, "one.example", Some(missing))];
    let why = tls.reload(&wrong).unwrap_err().to_string();
    assert!(
        why.starts_with("trunks.t3: /nowhere/carrier.pem: "),
        "{why}"
    );
    let flow = to_peer(&ours, theirs.at, 3);
    assert!(fails(&mut ours, flow).await);

    files.callees = vec![callee(3, "one.example", None)];
    tls.reload(&files).unwrap();
    ours.send(to_peer(&ours, theirs.at, 3), &message("after"));
    assert_eq!(theirs.packet().await.1, message("after"));
}
