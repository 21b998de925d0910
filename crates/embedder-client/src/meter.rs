//! What a run may spend and has spent, and whether it may go on.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::{EmbedError, EmbedErrorKind};

/// What a run may spend at most; `None` is no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SpendLimits {
    /// API calls, failed ones included.
    pub requests: Option<u64>,
    /// Tokens that the provider bills.
    pub tokens: Option<u64>,
}

/// Every call of a run is admitted here before it is sent. Clones are one meter: hand one to whoever may stop the run.
///
/// A bound is never crossed by what the provider bills: before the first bill every text counts as one token a byte,
/// which no tokenizer exceeds by more than its marks, and afterwards as the dearest call so far; a call that does not
/// fit waits until those in flight are billed. Calls whose answer is lost cannot be counted: only the provider knows.
#[derive(Clone)]
pub struct Meter(Arc<Inner>);

struct Inner {
    limits: SpendLimits,
    state: Mutex<State>,
    /// Raised on every stop and every bill.
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    stopped: bool,
    requests: u64,
    tokens: u64,
    /// Tokens set aside for calls in flight.
    reserved: u64,
    in_flight: u32,
    /// Tokens a byte of the dearest call so far, its marks left out; `None` before the first bill.
    dearest: Option<f64>,
}

/// Tokens that a tokenizer adds around each text: begin and end.
const MARKS: u64 = 4;

impl Default for Meter {
    fn default() -> Self {
        Self::new(SpendLimits::default())
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter")
            .field("limits", &self.0.limits)
            .field("state", &*self.state())
            .finish()
    }
}

impl Meter {
    /// A meter with bounds.
    #[must_use]
    pub fn new(limits: SpendLimits) -> Self {
        Self(Arc::new(Inner {
            limits,
            state: Mutex::default(),
            changed: watch::Sender::new(()),
        }))
    }

    /// The bounds.
    #[must_use]
    pub fn limits(&self) -> SpendLimits {
        self.0.limits
    }

    /// Admits no call from now on, and wakes those that wait for their next attempt. Calls in flight are not cut off:
    /// they are paid for.
    pub fn stop(&self) {
        self.state().stopped = true;
        self.0.changed.send_replace(());
    }

    /// Whether it was stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.state().stopped
    }

    /// Admits one call with these texts, or tells why not. Waits only while a bound on tokens leaves that open.
    ///
    /// # Errors
    /// `Stopped` or `Budget`; nothing was sent then.
    pub async fn admit(&self, texts: &[String]) -> Result<Admission, EmbedError> {
        let bytes: u64 = texts.iter().map(|text| text.len() as u64).sum();
        let mut changed = self.0.changed.subscribe();
        loop {
            {
                let mut state = self.state();
                if state.stopped {
                    return Err(stopped());
                }
                if let Some(most) = self.0.limits.requests
                    && state.requests >= most
                {
                    return Err(spent(format!("{most} requests are allowed and made")));
                }
                let need = state.need(bytes, texts.len() as u64);
                let fits = self
                    .0
                    .limits
                    .tokens
                    .is_none_or(|most| state.would_be(need) <= most);
                if fits {
                    state.requests += 1;
                    state.in_flight += 1;
                    state.reserved += need;
                    return Ok(Admission {
                        meter: self.clone(),
                        bytes,
                        texts: texts.len() as u64,
                        reserved: need,
                    });
                }
                if state.in_flight == 0 {
                    let most = self.0.limits.tokens.unwrap_or_default();
                    return Err(spent(format!(
                        "{} of {most} allowed tokens are billed, and the next call may need {need}",
                        state.tokens
                    )));
                }
            }
            // The meter holds the sender, so this cannot fail.
            let _ = changed.changed().await;
        }
    }

    /// Returns once it is stopped.
    pub async fn stopped(&self) {
        let mut changed = self.0.changed.subscribe();
        while !self.is_stopped() {
            let _ = changed.changed().await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Tokens billed and set aside, with one more call. A bill is whatever the provider writes, so nothing overflows.
    fn would_be(&self, need: u64) -> u64 {
        self.tokens
            .saturating_add(self.reserved)
            .saturating_add(need)
    }

    /// Tokens to set aside for a call.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bytes of one call, and a positive factor"
    )]
    fn need(&self, bytes: u64, texts: u64) -> u64 {
        match self.dearest {
            None => bytes + MARKS * texts,
            Some(dearest) => (bytes as f64 * dearest).ceil() as u64 + MARKS * texts,
        }
    }
}

