//! The cluster's image and its deltas: what every node knows.
