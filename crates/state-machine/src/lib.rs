//! The shape every replayed core shares.
