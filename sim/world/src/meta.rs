//! Whether a run is the same twice.
