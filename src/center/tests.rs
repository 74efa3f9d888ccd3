//! The centre by scenario, and by random operation against what it promises.
