//! The world as a seed.
