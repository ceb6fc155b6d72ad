//! Producer, consumer and admin: what users run, and the simulator's load.