/// A call that may be sent. Dropping it says that no bill came.
#[derive(Debug)]
pub struct Admission {
    meter: Meter,
    bytes: u64,
    texts: u64,
    reserved: u64,
}

impl Admission {
    /// The call was answered, with a bill where the provider sends one.
    #[allow(clippy::cast_precision_loss, reason = "tokens and bytes of one call")]
    pub fn billed(self, tokens: Option<u64>) {
        let Some(tokens) = tokens else {
            return self.lost();
        };
        let mut state = self.meter.state();
        state.tokens = state.tokens.saturating_add(tokens);
        let texts = tokens.saturating_sub(MARKS * self.texts);
        let rate = texts as f64 / self.bytes.max(1) as f64;
        state.dearest = Some(state.dearest.unwrap_or_default().max(rate));
    }

    /// The call was answered, and how much it cost cannot be read: it counts as much as was set aside for it.
    pub fn lost(self) {
        let mut state = self.meter.state();
        state.tokens = state.tokens.saturating_add(self.reserved);
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut state = self.meter.state();
        state.in_flight -= 1;
        state.reserved -= self.reserved;
        drop(state);
        self.meter.0.changed.send_replace(());
    }
}

fn stopped() -> EmbedError {
    EmbedError::new(EmbedErrorKind::Stopped, "interrupted")
}

fn spent(what: String) -> EmbedError {
    EmbedError::new(
        EmbedErrorKind::Budget,
        format!("the budget is spent: {what}"),
    )
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn texts(bytes: usize) -> Vec<String> {
        vec!["x".repeat(bytes)]
    }

    /// What a future says at once; `None` while it waits.
    fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    fn kind<T>(answer: Option<Result<T, EmbedError>>) -> EmbedErrorKind {
        answer
            .expect("an answer at once")
            .err()
            .expect("a refusal")
            .kind()
    }

    #[test]
    fn calls_are_counted_whatever_becomes_of_them() {
        let meter = Meter::new(SpendLimits {
            requests: Some(2),
            tokens: None,
        });
        now(meter.admit(&texts(1))).unwrap().unwrap().billed(None);
        drop(now(meter.admit(&texts(1))).unwrap().unwrap());
        assert_eq!(kind(now(meter.admit(&texts(1)))), EmbedErrorKind::Budget);
    }

    #[test]
    fn a_bound_on_tokens_is_never_crossed() {
        let meter = Meter::new(SpendLimits {
            requests: None,
            tokens: Some(100),
        });
        // Nobody knows yet what a byte costs, so the second call waits for the first one's bill.
        let first = now(meter.admit(&texts(60))).unwrap().unwrap();
        assert!(now(meter.admit(&texts(60))).is_none());
        first.billed(Some(15));
        // 0.25 tokens a byte: 15 are spent, five more of 15 fit, the sixth does not.
        for _ in 0..5 {
            now(meter.admit(&texts(60)))
                .unwrap()
                .unwrap()
                .billed(Some(15));
        }
        assert_eq!(kind(now(meter.admit(&texts(60)))), EmbedErrorKind::Budget);
        // A shorter one does.
        assert!(now(meter.admit(&texts(30))).unwrap().is_ok());
    }

    #[test]
    fn a_lost_call_gives_back_what_was_set_aside() {
        let meter = Meter::new(SpendLimits {
            requests: None,
            tokens: Some(64),
        });
        for _ in 0..3 {
            drop(now(meter.admit(&texts(60))).unwrap().unwrap());
        }
        assert_eq!(kind(now(meter.admit(&texts(61)))), EmbedErrorKind::Budget);
    }

    #[test]
    fn stopping_wakes_and_refuses_and_cuts_nothing_off() {
        let meter = Meter::default();
        let call = now(meter.admit(&texts(1))).unwrap().unwrap();
        let other = meter.clone();
        assert!(now(other.stopped()).is_none());
        meter.stop();
        assert!(now(other.stopped()).is_some());
        assert_eq!(kind(now(other.admit(&texts(1)))), EmbedErrorKind::Stopped);
        call.billed(Some(1));
    }
}
