//! The site's forms against `forms.toml`: what would keep a record from arriving whole. Pure; the site is asked by the
//! caller, with a [`smartabase::Session`].
//!
//! Names count letter for letter at Smartabase, and a field it does not know is dropped without a word. So what is missing
//! is looked for under similar names, and differences that the eye does not see (case, spaces, non-breaking spaces) are
//! found first.

mod finding;
#[cfg(test)]
mod tests;

use smartabase::{FieldKind, FormName, FormSchema, FormSummary};
use strsim::normalized_damerau_levenshtein;

pub use finding::{Fault, Finding};

use super::{Holds, Wanted, WantedField};

/// How alike two names must be, from 0 to 1, for one to be suggested in the place of the other: two wrong letters in ten.
const ALIKE: f64 = 0.8;

/// The form of the site that is meant, if there is exactly one to write to, and what the list of forms alone shows to be
/// wrong.
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

/// What is wrong with the fields of a form.
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

/// Required fields that are neither ours nor the site's own to fill.
fn never_filled(wanted: &Wanted<'_>, schema: &FormSchema) -> impl Iterator<Item = Fault> {
    let ours = |label: &str| wanted.fields.iter().any(|field| field.label == label);
    schema
        .fields
        .iter()
        .filter(move |there| there.required && !ours(&there.label))
        .filter(|there| !matches!(there.kind, FieldKind::Linked | FieldKind::Calculated))
        .map(|there| Fault::Required { field: there.label.clone() })
}

/// Every type takes text but those that are known not to. How the site wants a date or an option is not published, so
/// nothing is written to those.
fn can_hold(kind: FieldKind, holds: Holds) -> bool {
    match kind {
        FieldKind::Text | FieldKind::Other => true,
        FieldKind::Number => holds == Holds::Number,
        FieldKind::Time => holds == Holds::TimeOfDay,
        FieldKind::Date | FieldKind::Choice | FieldKind::Linked | FieldKind::Calculated => false,
    }
}

/// A field of the form with almost this label, which nothing else of ours is written to.
fn unclaimed(label: &str, wanted: &Wanted<'_>, schema: &FormSchema) -> Option<String> {
    let claimed = |there: &str| {
        wanted.fields.iter().any(|field| field.label == there) || wanted.keep.iter().any(|label| label == there)
    };
    let labels = schema.fields.iter().map(|there| there.label.as_str()).filter(|there| !claimed(there));
    similar(label, labels).map(str::to_owned)
}

/// The most similar of the names, if one is similar enough.
fn similar<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = Spelling::of(name);
    names
        .map(|other| (name.likeness(&Spelling::of(other)), other))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, other)| other)
}

/// A name without what the eye passes over.
struct Spelling {
    /// In lower case, with single spaces.
    whole: String,
    /// Without a remark in brackets at the end, such as a unit.
    stem: String,
}

impl Spelling {
    fn of(name: &str) -> Self {
        // A zero-width space is no white space to Unicode. A non-breaking one is.
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
