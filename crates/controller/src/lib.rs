//! The decisions that change the cluster's image.
