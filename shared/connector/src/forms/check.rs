//! Compares the site's forms with `forms.toml`: finds what would make Smartabase refuse or cut a record. Pure; the
//! caller reads the site, with a [`smartabase::Session`].
//!
//! Smartabase compares names letter by letter, and silently drops a field that it does not know. So this module looks
//! for missing names under similar ones. It first looks for differences that readers do not see: case, spaces,
//! non-breaking spaces.

mod finding;
#[cfg(test)]
mod tests;

use smartabase::{FieldKind, FormName, FormSchema, FormSummary};
use strsim::normalized_damerau_levenshtein;

pub use finding::{Fault, Finding};

use super::{Holds, Wanted, WantedField};

/// How similar two names must be, from 0 to 1, to suggest one for the other: two wrong letters in ten.
const ALIKE: f64 = 0.8;

/// The site's form, if exactly one can be written to, and the problems that the list of forms alone shows.
#[must_use]
pub fn locate<'a>(wanted: &Wanted<'_>, forms: &'a [FormSummary]) -> (Option<&'a FormSummary>, Vec<Finding>) {
    let finding = |fault| vec![Finding { form: wanted.form.clone(), fault }];
    let kind = wanted.kind;
    let named = || forms.iter().filter(|form| form.name == *wanted.form);
    let of_kind: Vec<_> = named().filter(|form| form.kind == kind).collect();
    match of_kind.as_slice() {
        [form] if form.read_only => (Some(form), finding(Fault::ReadOnly)),
        [form] => (Some(form), Vec::new()),
        [] if named().next().is_some() => (None, finding(Fault::WrongKind { kind })),
        [] => {
            let others = forms.iter().filter(|form| form.kind == kind).map(|form| form.name.as_str());
            let similar = similar(wanted.form.as_str(), others).map(FormName::from);
            (None, finding(Fault::NoForm { kind, similar }))
        }
        _ => (None, finding(Fault::SeveralForms)),
    }
}

/// The problems of a form's fields.
#[must_use]
pub fn compare(wanted: &Wanted<'_>, schema: &FormSchema) -> Vec<Finding> {
    let ours = wanted.fields.iter().flat_map(|field| written(field, wanted, schema));
    let kept = wanted.keep.iter().filter_map(|label| kept(label, wanted, schema));
    let faults = ours.chain(kept).chain(never_filled(wanted, schema));
    faults.map(|fault| Finding { form: wanted.form.clone(), fault }).collect()
}

fn written(field: &WantedField<'_>, wanted: &Wanted<'_>, schema: &FormSchema) -> Vec<Fault> {
    let label = field.label.to_owned();
    let named: Vec<_> = schema.fields.iter().filter(|there| there.label == label).collect();
    let there = match named.as_slice() {
        [] => return vec![Fault::NoField { similar: unclaimed(&label, wanted, schema), field: label }],
        [there] => *there,
        _ => return vec![Fault::SeveralFields { field: label }],
    };
    let item_type = there.item_type.clone();
    if matches!(there.kind, FieldKind::Linked | FieldKind::Calculated) {
        return vec![Fault::FilledBySite { field: label, item_type }];
    }
    let mut faults = Vec::new();
    if !can_hold(there.kind, field.holds) {
        faults.push(Fault::CannotHold { field: label.clone(), item_type, holds: field.holds });
    }
    if there.required && !field.always {
        faults.push(Fault::RequiredButBlank { field: label });
    }
    faults
}

fn kept(label: &str, wanted: &Wanted<'_>, schema: &FormSchema) -> Option<Fault> {
    let mut named = schema.fields.iter().filter(|there| there.label == label);
    let field = label.to_owned();
    match (named.next(), named.next()) {
        (None, _) => Some(Fault::NoKeptField { similar: unclaimed(label, wanted, schema), field }),
        (Some(there), None) => matches!(there.kind, FieldKind::Linked | FieldKind::Calculated)
            .then(|| Fault::FilledBySite { field, item_type: there.item_type.clone() }),
        (Some(_), Some(_)) => Some(Fault::SeveralFields { field }),
    }
}

/// Required fields that neither the connector nor the site fills.
fn never_filled(wanted: &Wanted<'_>, schema: &FormSchema) -> impl Iterator<Item = Fault> {
    let ours = |label: &str| wanted.fields.iter().any(|field| field.label == label);
    schema
        .fields
        .iter()
        .filter(move |there| there.required && !ours(&there.label))
        .filter(|there| !matches!(there.kind, FieldKind::Linked | FieldKind::Calculated))
        .map(|there| Fault::Required { field: there.label.clone() })
}

/// Whether a field of this type can hold the value. A type that is not known is assumed to accept text. The formats of
/// dates and options are not published, so the connector writes to no field of those types.
fn can_hold(kind: FieldKind, holds: Holds) -> bool {
    match kind {
        FieldKind::Text | FieldKind::Other => true,
        FieldKind::Number => holds == Holds::Number,
        FieldKind::Time => holds == Holds::TimeOfDay,
        FieldKind::Date | FieldKind::Choice | FieldKind::Linked | FieldKind::Calculated => false,
    }
}

/// A field of the form with almost this label, to which `forms.toml` writes no other value.
fn unclaimed(label: &str, wanted: &Wanted<'_>, schema: &FormSchema) -> Option<String> {
    let claimed = |there: &str| {
        wanted.fields.iter().any(|field| field.label == there) || wanted.keep.iter().any(|label| label == there)
    };
    let labels = schema.fields.iter().map(|there| there.label.as_str()).filter(|there| !claimed(there));
    similar(label, labels).map(str::to_owned)
}

/// The most similar name, if one is similar enough.
fn similar<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = Spelling::of(name);
    names
        .map(|other| (name.likeness(&Spelling::of(other)), other))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, other)| other)
}

/// A name without the differences that readers do not see.
struct Spelling {
    /// The name in lower case, with single spaces.
    whole: String,
    /// The same without a remark in brackets at the end, such as a unit.
    stem: String,
}

impl Spelling {
    fn of(name: &str) -> Self {
        // Unicode does not count a zero-width space as white space; a non-breaking space it does.
        let seen: String = name.chars().filter(|letter| !matches!(letter, '\u{200b}' | '\u{feff}')).collect();
        let whole = seen.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        let stem = whole.split_once(" (").map_or(whole.as_str(), |(stem, _)| stem).to_owned();
        Self { whole, stem }
    }

    fn likeness(&self, other: &Self) -> f64 {
        let by_letters = normalized_damerau_levenshtein(&self.whole, &other.whole);
        if self.stem == other.stem { by_letters.max(ALIKE) } else { by_letters }
    }
}
