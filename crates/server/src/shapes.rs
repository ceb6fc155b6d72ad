//! `--output help`: the schema of each command's JSON, by the command's words.

use serde_json::{Value, json};

use crate::commands::{
    cluster, config, explain, format, group, log, produce, serve, simulator, topic, version,
};
use crate::formats::json::JsonRecord;
use crate::output::Shape;

/// What the JSON of a command looks like; `None` for a command that has none.
pub(crate) fn of(path: &[&str]) -> Option<Value> {
    Some(match path {
        ["serve"] => serve::Ready::shape(),
        ["format"] => json!({ "anyOf": [format::Formatted::shape(), format::FreshId::shape()] }),
        ["topic", "create"] => Vec::<topic::Created>::shape(),
        ["topic", "list"] => Vec::<topic::Listed>::shape(),
        ["topic", "describe"] => Vec::<topic::Described>::shape(),
        ["topic", "alter"] => Vec::<topic::Altered>::shape(),
        ["topic", "delete"] => Vec::<topic::Deleted>::shape(),
        ["topic", "add-partitions"] => Vec::<topic::Grown>::shape(),
        ["topic", "trim"] => Vec::<topic::Trimmed>::shape(),
        ["topic", "offsets"] => Vec::<topic::Offsets>::shape(),
        ["group", "list"] => Vec::<group::ListedGroup>::shape(),
        ["group", "describe"] => Vec::<group::DescribedGroup>::shape(),
        ["group", "seek"] => Vec::<group::Sought>::shape(),
        ["group", "delete"] => Vec::<group::DeletedGroup>::shape(),
        ["group", "delete-offsets"] => Vec::<group::DeletedOffset>::shape(),
        ["produce"] => produce::Produced::shape(),
        ["consume"] => JsonRecord::shape(),
        ["cluster", "info"] => cluster::ClusterInfo::shape(),
        ["config", "get"] => Vec::<config::Setting>::shape(),
        ["config", "set" | "unset"] => Vec::<config::Changed>::shape(),
        ["config", "explain"] => Vec::<config::explain::KeyExplained>::shape(),
        ["explain"] => json!({
            "anyOf": [explain::ErrorExplained::shape(), Vec::<config::explain::KeyExplained>::shape()]
        }),
        ["log", "dump"] => Vec::<log::DumpEntry>::shape(),
        ["log", "verify"] => Vec::<log::VerifiedLog>::shape(),
        ["log", "repair"] => Vec::<log::RepairedLog>::shape(),
        ["sim", "run"] => simulator::SimReport::shape(),
        ["sim", "replay"] => simulator::SimReplay::shape(),
        ["sim", "draw"] => {
            json!({ "type": "object", "description": "A scenario: what its TOML form has." })
        }
        ["sim", "meta"] => simulator::SimMeta::shape(),
        ["sim", "scoreboard"] => simulator::SimScoreboard::shape(),
        ["version"] => version::VersionInfo::shape(),
        _ => return None,
    })
}
