//! The problems that a form can have, each with a name for scripts and a text for people.

use std::fmt;

use smartabase::{FormKind, FormName};

use crate::forms::Holds;

/// One problem of one form of the site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The form, as `forms.toml` names it.
    pub form: FormName,
    /// The problem.
    pub fault: Fault,
}

/// A problem of a form. [`Finding`]'s `Display` describes it, [`Finding::remedy`] says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The account sees no form with this name.
    NoForm {
        /// The kind it should be.
        kind: FormKind,
        /// A form of that kind with almost this name.
        similar: Option<FormName>,
    },
    /// The form with this name is of the other kind.
    WrongKind {
        /// The kind it should be.
        kind: FormKind,
    },
    /// Several forms have this name, and imports identify a form by its name alone.
    SeveralForms,
    /// The account may read the form, but not write it.
    ReadOnly,
    /// The form lacks a field that the connector writes.
    NoField {
        /// The field's label.
        field: String,
        /// A field of the form with almost this label.
        similar: Option<String>,
    },
    /// The form lacks a field that `keep` names.
    NoKeptField {
        /// The field's label.
        field: String,
        /// A field of the form with almost this label.
        similar: Option<String>,
    },
    /// Several fields of the form have this label, and imports identify a field by its label alone.
    SeveralFields {
        /// The label.
        field: String,
    },
    /// The site fills the field itself: it is linked or calculated.
    FilledBySite {
        /// The field's label.
        field: String,
        /// The site's word for what it is.
        item_type: String,
    },
    /// The field is required, and the connector never fills it: the site refuses every new record.
    Required {
        /// The field's label.
        field: String,
    },
    /// The field is required, and Oura does not always give a value: the site refuses records without one.
    RequiredButBlank {
        /// The field's label.
        field: String,
    },
    /// The field's type can't hold the value that the connector writes.
    CannotHold {
        /// The field's label.
        field: String,
        /// The site's word for what it is.
        item_type: String,
        /// What it has to hold.
        holds: Holds,
    },
}

impl Finding {
    /// The name of the finding, for scripts: stable, in kebab case.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.fault {
            Fault::NoForm { .. } => "form-missing",
            Fault::WrongKind { .. } => "form-of-wrong-kind",
            Fault::SeveralForms => "form-twice",
            Fault::ReadOnly => "form-read-only",
            Fault::NoField { .. } => "field-missing",
            Fault::NoKeptField { .. } => "kept-field-missing",
            Fault::SeveralFields { .. } => "field-twice",
            Fault::FilledBySite { .. } => "field-filled-by-site",
            Fault::Required { .. } => "field-required",
            Fault::RequiredButBlank { .. } => "field-required-but-blank",
            Fault::CannotHold { .. } => "field-of-wrong-type",
        }
    }

    /// The field's label, if the problem is about a field.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match &self.fault {
            Fault::NoForm { .. } | Fault::WrongKind { .. } | Fault::SeveralForms | Fault::ReadOnly => None,
            Fault::NoField { field, .. }
            | Fault::NoKeptField { field, .. }
            | Fault::SeveralFields { field }
            | Fault::FilledBySite { field, .. }
            | Fault::Required { field }
            | Fault::RequiredButBlank { field }
            | Fault::CannotHold { field, .. } => Some(field),
        }
    }

    /// What to do about the problem, in one sentence.
    #[must_use]
    pub fn remedy(&self) -> String {
        match &self.fault {
            Fault::NoForm { similar: Some(similar), .. } => {
                let similar = similar.as_str();
                format!("rename {similar:?} on the site, or name it so in forms.toml: names count letter for letter")
            }
            Fault::NoForm { similar: None, kind } => {
                format!("build {} as `connector forms spec` says, or let the account see it", of_kind(*kind))
            }
            Fault::WrongKind { kind } => format!("build it as {} under this name", of_kind(*kind)),
            Fault::SeveralForms => "rename all but one of them on the site".to_owned(),
            Fault::ReadOnly => "give the account permission to write this form".to_owned(),
            Fault::NoField { similar: Some(similar), .. } | Fault::NoKeptField { similar: Some(similar), .. } => {
                format!("rename {similar:?} on the form, or write it so in forms.toml: labels count letter for letter")
            }
            Fault::NoField { similar: None, .. } => {
                "add the field to the form, or take it out of forms.toml if nobody wants it".to_owned()
            }
            Fault::NoKeptField { similar: None, .. } => "take it out of `keep` in forms.toml".to_owned(),
            Fault::SeveralFields { .. } => "rename all but one of them on the form".to_owned(),
            Fault::FilledBySite { .. } => {
                "take it out of forms.toml, or make it a plain field on the form: an import must not send it".to_owned()
            }
            Fault::Required { .. } => "make it optional on the form: the connector never fills it".to_owned(),
            Fault::RequiredButBlank { .. } => {
                "make it optional on the form: Oura does not give a value for every night and day".to_owned()
            }
            Fault::CannotHold { holds: Holds::Number, .. } => {
                "make it a Number or Text field, or take it out of forms.toml".to_owned()
            }
            Fault::CannotHold { .. } => "make it a Text field, or choose another unit in forms.toml".to_owned(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Quoted like a Rust string, which spells out control characters and unusual spaces.
        let form = self.form.as_str();
        match &self.fault {
            Fault::NoForm { similar: Some(similar), .. } => {
                write!(f, "there is no form {form:?}, but one that is spelt {:?}", similar.as_str())
            }
            Fault::NoForm { similar: None, kind } => {
                write!(f, "the account sees no {} form {form:?}", kind.as_str())
            }
            Fault::WrongKind { kind } => write!(f, "the form {form:?} is not {}", of_kind(*kind)),
            Fault::SeveralForms => write!(f, "there are several forms {form:?}"),
            Fault::ReadOnly => write!(f, "the account may only read the form {form:?}"),
            Fault::NoField { field, similar: Some(similar) } => {
                write!(f, "the form {form:?} has no field {field:?}, but one that is spelt {similar:?}")
            }
            Fault::NoField { field, similar: None } => write!(f, "the form {form:?} has no field {field:?}"),
            Fault::NoKeptField { field, similar: Some(similar) } => {
                write!(f, "the form {form:?} has no field {field:?} to keep, but one that is spelt {similar:?}")
            }
            Fault::NoKeptField { field, similar: None } => {
                write!(f, "the form {form:?} has no field {field:?} to keep")
            }
            Fault::SeveralFields { field } => write!(f, "the form {form:?} has several fields {field:?}"),
            Fault::FilledBySite { field, item_type } => {
                write!(f, "the site fills the field {field:?} of the form {form:?} itself: it is a {item_type:?}")
            }
            Fault::Required { field } => {
                write!(f, "the form {form:?} requires {field:?}, which the connector does not fill")
            }
            Fault::RequiredButBlank { field } => {
                write!(f, "the form {form:?} requires {field:?}, which can be blank")
            }
            Fault::CannotHold { field, item_type, holds } => {
                write!(f, "the field {field:?} of the form {form:?} is a {item_type:?}, which can't hold {holds}")
            }
        }
    }
}

fn of_kind(kind: FormKind) -> &'static str {
    match kind {
        FormKind::Event => "an event form",
        FormKind::Profile => "a profile form",
    }
}

impl fmt::Display for Holds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Number => "a number",
            Self::TimeOfDay => "a time of day",
            Self::Text => "text",
        })
    }
}
