//! The forms of a site and their fields, from the v3 interface.
//!
//! The interface is not published. Names and shapes are those that a public client reads, `brandonyach/teamworksams`
//! (`form_fetch.py`, `form_process.py`, and the list of one form's field types in its guide *Managing Forms*). An
//! unknown part is left out or becomes [`FieldKind::Other`]; it never makes a form unreadable.

use serde::Serialize;
use serde_json::Value;

use crate::error::Error;
use crate::ids::{FormName, read_id};
use crate::message::{is_true, text};
use crate::paging::require_whole;
use crate::rows::list;

/// A form in the list of forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormSummary {
    /// The number that identifies the form in v3.
    pub id: u64,
    /// The name that identifies the form in v1.
    pub name: FormName,
    /// Whether it holds events or profiles.
    pub kind: FormKind,
    /// Whether the account may only read it.
    pub read_only: bool,
}

/// The two kinds of form that records can be imported into. (The site has a third, for data of its own.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FormKind {
    /// Any number of records per user, each with its dates.
    Event,
    /// One record per user.
    Profile,
}

/// The fields of a form, in the form's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FormSchema {
    /// Every field that has a label.
    pub fields: Vec<SchemaField>,
}

/// A field of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaField {
    /// The label that identifies the field in imports, exactly as the site spells it.
    pub label: String,
    /// The kind of the field, as far as it matters to an import.
    pub kind: FieldKind,
    /// The site's own name of the kind, such as `History Calculation`.
    pub item_type: String,
    /// Whether the site refuses a record in which the field is empty.
    pub required: bool,
}

/// The kind of a field, as far as it matters to an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldKind {
    /// Any text.
    Text,
    /// A number.
    Number,
    /// A date.
    Date,
    /// A time of day.
    Time,
    /// One or several of the options that the form lists.
    Choice,
    /// The site copies it from the user's account or another form: an import must not send it.
    Linked,
    /// The site calculates it at each save: an import must not send it.
    Calculated,
    /// A kind that this crate does not know.
    Other,
}

impl FormKind {
    /// The spelling of v3, in lists and URLs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            FormKind::Event => "event",
            FormKind::Profile => "profile",
        }
    }
}

impl FieldKind {
    /// The kind for the site's type name. Linked and calculated types come in many variants; their first or last word
    /// identifies them.
    fn named(item_type: &str) -> FieldKind {
        match item_type {
            linked if linked == "Personal Details" || linked.starts_with("Linked ") => FieldKind::Linked,
            calculated if calculated.ends_with("Calculation") => FieldKind::Calculated,
            "Number" => FieldKind::Number,
            "Text" | "Paragraph" => FieldKind::Text,
            "Date" => FieldKind::Date,
            "Time" => FieldKind::Time,
            "Dropdown" | "Single Selection" | "Multiple Selection" => FieldKind::Choice,
            _ => FieldKind::Other,
        }
    }
}

/// The event and profile forms of `forms/summaries`. A form without id or name can't be requested, so it is left out.
pub(crate) fn read_summaries(answer: &Value) -> Result<Vec<FormSummary>, Error> {
    let kinds = [FormKind::Event, FormKind::Profile];
    if kinds.iter().all(|kind| answer.get(kind.as_str()).is_none()) {
        return Err(Error::unexpected("a list of forms with neither event nor profile forms"));
    }
    require_whole(answer)?;
    let mut forms = Vec::new();
    for kind in kinds {
        forms.extend(list(answer, kind.as_str(), "forms")?.iter().filter_map(|form| read_summary(kind, form)));
    }
    Ok(forms)
}

fn read_summary(kind: FormKind, form: &Value) -> Option<FormSummary> {
    Some(FormSummary {
        id: read_id(form.get("id")?)?,
        name: FormName::from(form.get("name")?.as_str()?),
        kind,
        read_only: is_true(form.get("isReadOnly")),
    })
}

