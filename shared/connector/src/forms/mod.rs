//! Oura documents in, Smartabase records out. Pure: no I/O, no clock.
//!
//! What stands in which field of which form is the operator's, in `infra/forms.toml`; this module reads that file
//! ([`Forms::parse`]), picks the night's sleep, converts units and builds the records ([`Forms::records`]). It also says
//! what a site must have for the records to arrive ([`Forms::wanted`]) and finds where it differs ([`check`]).
//!
//! **Invariant**: the same documents and the same `forms.toml` give the same records, in the same order, whatever the
//! order the documents came in.

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
