//! Clock and randomness. Everything that needs either is handed a [`World`]; tests move it by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use ring::rand::{SecureRandom, SystemRandom};
use uuid::Uuid;

/// Microseconds since 1970-01-01T00:00:00Z, as stored and signed.
pub type Micros = i64;

/// One minute in [`Micros`].
pub const MINUTE: Micros = 60_000_000;

/// Source of time and randomness, shared by cloning.
#[derive(Clone)]
pub struct World {
    source: Arc<Source>,
}

struct Source {
    random: SystemRandom,
    /// Added to the system clock; zero outside tests.
    offset: AtomicI64,
    /// A file whose number of microseconds is added to the clock, so that tests of the whole program move it. In builds for tests only.
    #[cfg(debug_assertions)]
    clock: Option<std::path::PathBuf>,
}

impl World {
    /// The system clock and the system's random generator.
    #[must_use]
    pub fn system() -> Self {
        Self {
            source: Arc::new(Source {
                random: SystemRandom::new(),
                offset: AtomicI64::new(0),
                #[cfg(debug_assertions)]
                clock: std::env::var_os("CARETHREAD_TEST_CLOCK").map(Into::into),
            }),
        }
    }

    /// Wall time now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the ambient clock")]
    pub fn now(&self) -> Micros {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX / 2) + self.offset()
    }

    fn offset(&self) -> Micros {
        let offset = self.source.offset.load(Ordering::Relaxed);
        #[cfg(debug_assertions)]
        if let Some(clock) = &self.source.clock {
            let moved = std::fs::read_to_string(clock).ok().and_then(|text| text.trim().parse::<Micros>().ok());
            return offset + moved.unwrap_or_default();
        }
        offset
    }

    /// Moves the clock: what tests of expiry use instead of waiting.
    pub fn advance(&self, by: Micros) {
        self.source.offset.fetch_add(by, Ordering::Relaxed);
    }

    /// Fills `bytes` from the system's random generator.
    pub fn fill(&self, bytes: &mut [u8]) {
        self.source.random.fill(bytes).expect("the system's random generator answers (getrandom)");
    }

    /// `N` random bytes.
    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// A fresh UUID version 7 (RFC 9562 section 5.7): time first, so that indexes grow at one end.
    #[must_use]
    pub fn id(&self) -> Uuid {
        let millis = u64::try_from(self.now() / 1000).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &self.bytes::<10>()).into_uuid()
    }
}

/// RFC 3339 in UTC with exactly six digits of a second, the form of every time on the wire.
#[must_use]
pub fn rfc3339(at: Micros) -> String {
    let at = jiff::Timestamp::from_microsecond(at).unwrap_or(jiff::Timestamp::MAX);
    format!("{at:.6}")
}

/// As [`rfc3339`], cut to milliseconds: what charts keep of an instant (FHIR R4 datatypes).
#[must_use]
pub fn rfc3339_millis(at: Micros) -> String {
    let at = jiff::Timestamp::from_millisecond(at.div_euclid(1000)).unwrap_or(jiff::Timestamp::MAX);
    format!("{at:.3}")
}

/// Reads an RFC 3339 time with any offset.
///
/// # Errors
/// When the text is not such a time or lies outside what can be stored.
pub fn parse_rfc3339(text: &str) -> Result<Micros, jiff::Error> {
    text.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_microsecond)
}
