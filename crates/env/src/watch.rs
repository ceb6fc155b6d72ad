//! A value that is replaced now and then, and those who want to know.
//!
//! Tokio has the like (`tokio::sync::watch`), but spreads the waiting over several lists and draws which: in a
//! simulated world they would be woken in another order in each process. Here they wait in one line.

use std::ops::Deref;
use std::pin::pin;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use tokio::sync::Notify;

#[derive(Debug)]
struct State<T> {
    value: T,
    /// Counts replacements.
    version: u64,
    sender_is_gone: bool,
    receivers: usize,
}

#[derive(Debug)]
struct Shared<T> {
    state: RwLock<State<T>>,
    changed: Notify,
    abandoned: Notify,
}

impl<T> Shared<T> {
    fn read(&self) -> RwLockReadGuard<'_, State<T>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write<R>(&self, change: impl FnOnce(&mut State<T>) -> R) -> R {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut state)
    }
}

/// Replaces the value. There is one.
#[derive(Debug)]
pub struct Sender<T>(Arc<Shared<T>>);

/// Sees the value.
#[derive(Debug)]
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    seen: u64,
}

/// Nobody can replace the value any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderIsGone;

/// The value, for as long as this is held: briefly, since it keeps the sender waiting.
pub struct Ref<'a, T>(RwLockReadGuard<'a, State<T>>);

impl<T> Deref for Ref<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

/// The two ends; the receiver has seen the first value.
#[must_use]
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let state = State {
        value,
        version: 0,
        sender_is_gone: false,
        receivers: 1,
    };
    let shared = Arc::new(Shared {
        state: RwLock::new(state),
        changed: Notify::new(),
        abandoned: Notify::new(),
    });
    let receiver = Receiver {
        shared: shared.clone(),
        seen: 0,
    };
    (Sender(shared), receiver)
}

impl<T> Sender<T> {
    /// The value.
    #[must_use]
    pub fn borrow(&self) -> Ref<'_, T> {
        Ref(self.0.read())
    }

    /// Puts another value in its place and gives the old one back.
    pub fn send_replace(&self, value: T) -> T {
        let old = self.0.write(|state| {
            state.version += 1;
            std::mem::replace(&mut state.value, value)
        });
        self.0.changed.notify_waiters();
        old
    }

    /// Completes when there is no receiver left.
    pub async fn closed(&self) {
        loop {
            let mut abandoned = pin!(self.0.abandoned.notified());
            abandoned.as_mut().enable();
            if self.0.read().receivers == 0 {
                return;
            }
            abandoned.await;
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.write(|state| state.sender_is_gone = true);
        self.0.changed.notify_waiters();
    }
}

impl<T> Receiver<T> {
    /// The value.
    #[must_use]
    pub fn borrow(&self) -> Ref<'_, T> {
        Ref(self.shared.read())
    }

    /// The value, which counts as seen from now on.
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        let state = self.shared.read();
        self.seen = state.version;
        Ref(state)
    }

    /// Completes when there is a value that was not seen yet, which counts as seen from then on.
    ///
    /// # Errors
    /// There will be none.
    pub async fn changed(&mut self) -> Result<(), SenderIsGone> {
        loop {
            let mut changed = pin!(self.shared.changed.notified());
            changed.as_mut().enable();
            {
                let state = self.shared.read();
                if state.version != self.seen {
                    self.seen = state.version;
                    return Ok(());
                }
                if state.sender_is_gone {
                    return Err(SenderIsGone);
                }
            }
            changed.await;
        }
    }

    /// Completes when the value is as wanted.
    ///
    /// # Errors
    /// It will never be.
    pub async fn wait_for(&mut self, wanted: impl Fn(&T) -> bool) -> Result<(), SenderIsGone> {
        loop {
            if wanted(&self.borrow_and_update()) {
                return Ok(());
            }
            self.changed().await?;
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Receiver<T> {
        self.shared.write(|state| state.receivers += 1);
        Receiver {
            shared: self.shared.clone(),
            seen: self.seen,
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let left = self.shared.write(|state| {
            state.receivers -= 1;
            state.receivers
        });
        if left == 0 {
            self.shared.abandoned.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::task::{Context, Poll, Wake, Waker};

    use super::*;

    /// Notes its name when it is woken.
    struct Named(usize, Arc<Mutex<Vec<usize>>>);

    impl Wake for Named {
        fn wake(self: Arc<Named>) {
            self.1.lock().unwrap().push(self.0);
        }
    }

    fn poll<F: Future>(future: F) -> Poll<F::Output> {
        pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_change_is_heard_once_by_each() {
        let (sender, mut one) = channel(1);
        let mut two = one.clone();
        assert!(poll(one.changed()).is_pending());
        assert_eq!(sender.send_replace(2), 1);
        assert_eq!(poll(one.changed()), Poll::Ready(Ok(())));
        assert!(poll(one.changed()).is_pending());
        assert_eq!(*two.borrow_and_update(), 2);
        assert!(poll(two.changed()).is_pending());
        assert!(poll(two.wait_for(|value| *value == 3)).is_pending());
        sender.send_replace(3);
        drop(sender);
        assert_eq!(poll(two.wait_for(|value| *value == 3)), Poll::Ready(Ok(())));
        assert_eq!(poll(one.changed()), Poll::Ready(Ok(())));
        assert_eq!(poll(one.changed()), Poll::Ready(Err(SenderIsGone)));
    }

    #[test]
    fn the_sender_hears_when_nobody_is_left() {
        let (sender, one) = channel(());
        let two = one.clone();
        drop(one);
        assert!(poll(sender.closed()).is_pending());
        drop(two);
        assert_eq!(poll(sender.closed()), Poll::Ready(()));
    }

    #[test]
    fn those_who_wait_are_woken_in_the_order_in_which_they_came() {
        let (sender, receiver) = channel(false);
        let woken = Arc::new(Mutex::new(Vec::new()));
        let mut waiting: Vec<_> = (0..50)
            .map(|_| {
                let mut receiver = receiver.clone();
                Box::pin(async move { receiver.changed().await })
            })
            .collect();
        for (name, future) in waiting.iter_mut().enumerate() {
            let waker = Waker::from(Arc::new(Named(name, woken.clone())));
            assert!(
                future
                    .as_mut()
                    .poll(&mut Context::from_waker(&waker))
                    .is_pending()
            );
        }
        sender.send_replace(true);
        assert_eq!(*woken.lock().unwrap(), (0..50).collect::<Vec<_>>());
    }
}
