//! The voice threads in real time, without a worker: taps are fed by hand.
#![expect(
    clippy::disallowed_methods,
    reason = "threads in real time are waited for"
)]

use std::time::{Duration, Instant};

use media::tap::VoiceTap;
use rtrb::RingBuffer;
use voice::activity::{Patience, Spurt};
use voice::chain::Wanted;

use super::{Account, Hearing, VoiceFull, VoiceId, VoiceNews, VoicePool, Voiced, tell};

const ECHO: Wanted = Wanted {
    echo: true,
    noise: false,
    gain: false,
};

fn hearing(id: u32, end: media::tap::VoiceEnd) -> Hearing {
    Hearing {
        id: VoiceId(7, id),
        wanted: ECHO,
        patience: Patience::default(),
        tap: end.tap,
        back: Some(end.back),
        listener: None,
    }
}

/// Waits for it, a second at most.
fn within_a_second<T>(mut what: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(it) = what() {
            return it;
        }
        assert!(began.elapsed() < Duration::from_secs(1), "nothing came");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn tick(tap: &mut VoiceTap, at: u64, said: &[i16; 320], sent: &[i16; 320]) -> ([i16; 320], bool) {
    let mut heard = *said;
    let in_time = tap.hear(16_000, &mut heard);
    tap.offer(at, 16_000, sent);
    (heard, in_time)
}

#[test]
fn a_detour_brings_a_processed_voice_back_within_the_tick() {
    let (pool, _news) = VoicePool::start(1, 4).unwrap();
    let (mut tap, end) = VoiceTap::detour();
    pool.listen(hearing(0, end)).unwrap();
    let tone = |n: usize| ((n as f32 * 0.25).sin() * 8_000.0) as i16;
    let mut loud = 0;
    for at in 0..25 {
        let said = std::array::from_fn(|n| tone(at * 320 + n));
        let (heard, _) = tick(&mut tap, at as u64, &said, &[0; 320]);
        loud += usize::from(heard.iter().any(|sample| *sample > 5_000));
        // As a worker's wheel: the thread has 20 ms.
        let next = Instant::now() + Duration::from_millis(20);
        within_a_second(|| (Instant::now() >= next).then_some(()));
    }
    assert!(loud >= 20, "{loud} of 25 ticks were heard");
    assert!(tap.missed() <= 3, "{} ticks came late", tap.missed());
}

#[test]
fn a_listener_gets_every_frame_with_its_position_and_the_end_is_told() {
    let (pool, mut news) = VoicePool::start(2, 4).unwrap();
    let (mut tap, end) = VoiceTap::tap();
    let (listener, mut voices) = RingBuffer::<Voiced>::new(64);
    pool.listen(Hearing {
        listener: Some(listener),
        ..hearing(3, end)
    })
    .unwrap();
    // The wheel leaves out two ticks: their place stays empty.
    for at in [0, 1, 4] {
        tick(&mut tap, at, &[50; 320], &[0; 320]);
    }
    let heard: Vec<u64> = (0..6)
        .map(|_| within_a_second(|| voices.pop().ok()).at)
        .collect();
    assert_eq!(heard, [0, 160, 320, 480, 1_280, 1_440]);
    drop(tap);
    let told = within_a_second(|| news.try_recv().ok());
    let VoiceNews::Ended { id, account } = told else {
        panic!("{told:?}");
    };
    assert_eq!(id, VoiceId(7, 3));
    let Account { frames, lost, .. } = account;
    assert_eq!((frames, lost), (10, 4));
    assert_eq!(pool.legs(), 0);
}

#[test]
fn a_full_pool_refuses_and_a_slow_listener_loses_the_newest() {
    let (pool, mut news) = VoicePool::start(1, 1).unwrap();
    let (mut tap, end) = VoiceTap::tap();
    let (listener, mut voices) = RingBuffer::<Voiced>::new(2);
    pool.listen(Hearing {
        listener: Some(listener),
        ..hearing(0, end)
    })
    .unwrap();
    let (_other, end) = VoiceTap::tap();
    assert_eq!(pool.listen(hearing(1, end)), Err(VoiceFull));
    for at in 0..3 {
        tick(&mut tap, at, &[50; 320], &[0; 320]);
    }
    drop(tap);
    let told = within_a_second(|| news.try_recv().ok());
    assert!(
        matches!(told, VoiceNews::Ended { account, .. } if account.dropped == 4),
        "{told:?}"
    );
    let kept: Vec<u64> = std::iter::from_fn(|| voices.pop().ok())
        .map(|it| it.at)
        .collect();
    assert_eq!(kept, [0, 160]);
}

#[test]
fn news_that_nobody_takes_are_dropped_newest_first_and_counted() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let (news, mut told) = tokio::sync::mpsc::channel(2);
    metrics::with_local_recorder(&recorder, || {
        for at in 0..5 {
            let (id, spurt) = (VoiceId(7, 0), Spurt::Began { at, from: 0 });
            tell(&news, VoiceNews::Spurt { id, spurt });
        }
    });
    let kept: Vec<VoiceNews> = std::iter::from_fn(|| told.try_recv().ok()).collect();
    let spurt = |at| Spurt::Began { at, from: 0 };
    let wanted = [0, 1].map(|at| VoiceNews::Spurt {
        id: VoiceId(7, 0),
        spurt: spurt(at),
    });
    assert_eq!(kept, wanted);
    let counted = handle.render();
    assert!(
        counted.contains("tandem_voice_news_dropped_total 3"),
        "{counted}"
    );
}
