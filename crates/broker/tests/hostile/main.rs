//! Clients that ask for too much, by mistake or by intent, against a broker in a simulated world: hours pass
//! in milliseconds, and what a client sees is bytes.
#![allow(clippy::unwrap_used, reason = "tests")]

extern crate ottla_broker as broker;

mod machine;
mod site;

mod answers;
mod auto_create;
mod bad_input;
mod connections;
mod coordinator;
mod large_requests;
mod memory;
mod open_files;
mod opening;
mod slow;
