//! Attacks on the whole control shard, each with its control: the defence switched off shows the harm.

mod a06_digest_leak;
mod a07_endless_challenges;
mod a09_unauthenticated;
mod a12_bad_answers;
mod a14_amplification;
mod a15_bans;
mod a15_enumeration;
mod a15_tokens;
mod plane;
mod target;
