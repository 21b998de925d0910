//! Whether and when a failed call is repeated. Pure but for the dice.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use super::classify::Class;
use crate::EmbedErrorKind;
use crate::settings::HttpSettings;

/// How often an answer that makes no sense is asked for again: once, since it costs a whole batch.
const NONSENSE_RETRIES: u32 = 1;

/// What comes after a failed attempt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Another attempt after a wait.
    Repeat(Duration),
    /// Another attempt would fail the same way.
    Pointless,
    /// It might pass, but not by our patience.
    Spent,
    /// The provider asks for more patience than we have.
    AskedTooLong(Duration),
}

/// The repetitions left to one call.
pub(super) struct Retries {
    plain: ExponentialBackoff,
    jittered: ExponentialBackoff,
    nonsense: u32,
    longest_asked_wait: Duration,
}

impl Retries {
    pub(super) fn new(settings: &HttpSettings) -> Self {
        let bounds = ExponentialBuilder::default()
            .with_min_delay(settings.first_wait)
            .with_max_delay(settings.longest_wait)
            .with_max_times(settings.max_retries as usize);
        Self {
            plain: bounds.build(),
            jittered: bounds.with_jitter().build(),
            nonsense: 0,
            longest_asked_wait: settings.longest_asked_wait,
        }
    }

    /// Decides about one more attempt, and takes it off what is left.
    pub(super) fn after(&mut self, class: &Class) -> Next {
        let asked = match class {
            Class::Stop(EmbedErrorKind::BadAnswer) if self.nonsense < NONSENSE_RETRIES => {
                self.nonsense += 1;
                None
            }
            Class::Stop(_) => return Next::Pointless,
            Class::Retry { after } => *after,
        };
        if let Some(asked) = asked.filter(|asked| *asked > self.longest_asked_wait) {
            return Next::AskedTooLong(asked);
        }
        // backon adds to each bound a random part of the bound; that part alone is full jitter, which spreads
        // clients best and never exceeds the bound.
        let (Some(bound), Some(above)) = (self.plain.next(), self.jittered.next()) else {
            return Next::Spent;
        };
        Next::Repeat(asked.unwrap_or_else(|| above.saturating_sub(bound)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retries(max_retries: u32) -> Retries {
        Retries::new(&HttpSettings {
            max_retries,
            first_wait: Duration::from_millis(250),
            longest_wait: Duration::from_secs(1),
            longest_asked_wait: Duration::from_secs(30),
            ..HttpSettings::new("http://localhost", "m")
        })
    }

    #[test]
    fn waits_grow_to_their_bound_and_end() {
        for _ in 0..100 {
            let mut retries = retries(5);
            for bound in [250, 500, 1000, 1000, 1000] {
                let Next::Repeat(wait) = retries.after(&Class::Retry { after: None }) else {
                    panic!("five repetitions");
                };
                assert!(wait <= Duration::from_millis(bound), "{wait:?} {bound}");
            }
            assert_eq!(retries.after(&Class::Retry { after: None }), Next::Spent);
        }
    }

    #[test]
    fn the_provider_is_obeyed_up_to_a_bound() {
        let asked = |seconds| Class::Retry {
            after: Some(Duration::from_secs(seconds)),
        };
        let mut retries = retries(3);
        assert_eq!(
            retries.after(&asked(30)),
            Next::Repeat(Duration::from_secs(30))
        );
        assert_eq!(retries.after(&asked(0)), Next::Repeat(Duration::ZERO));
        assert_eq!(
            retries.after(&asked(31)),
            Next::AskedTooLong(Duration::from_secs(31))
        );
        assert!(matches!(retries.after(&asked(1)), Next::Repeat(_)));
        assert_eq!(retries.after(&asked(1)), Next::Spent);
    }

    #[test]
    fn nonsense_is_asked_for_once_more_and_refusals_never() {
        let mut retries = retries(5);
        let nonsense = Class::Stop(EmbedErrorKind::BadAnswer);
        assert!(matches!(retries.after(&nonsense), Next::Repeat(_)));
        assert_eq!(retries.after(&nonsense), Next::Pointless);
        for kind in [
            EmbedErrorKind::Rejected,
            EmbedErrorKind::Configuration,
            EmbedErrorKind::Dimensions,
            EmbedErrorKind::Unavailable,
        ] {
            assert_eq!(retries.after(&Class::Stop(kind)), Next::Pointless);
        }
    }
}
