//! What every function needs at start: configuration, secrets, a clock, telemetry.
//!
//! It knows how the connector is configured and where its secrets are stored. It knows nothing of syncing, connecting
//! or enrolling. Everything here is built once per process, and the use cases borrow it.
//!
//! ```
//! use runtime::{Clock, Settings};
//!
//! let settings = Settings::read(|name| match name {
//!     "SMARTABASE_URL" => Some("https://example.smartabase.com/site".into()),
//!     "PUBLIC_URL" => Some("https://connect.example.org".into()),
//!     _ => None, // everything else has a default
//! })?;
//! assert_eq!(settings.lookback_days, 7);
//! assert_eq!(settings.callback().as_str(), "https://connect.example.org/oauth/callback");
//!
//! let clock = Clock::manual("2026-03-03T07:30:00Z".parse().unwrap());
//! clock.advance(jiff::SignedDuration::from_mins(15));
//! assert_eq!(clock.now().to_string(), "2026-03-03T07:45:00Z");
//! # Ok::<(), runtime::ConfigurationError>(())
//! ```

mod clock;
mod deadline;
mod secrets;
mod settings;
pub mod telemetry;
mod visible;

pub use clock::Clock;
pub use deadline::Deadline;
pub use secrets::{Given, SecretError, SecretName, Secrets, SecretsManager};
pub use settings::{ConfigurationError, Deployment, Settings};
pub use visible::{visible, visible_on_one_line};
