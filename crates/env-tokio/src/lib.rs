//! The world as tokio and files.
