//! Wrappers that cannot be printed: clinical text and secrets leave them only by a named exit.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

/// Something about a patient. No `Display`, no `Serialize`; `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Phi<T>(T);

impl<T> Phi<T> {
    /// Wraps.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The named exit: for sealing, for a frame to a permitted reader, for the chart.
    pub const fn reveal(&self) -> &T {
        &self.0
    }

    /// As [`Phi::reveal`], by value.
    pub fn into_revealed(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for Phi<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phi")
    }
}

/// A credential or key: zeroized when dropped, never printed.
#[derive(Clone)]
pub struct Secret<T: Zeroize>(Zeroizing<T>);

impl<T: Zeroize> Secret<T> {
    /// Wraps.
    pub fn new(value: T) -> Self {
        Self(Zeroizing::new(value))
    }

    /// The named exit: for hashing and comparing.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
