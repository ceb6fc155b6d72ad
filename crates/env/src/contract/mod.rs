//! The tests that every implementation of [`Env`](crate::Env) must pass.
