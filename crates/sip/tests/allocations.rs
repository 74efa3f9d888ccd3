//! A parse allocates its index, and the shared owner of the buffer where nobody else holds it: two
//! at most.
#![expect(
    unsafe_code,
    reason = "an allocator that counts is `GlobalAlloc`, which is unsafe to implement"
)]

use bytes::Bytes;
use sip::message::{Message, TransactionKey};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

const INVITE: &[u8] = include_bytes!("../../../tests/data/sip/invite_1300.sip");

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// Counts each thread's allocations; tests run on threads of their own.
struct Counting;

// SAFETY: every call goes to the system's allocator unchanged; the counter is a `Cell` without a
// destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System.alloc` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count<T>(work: impl FnOnce() -> T) -> (u64, T) {
    let before = ALLOCATIONS.with(Cell::get);
    let result = work();
    (ALLOCATIONS.with(Cell::get) - before, result)
}

#[test]
fn a_parse_and_its_key_allocate_twice_at_most() {
    let owned = Bytes::from(INVITE.to_vec());
    let (allocations, branch_length) = count(|| {
        let message = Message::parse(owned).unwrap();
        assert_eq!(message.lines().count(), 20);
        match message.transaction_key().unwrap() {
            TransactionKey::Server { branch, .. } => branch.len(),
            _ => 0,
        }
    });
    assert_eq!(branch_length, 27);
    assert!(allocations <= 2, "{allocations} allocations");
}

#[test]
fn the_views_allocate_nothing() {
    let message = Message::parse(Bytes::from_static(INVITE)).unwrap();
    let (allocations, ()) = count(|| {
        assert_eq!(message.from().unwrap().tag(), Some("9fxced76sl"));
        assert!(message.to().is_ok() && message.call_id().is_ok() && message.cseq().is_ok());
        assert!(message.vias().chain(message.vias()).all(|via| via.is_ok()));
        assert_eq!(
            message.contacts().count() + message.record_routes().count(),
            2
        );
        assert_eq!(
            message
                .session_expires()
                .unwrap()
                .map(|deltas| deltas.seconds),
            Some(1800)
        );
    });
    assert_eq!(allocations, 0);
}

#[test]
fn a_flood_of_headers_is_refused_before_it_is_stored() {
    let flood = [
        &b"OPTIONS sip:a@b SIP/2.0\r\n"[..],
        &b"v: x\r\n".repeat(10_000),
    ]
    .concat();
    let (allocations, refused) = count(|| Message::parse(Bytes::from(flood)).unwrap_err());
    assert_eq!(refused.answer, Some(513));
    assert!(
        allocations <= 8,
        "{allocations} allocations: the index may only double up to its bound"
    );
}
