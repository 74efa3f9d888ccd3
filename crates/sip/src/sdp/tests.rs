//! Placeholder until the tables below are written.
