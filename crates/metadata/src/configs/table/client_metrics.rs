//! The keys of subscriptions to clients' metrics.

use super::prelude::*;

keys! {
    "interval.ms" Int "300000" [Any] Medium ClusterWide
        "How often clients push their metrics." NoEffect(TELEMETRY);
    "match" List "" [Any] Medium ClusterWide
        "Which clients the subscription is for, as name=pattern." NoEffect(TELEMETRY);
    "metrics" List "" [Any] Medium ClusterWide
        "Which metrics are asked for, as prefixes of their names; * for all." NoEffect(TELEMETRY);
}
