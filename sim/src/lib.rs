//! The world as a seed: executor, network, disk, clocks, faults, workloads, oracles.
