//! Two futures that feed each other inside one task, without the task being woken for it.
//!
//! hyper's connection hands what it reads to a body over a channel. Polled by one task in turn, the two would wake that
//! task for every chunk, to find nothing new. So they are given a waker of their own: while they are being polled a wake
//! only means "once more"; at any other time, when the socket is ready again, it wakes the task.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// The waker of a pair of futures, and of the task that polls them.
#[derive(Debug)]
pub(super) struct Turns {
    shared: Arc<Shared>,
    waker: Waker,
}

#[derive(Debug)]
struct Shared {
    is_polling: AtomicBool,
    /// Somebody has something new.
    is_woken: AtomicBool,
    task: AtomicWaker,
}

impl Turns {
    pub(super) fn new() -> Self {
        let shared =
            Shared { is_polling: AtomicBool::new(false), is_woken: AtomicBool::new(false), task: AtomicWaker::new() };
        let shared = Arc::new(shared);
        Self { waker: Waker::from(Arc::clone(&shared)), shared }
    }

    /// Polls until there is a result, or nothing new to be had before the task is woken.
    pub(super) fn take<T>(
        &self,
        context: &mut Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.shared.task.register(context.waker());
        let mut own = Context::from_waker(&self.waker);
        self.shared.is_polling.store(true, SeqCst);
        let result = loop {
            self.shared.is_woken.store(false, SeqCst);
            let result = poll(&mut own);
            if result.is_ready() || !self.shared.is_woken.load(SeqCst) {
                break result;
            }
        };
        self.shared.is_polling.store(false, SeqCst);
        // A wake between the last look and the line above was meant for the task.
        if result.is_pending() && self.shared.is_woken.load(SeqCst) {
            context.waker().wake_by_ref();
        }
        result
    }
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, SeqCst);
        if !self.is_polling.load(SeqCst) {
            self.task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    #[test]
    fn wakes_inside_are_another_turn_and_wakes_outside_reach_the_task() {
        let (turns, count) = (Turns::new(), Arc::new(Count::default()));
        let task = Waker::from(Arc::clone(&count));
        let mut context = Context::from_waker(&task);
        let (mut polls, mut kept) = (0, None);
        let polled = turns.take(&mut context, |context| {
            polls += 1;
            kept = Some(context.waker().clone());
            if polls < 3 {
                context.waker().wake_by_ref();
            }
            Poll::<()>::Pending
        });
        assert!(polled.is_pending());
        assert_eq!((polls, count.0.load(SeqCst)), (3, 0), "one more turn for each wake, and the task is let be");
        kept.unwrap().wake();
        assert_eq!(count.0.load(SeqCst), 1, "the socket is ready");
        assert!(turns.take(&mut context, |_| Poll::Ready(())).is_ready());
    }

    #[tokio::test]
    async fn no_wake_of_another_thread_is_lost() {
        let (turns, ready) = (Turns::new(), Arc::new(AtomicUsize::new(0)));
        let (sender, receiver) = std::sync::mpsc::channel::<Waker>();
        let set = Arc::clone(&ready);
        let other = std::thread::spawn(move || {
            for waker in receiver {
                set.fetch_add(1, SeqCst);
                waker.wake();
            }
        });
        for round in 1..=20_000 {
            let mut asked = false;
            std::future::poll_fn(|context| {
                turns.take(context, |context| {
                    if ready.load(SeqCst) == round {
                        return Poll::Ready(());
                    }
                    if !std::mem::replace(&mut asked, true) {
                        sender.send(context.waker().clone()).unwrap();
                    }
                    Poll::Pending
                })
            })
            .await;
        }
        drop(sender);
        other.join().unwrap();
    }
}
