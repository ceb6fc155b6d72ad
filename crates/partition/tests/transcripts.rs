//! Protocol tests as transcripts: what a replica is told, `----`, what it says.
//!
//! `transcripts/NAME.txt` holds the commands, one a line; `transcripts/NAME.snap` holds the transcript.
//! After a change: look at the difference, then accept it with `INSTA_UPDATE=always`.

#![allow(
    clippy::unwrap_used,
    reason = "a script or a world that makes no sense ends the test"
)]

mod script;

macro_rules! transcripts {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            let transcript = script::run(include_str!(concat!("transcripts/", stringify!($name), ".txt")));
            let mut settings = insta::Settings::clone_current();
            settings.set_snapshot_path("transcripts");
            settings.set_prepend_module_to_snapshot(false);
            settings.set_omit_expression(true);
            settings.bind(|| insta::assert_snapshot!(stringify!($name), transcript));
        })*
    };
}

transcripts! {
    acks
    delete_records
    disk_failure
    durability
    duplicates
    epochs
    expiry
    failed_append
    followers
    fences
    min_insync_replicas
    producer_epochs
    recovery
    sequence_wrap
    transactions
}
