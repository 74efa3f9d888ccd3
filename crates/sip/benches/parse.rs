//! What a message costs on its way to its transaction: parse, topmost Via, CSeq, key; ours beside
//! rsip's in one run.
//!
//! The bar: ours at most 0.15 of rsip's. The message is a carrier's INVITE of 1.3 kB with 20
//! headers.

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use rsip::message::HeadersExt;
use rsip::prelude::ToTypedHeader;
use sip::message::{Accepts, Message, Method};
use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;

const INVITE: &[u8] = include_bytes!("../../../tests/data/sip/invite_1300.sip");

const SERVER: Accepts<'static> = Accepts {
    methods: &[Method::Invite],
    extensions: &[],
    bodies: Some(&["application/sdp"]),
    tel: true,
    passes_on: false,
};

fn parse(c: &mut Criterion) {
    let hasher = RandomState::new();
    let bytes = Bytes::from_static(INVITE);
    c.bench_function("ours/parse_and_key", |b| {
        b.iter(|| {
            let message = Message::parse(black_box(bytes.clone())).ok()?;
            let key = message.transaction_key().ok()?;
            Some(hasher.hash_one(key))
        });
    });
    c.bench_function("ours/parse_and_validate", |b| {
        b.iter(|| {
            let message = Message::parse(black_box(bytes.clone())).ok()?;
            message.validate_request(&SERVER).ok()
        });
    });
    c.bench_function("rsip/parse_and_key", |b| {
        b.iter(|| {
            let message = rsip::SipMessage::try_from(black_box(INVITE)).ok()?;
            let via = message.via_header().ok()?.typed().ok()?;
            let cseq = message.cseq_header().ok()?.typed().ok()?;
            let branch = via.branch()?.value();
            Some(hasher.hash_one((
                branch,
                via.uri.host_with_port.to_string(),
                cseq.method.to_string(),
            )))
        });
    });
    c.bench_function("rsip/parse_alone", |b| {
        b.iter(|| rsip::SipMessage::try_from(black_box(INVITE)).ok());
    });
}

criterion_group!(benches, parse);
criterion_main!(benches);
