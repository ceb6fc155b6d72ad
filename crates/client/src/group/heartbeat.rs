//! Keeps a membership alive while its owner is busy with records.
//!
//! The task ends when its owner drops it, when the coordinator says something that only the owner can
//! deal with, or when the owner has not polled for too long: then it leaves the group, so that others
//! get the partitions of an owner that hangs.

use std::time::Duration;

use env::watch;
use env::{Clock, Env, Spawner, Task};
use protocol::leave_group_request::MemberIdentity;
use protocol::{HeartbeatRequest, LeaveGroupRequest, Str};
use tokio::sync::mpsc;
use types::{ErrorCode, Mono};

use super::offsets::Committer;
use crate::connection::Connection;
use crate::{Error, Result};

/// How often, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beat {
    pub interval: Duration,
    /// How long to wait for an answer.
    pub timeout: Duration,
    /// The longest time between two polls.
    pub poll_max: Duration,
}

/// A running heartbeat. Dropping it stops it.
pub(super) struct Heartbeat<E: Env> {
    events: mpsc::Receiver<Error>,
    polled: watch::Sender<Mono>,
    task: <E::Spawner as Spawner>::Task,
}

impl<E: Env> Drop for Heartbeat<E> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<E: Env> Heartbeat<E> {
    pub fn start(env: &E, connection: Connection<E>, member: Committer, beat: Beat) -> Self {
        let (sender, events) = mpsc::channel(1);
        let (polled, seen) = watch::channel(env.clock().mono());
        let task = run(env.clone(), connection, member, beat, seen, sender);
        Heartbeat {
            events,
            polled,
            task: env.spawner().spawn("group heartbeat", task),
        }
    }

    /// The owner is alive.
    pub fn polled(&self, now: Mono) {
        self.polled.send_replace(now);
    }

    /// What the owner must deal with. May be dropped and called again.
    pub async fn event(&mut self) -> Error {
        match self.events.recv().await {
            Some(error) => error,
            // The task has said all it had to say.
            None => std::future::pending().await,
        }
    }

    /// The same, if it is there already.
    pub fn event_now(&mut self) -> Option<Error> {
        self.events.try_recv().ok()
    }
}

async fn run<E: Env>(
    env: E,
    connection: Connection<E>,
    member: Committer,
    beat: Beat,
    polled: watch::Receiver<Mono>,
    events: mpsc::Sender<Error>,
) {
    let mut next = env.clock().mono().after(beat.interval);
    loop {
        env.clock().sleep_until(next).await;
        let now = env.clock().mono();
        next = now.after(beat.interval);
        let since = now.since(*polled.borrow());
        if since > beat.poll_max {
            let deadline = now.after(beat.timeout);
            // The session would end by itself, later.
            let _ = leave(&connection, &member, "poll timeout has expired", deadline).await;
            let text = format!(
                "The consumer was not polled for {} ms and left the group.",
                since.as_millis()
            );
            let error = Error::server_with(ErrorCode::UNKNOWN_MEMBER_ID, Some(&text));
            let _ = events.send(error).await;
            return;
        }
        let version_min = if member.instance_id.is_some() { 3 } else { 0 };
        let request = HeartbeatRequest {
            group_id: member.group.clone(),
            generation_id: member.generation,
            member_id: member.member_id.clone(),
            group_instance_id: member.instance_id.clone(),
        };
        let result = async {
            let version = connection.version::<HeartbeatRequest>(version_min, i16::MAX)?;
            let pending = connection.send(&request, version)?;
            let response = pending.answer(now.after(beat.timeout)).await?;
            Error::check(response.error_code, None)
        };
        match result.await {
            Ok(()) => {}
            // The member stays alive until its owner comes to rejoin. A full queue says so already.
            Err(error) if error.code() == Some(ErrorCode::REBALANCE_IN_PROGRESS) => {
                let _ = events.try_send(error);
            }
            Err(error) => {
                let _ = events.send(error).await;
                return;
            }
        }
    }
}

/// Leaves the group.
pub(super) async fn leave<E: Env>(
    connection: &Connection<E>,
    member: &Committer,
    reason: &'static str,
    deadline: Mono,
) -> Result<()> {
    let build = |version| {
        let mut request = LeaveGroupRequest {
            group_id: member.group.clone(),
            ..LeaveGroupRequest::default()
        };
        if version >= 3 {
            request.members = vec![MemberIdentity {
                member_id: member.member_id.clone(),
                group_instance_id: member.instance_id.clone(),
                reason: Some(Str::from_static(reason)),
            }];
        } else {
            request.member_id = member.member_id.clone();
        }
        request
    };
    let response = connection.call(build, deadline).await?;
    Error::check(response.error_code, None)?;
    match response.members.first() {
        Some(member) => Error::check(member.error_code, None),
        None => Ok(()),
    }
}
