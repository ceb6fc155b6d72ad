//! The built binary from outside: foreign clients, conformance, kill -9.

pub mod conformance;
