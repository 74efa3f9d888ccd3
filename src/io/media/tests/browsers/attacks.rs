//! Who is no browser of ours, on the port that they share: not heard, not answered, counted; each with its control.

use std::net::UdpSocket;

use media::worker::Loss;
use webrtc_lite::Credentials;
use webrtc_lite::peer::Peer;

use super::scene::{Scene, load, socket};
use super::{SECOND, door, lost};
use crate::io::web;

/// All kinds of what a stranger may send; in the names of a browser, whose password he does not know.
struct Stranger {
    socket: UdpSocket,
    peer: Peer,
    hellos: Vec<Vec<u8>>,
}

impl Stranger {
    fn new(scene: &Scene, host: u8) -> Self {
        let own = Credentials {
            ufrag: "page0".to_owned(),
            password: String::new(),
        };
        let theirs = Credentials {
            ufrag: scene.browsers[0].end.ufrag.clone(),
            password: "a-guess-that-is-as-long-as-it-must-be".to_owned(),
        };
        let identity = web::identity(scene.clock).unwrap();
        let now = scene.clock.now();
        let mut peer = Peer::new(now, identity, own, theirs).unwrap();
        Self {
            hellos: peer.says(now),
            socket: socket(host),
            peer,
        }
    }

    /// One of each.
    fn sprays(&mut self, scene: &Scene) {
        let to = scene.browsers[0].voice.to;
        let mut kinds = self.hellos.clone();
        kinds.push(self.peer.check(true));
        kinds.push(b"\x80\x08\x00\x01\x00\x00\x00\xA0junkstrange".to_vec());
        kinds.push(b"\x15\xFE\xFD\0\0\0\0\0\0\0\0\0\x02\x02\x28".to_vec());
        kinds.push(b"GET / HTTP/1.1\r\n\r\n".to_vec());
        kinds.push(Vec::new());
        for bytes in kinds {
            let _ = self.socket.send_to(&bytes, to);
        }
    }

    fn hears(&self) -> bool {
        self.socket.recv(&mut [0; 2_000]).is_ok()
    }
}

#[test]
fn a_stranger_who_sprays_the_shared_port_is_not_heard_and_hears_nothing() {
    let mut scene = Scene::new(91);
    scene.browser(440.0, 1);
    scene.telephone(1_000.0, 1);
    scene.meet(0);
    let mut stranger = Stranger::new(&scene, 92);
    // Before the browser comes, while it shakes hands, and while it talks.
    for _ in 0..20 {
        stranger.sprays(&scene);
    }
    let spray = |scene: &mut Scene, stranger: &mut Stranger, times: u32| {
        for _ in 0..times {
            stranger.sprays(scene);
            scene.talk(SECOND / 100);
        }
    };
    spray(&mut scene, &mut stranger, 30);
    scene.until_heard();
    scene.forget();
    spray(&mut scene, &mut stranger, 100);
    let (browser, telephone) = (&scene.browsers[0].voice, &scene.telephones[0].1);
    assert_eq!(
        (browser.hears(1_000.0), browser.lost(), browser.odd),
        (100, 0, 0)
    );
    assert_eq!((telephone.hears(440.0), telephone.lost()), (100, 0));
    assert!(!stranger.hears());
    scene.until("counted", |scene| {
        let (door, counts) = (door(scene), scene.workers.web_counts());
        let at_the_door = door.unrouted >= 140 && door.other >= 280;
        at_the_door && counts.forged >= 140 && counts.strange >= 280
    });
    let (door, counts) = (door(&scene), scene.workers.web_counts());
    println!("{door:?}, {counts:?}; load {}", load());
    assert_eq!(counts.secured, 1);

    // The control: who knows the password is answered.
    let check = scene.browsers[0].peer.check(false);
    stranger
        .socket
        .send_to(&check, scene.browsers[0].voice.to)
        .unwrap();
    scene.talk(SECOND / 4);
    assert!(stranger.hears());
    scene.close();
}