/// The fields of `forms/{kind}/{id}`: the items of the tree, at any depth.
pub(crate) fn read_schema(answer: &Value) -> Result<FormSchema, Error> {
    if answer.get("children").is_none_or(Value::is_null) {
        return Err(Error::unexpected("a form that is not a tree of pages and fields"));
    }
    let mut schema = FormSchema::default();
    // Not recursive, because the site decides the depth of the tree.
    let mut rest = vec![answer];
    while let Some(node) = rest.pop() {
        schema.fields.extend(read_field(node));
        rest.extend(list(node, "children", "form")?.iter().rev());
    }
    Ok(schema)
}

fn read_field(node: &Value) -> Option<SchemaField> {
    if node.get("type")?.as_str()? != "FormItem" {
        return None;
    }
    let label = node.get("name")?.as_str().filter(|label| !label.is_empty())?;
    let item_type = text(node.get("formItemType"));
    Some(SchemaField {
        label: label.to_owned(),
        kind: FieldKind::named(&item_type),
        item_type,
        required: is_true(node.get("required")),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::json::any_json;

    #[test]
    fn lists_forms_and_drops_those_without_id_or_name() {
        let summaries = read_summaries(&json!({
            "event": [{"id": 1, "name": "Sleep", "isReadOnly": false}, {"name": "No id"}, {"id": 3}, null],
            "profile": [{"id": "2", "name": "Link", "isReadOnly": true}],
            "database": [{"id": 4, "name": "Foods"}],
        }))
        .unwrap();
        let form = |id, name: &str, kind, read_only| FormSummary { id, name: name.into(), kind, read_only };
        let expected = [form(1, "Sleep", FormKind::Event, false), form(2, "Link", FormKind::Profile, true)];
        assert_eq!(summaries, expected);
        assert_eq!(read_summaries(&json!({"event": null, "profile": []})), Ok(Vec::new()));
        for other in [json!({}), json!([]), json!(null), json!({"database": []})] {
            assert!(matches!(read_summaries(&other), Err(Error::Unexpected { .. })), "{other}");
        }
    }

    #[test]
    fn reads_fields_in_order_at_any_depth() {
        let item = |name: &str, kind: &str| json!({"type": "FormItem", "name": name, "formItemType": kind});
        let mut night = item("Night", "Text");
        night["required"] = json!(true);
        let set = json!({"type": "FormFieldSet", "name": "Data", "children": [night, item("Score", "Number")]});
        let page =
            json!({"type": "FormPage", "name": "Page 1", "children": [set, item("", "Text"), {"type": "FormItem"}, 7]});
        let schema =
            read_schema(&json!({"type": "Form", "name": "Sleep", "children": [page, item("Sport", "Linked Option")]}))
                .unwrap();
        let fields: Vec<_> =
            schema.fields.iter().map(|field| (field.label.as_str(), field.kind, field.required)).collect();
        assert_eq!(
            fields,
            [
                ("Night", FieldKind::Text, true),
                ("Score", FieldKind::Number, false),
                ("Sport", FieldKind::Linked, false)
            ]
        );
        assert_eq!(schema.fields.last().unwrap().item_type, "Linked Option");
        assert_eq!(read_schema(&json!({"children": []})), Ok(FormSchema::default()));
        assert!(read_schema(&json!({"type": "Form"})).is_err());
        assert!(read_schema(&json!({"type": "Form", "children": null})).is_err());
    }

    #[test]
    fn recognises_fields_that_the_site_fills() {
        for (item_type, kind) in [
            ("History Text Calculation", FieldKind::Calculated),
            ("Calculation", FieldKind::Calculated),
            ("Linked Value", FieldKind::Linked),
            ("Personal Details", FieldKind::Linked),
            ("Single Selection", FieldKind::Choice),
            ("Number", FieldKind::Number),
            ("Body Diagram", FieldKind::Other),
            ("", FieldKind::Other),
        ] {
            assert_eq!(FieldKind::named(item_type), kind, "{item_type}");
        }
    }

    proptest! {
        #[test]
        fn does_not_panic_on_any_json(answer in any_json()) {
            let _ = read_summaries(&answer);
            let _ = read_schema(&answer);
        }
    }
}
