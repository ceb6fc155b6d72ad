//! Properties of all messages.
