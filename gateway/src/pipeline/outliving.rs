//! Work that is done where it is waited for, and goes on in a task of its own once nobody waits.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Runs inside the task that waits for it, which costs no task switch. Dropped before its end, it is told so and goes on
/// in the background.
pub(super) struct Outliving<F: Future<Output: Send> + Send + 'static> {
    /// `None` once it is over.
    work: Option<Pin<Box<F>>>,
    gone: CancellationToken,
    tasks: TaskTracker,
}

impl<F: Future<Output: Send> + Send + 'static> Outliving<F> {
    /// `gone` is cancelled when nobody waits any more; `tasks` then has the work.
    pub(super) fn new(work: F, gone: CancellationToken, tasks: TaskTracker) -> Self {
        Self { work: Some(Box::pin(work)), gone, tasks }
    }
}

/// What comes of the work; `None` if it panicked, which must not take the connection of other requests along.
impl<F: Future<Output: Send> + Send + 'static> Future for Outliving<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<F::Output>> {
        let Some(work) = &mut self.work else { return Poll::Ready(None) };
        // After a panic the work is dropped, and nobody sees the state that it left behind.
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)));
        let result = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Some(output),
            Err(_panic) => None,
        };
        self.work = None;
        Poll::Ready(result)
    }
}

impl<F: Future<Output: Send> + Send + 'static> Drop for Outliving<F> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            self.gone.cancel();
            self.tasks.spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn goes_on_when_nobody_waits_and_survives_a_panic() {
        let (gone, tasks) = (CancellationToken::new(), TaskTracker::new());
        let done = Outliving::new(async { 1 }, gone.clone(), tasks.clone()).await;
        assert_eq!((done, gone.is_cancelled(), tasks.len()), (Some(1), false, 0));
        let (sender, receiver) = oneshot::channel();
        let (told, finished) = oneshot::channel();
        let work = async move {
            let _ = told.send(receiver.await);
        };
        let mut waiting = Box::pin(Outliving::new(work, gone.clone(), tasks.clone()));
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        drop(waiting);
        assert!(gone.is_cancelled() && tasks.len() == 1);
        sender.send(7).unwrap();
        assert_eq!(finished.await.unwrap(), Ok(7));
        let panicking = async { panic!("on purpose") };
        assert_eq!(Outliving::<_>::new(panicking, gone, tasks).await, None::<()>);
    }
}