#[test]
fn sound_in_clear_is_not_heard_wherever_it_comes_from() {
    let mut scene = Scene::new(93);
    scene.browser(440.0, 1);
    scene.telephone(1_000.0, 1);
    scene.meet(0);
    scene.until_heard();
    scene.browsers[0].voice.speaks = false;
    scene.talk(SECOND / 5);
    scene.forget();
    // From its very address, and from elsewhere: without its keys.
    let elsewhere = socket(94);
    let guards = scene.browsers[0].voice.talker.guards.take();
    let clear: Vec<Vec<u8>> = (0..50)
        .map(|_| scene.browsers[0].voice.talker.packet())
        .collect();
    scene.browsers[0].voice.talker.guards = guards;
    let guarded: Vec<Vec<u8>> = (0..50)
        .map(|_| scene.browsers[0].voice.talker.packet())
        .collect();
    for clear in &clear {
        let voice = &scene.browsers[0].voice;
        voice.socket.send_to(clear, voice.to).unwrap();
        elsewhere.send_to(clear, voice.to).unwrap();
        scene.talk(SECOND / 200);
    }
    assert!(scene.telephones[0].1.heard.is_empty());
    assert!(elsewhere.recv(&mut [0; 2_000]).is_err());
    scene.until("counted", |scene| door(scene).unrouted >= 50);
    // The control: with them it is heard.
    for guarded in &guarded {
        let voice = &scene.browsers[0].voice;
        voice.socket.send_to(guarded, voice.to).unwrap();
        scene.talk(SECOND / 200);
    }
    assert!(scene.telephones[0].1.heard.len() >= 45);
    scene.close();
}

#[test]
fn whose_certificate_is_not_the_signalled_one_is_sent_away_and_hears_nothing() {
    let mut scene = Scene::new(95);
    scene.browser(440.0, 1);
    scene.telephone(1_000.0, 1);
    let other = web::identity(scene.clock).unwrap();
    scene.meet_as(0, other.fingerprint().to_string());
    scene.until("told", |scene| lost(scene).is_some());
    assert_eq!(lost(&scene).map(|it| it.1), Some(Loss::Stranger));
    scene.talk(SECOND / 2);
    assert!(scene.browsers[0].voice.heard.is_empty() && scene.telephones[0].1.heard.is_empty());
    assert_eq!(scene.browsers[0].voice.odd, 0, "nothing at all");
    // The control.
    scene.browser(440.0, 1);
    scene.meet(1);
    scene.until("heard", |scene| scene.browsers[1].voice.heard.len() > 3);
    scene.close();
}

/// Who was overheard has the stream's name, and whole packets of it.
#[test]
fn what_was_said_before_or_is_made_up_moves_nobody() {
    let mut scene = Scene::new(97);
    scene.browser(440.0, 1);
    scene.telephone(1_000.0, 1);
    scene.meet(0);
    scene.until_heard();
    let voice = &mut scene.browsers[0].voice;
    let to = voice.to;
    let said: Vec<_> = (0..20).map(|_| voice.talker.packet()).collect();
    for packet in &said {
        voice.socket.send_to(packet, to).unwrap();
    }
    // The browser is silent, or it would not be looked for elsewhere.
    voice.speaks = false;
    scene.talk(SECOND / 4);
    scene.forget();
    let stranger = socket(98);
    for packet in &said {
        let mut forged = packet.clone();
        // The number of the next, and its tag unknown.
        forged[3] = forged[3].wrapping_add(40);
        for packet in [packet, &forged] {
            stranger.send_to(packet, to).unwrap();
        }
        scene.talk(SECOND / 50);
    }
    assert!(stranger.recv(&mut [0; 2_000]).is_err());
    assert!(scene.telephones[0].1.heard.is_empty());
    assert_eq!(
        (door(&scene).moved, scene.workers.web_counts().asked),
        (0, 0)
    );
    // The control: what is new and true does.
    let voice = &mut scene.browsers[0].voice;
    let packet = voice.talker.packet();
    stranger.send_to(&packet, to).unwrap();
    scene.until("counted", |scene| {
        (door(scene).moved, scene.workers.web_counts().asked) == (1, 1)
    });
    scene.until("the question", |_| stranger.recv(&mut [0; 2_000]).is_ok());
    // That is all that is sent there, until it is answered.
    scene.talk(SECOND / 4);
    assert!(stranger.recv(&mut [0; 2_000]).is_err());
    scene.close();
}
