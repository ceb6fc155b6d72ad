//! The KRaft quorum core.
