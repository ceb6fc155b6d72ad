//! The client against brokers that do what a test wants of them.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod broker;
mod connection;
mod last_words;
mod one_partition_broken;
