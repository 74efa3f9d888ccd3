//! Tandem: a real-time media server for contact centres.
