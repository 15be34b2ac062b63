//! Turns Oura documents into Smartabase records. Pure: no I/O, no clock.
//!
//! The operator decides in `infra/forms.toml` which value goes into which field of which form. This module reads that
//! file ([`Forms::parse`]), picks the night's sleep, converts units and builds the records ([`Forms::records`]). It
//! also lists what a site needs to receive the records ([`Forms::wanted`]) and finds where the site differs
//! ([`check`]).
//!
//! **Invariant**: the same documents and the same `forms.toml` give the same records in the same order, in whatever
//! order the documents came.

pub mod check;
mod configuration;
mod profile;
mod record;
mod source;
mod unit;
mod wanted;

pub use configuration::{DateRule, Form, FormField, Forms, FormsError};
pub use profile::{Profile, RotationForm, StatusForm};
pub(crate) use record::content_digest;
pub use record::{Documents, Record, digest, main_sleep};
pub use source::Source;
pub use unit::Unit;
pub use wanted::{Holds, Wanted, WantedField};
