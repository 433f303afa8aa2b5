//! Carethread: for each patient an encrypted, ordered, provable record of what the care team says and does about the care plan.
//!
//! Three shelves; imports go down only: `interfaces` -> `features` -> `kernel` (see ARCHITECTURE.md).

pub mod features;
pub mod interfaces;
pub mod kernel;
pub mod server;
#[cfg(test)]
pub mod testing;
