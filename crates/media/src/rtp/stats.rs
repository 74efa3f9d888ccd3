//! Reception statistics (RFC 3550 §6.4).
