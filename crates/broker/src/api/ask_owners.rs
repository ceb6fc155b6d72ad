//! One request about many partitions: asked of the shards that own them, all at once.

use env::Env;
use tokio::sync::oneshot;
use types::TopicPartition;

use crate::context::Context;
use crate::shard::ShardMessage;

/// Sends each question to the shard that owns its partition, one `message` per shard. `key` gives a question's
/// partition, and what it is known by if its shard is gone.
pub(crate) async fn ask_owners<E: Env, Q, A, K>(
    context: &Context<E>,
    questions: impl IntoIterator<Item = Q>,
    key: impl Fn(&Q) -> (TopicPartition, K),
    message: impl Fn(Vec<Q>, oneshot::Sender<Vec<A>>) -> ShardMessage<E::Disk>,
) -> Asked<A, K> {
    let mut waiting = Vec::new();
    for (shard, questions) in context.by_shard(questions, |question| key(question).0) {
        let keys = questions.iter().map(|question| key(question).1).collect();
        let (reply, answers) = oneshot::channel();
        // To a shard that is gone nothing is sent, and the reply goes with the message.
        let _ = context.shards[shard].send(message(questions, reply)).await;
        waiting.push((keys, answers));
    }
    Asked { waiting }
}

/// Questions that were sent.
pub(crate) struct Asked<A, K> {
    waiting: Vec<(Vec<K>, oneshot::Receiver<Vec<A>>)>,
}

impl<A, K> Asked<A, K> {
    /// The answer to each question, with the question's key, which `key` finds in an answer; none if the shard is
    /// gone.
    pub async fn answers(self, key: impl Fn(&A) -> K) -> Vec<(K, Option<A>)> {
        let mut all = Vec::new();
        for (keys, answers) in self.waiting {
            match answers.await {
                Ok(answers) => all.extend(answers.into_iter().map(|a| (key(&a), Some(a)))),
                Err(_) => all.extend(keys.into_iter().map(|key| (key, None))),
            }
        }
        all
    }
}
