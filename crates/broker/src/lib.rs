//! The node: connections, dispatch, one file per API; hosts the cores.
