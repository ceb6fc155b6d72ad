//! ListGroups and DescribeGroups.

use std::collections::{BTreeMap, BTreeSet};

use protocol::Str;
use protocol::describe_groups_response::DescribedGroup;
use protocol::list_groups_response::ListedGroup;
use types::ErrorCode;

use crate::coordinator::{GroupCoordinator, Soft};

/// From this version on a group that does not exist is an error, and not a dead group.
const VERSION_GROUP_ID_NOT_FOUND: i16 = 6;
/// The type of every group here, as ListGroups spells it.
const GROUP_TYPE: &str = "classic";

impl GroupCoordinator {
    pub(crate) fn list_groups(
        &self,
        soft: &Soft,
        states: &[Str],
        types: &[Str],
    ) -> Vec<ListedGroup> {
        if !types.is_empty()
            && !types
                .iter()
                .any(|name| name.eq_ignore_ascii_case(GROUP_TYPE))
        {
            return Vec::new();
        }
        // There are a few states, and perhaps many groups and many names of states.
        let mut is_listed: BTreeMap<&str, bool> = BTreeMap::new();
        let group_ids: BTreeSet<&Str> = self.groups.keys().chain(soft.groups.keys()).collect();
        group_ids
            .into_iter()
            .filter_map(|group_id| {
                let group = self.view(soft, group_id)?;
                let state = group.state().name();
                let is_listed = *is_listed.entry(state).or_insert_with(|| {
                    states.is_empty() || states.iter().any(|s| s.trim().eq_ignore_ascii_case(state))
                });
                is_listed.then(|| ListedGroup {
                    group_id: group_id.clone(),
                    protocol_type: group.protocol_type().cloned().unwrap_or_default(),
                    group_state: Str::from_static(state),
                    group_type: Str::from_static(GROUP_TYPE),
                })
            })
            .collect()
    }

    pub(crate) fn describe_group(
        &self,
        soft: &Soft,
        version: i16,
        group_id: &Str,
    ) -> DescribedGroup {
        if let Some(group) = self.view(soft, group_id) {
            return group.describe();
        }
        let mut dead = DescribedGroup {
            group_id: group_id.clone(),
            group_state: Str::from_static("Dead"),
            ..Default::default()
        };
        if version >= VERSION_GROUP_ID_NOT_FOUND {
            dead.error_code = ErrorCode::GROUP_ID_NOT_FOUND.0;
            dead.error_message = Some(Str::from(format!("Group {group_id} not found.")));
        }
        dead
    }
}
