//! The world as traits: clock, entropy, network, disk, spawner.
