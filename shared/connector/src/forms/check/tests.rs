use proptest::prelude::*;
use smartabase::{FormKind, SchemaField};

use super::*;
use crate::forms::Forms;

const FILE: &str = "[authorise]\nform = 'Authorise Oura Data'\nlink = 'Authorisation Link'\n\
    [[event]]\nform = 'Sleep'\ndate = 'same-day'\nstart = '12:00'\nfinish = '13:00'\nkeep = ['Comment']\nfields = [\n\
    { label = 'Score', source = 'daily_sleep.score' },\n\
    { label = 'Latency (min)', source = 'sleep.latency', unit = 'minutes' },\n\
    { label = 'Bedtime', source = 'sleep.bedtime_start' },\n\
    { label = 'Length', source = 'sleep.total_sleep_duration', unit = 'h:mm' }]\n";

fn forms() -> Forms {
    Forms::parse(FILE).unwrap()
}

fn field(label: &str, kind: FieldKind) -> SchemaField {
    SchemaField { label: label.to_owned(), kind, item_type: format!("{kind:?}"), required: false }
}

/// A sleep form without problems.
fn sound() -> FormSchema {
    let kinds = [
        ("Score", FieldKind::Number),
        ("Latency (min)", FieldKind::Text),
        ("Bedtime", FieldKind::Time),
        ("Length", FieldKind::Text),
        ("Comment", FieldKind::Other),
        ("Week", FieldKind::Calculated),
        ("Sex", FieldKind::Linked),
    ];
    FormSchema { fields: kinds.map(|(label, kind)| field(label, kind)).into() }
}

/// The findings for the sleep form after a change.
fn after(change: impl FnOnce(&mut Vec<SchemaField>)) -> Vec<Fault> {
    let mut schema = sound();
    change(&mut schema.fields);
    let forms = forms();
    let findings = compare(&forms.wanted()[0], &schema);
    findings.into_iter().map(|finding| finding.fault).collect()
}

fn at<'a>(fields: &'a mut [SchemaField], label: &str) -> &'a mut SchemaField {
    fields.iter_mut().find(|field| field.label == label).unwrap()
}

fn summary(id: u64, name: &str, kind: FormKind) -> FormSummary {
    FormSummary { id, name: name.into(), kind, read_only: false }
}

fn located(forms: &[FormSummary]) -> (Option<u64>, Vec<Fault>) {
    let file = self::forms();
    let (form, findings) = locate(&file.wanted()[0], forms);
    (form.map(|form| form.id), findings.into_iter().map(|finding| finding.fault).collect())
}

#[test]
fn a_sound_site_is_without_findings() {
    assert_eq!(after(|_| {}), []);
    let forms = [summary(1, "Sleep", FormKind::Event), summary(2, "Diet", FormKind::Event)];
    assert_eq!(located(&forms), (Some(1), Vec::new()));
}

#[test]
fn a_form_that_is_missing_is_looked_for_under_similar_names() {
    let missing = |similar: Option<&str>| {
        (None, vec![Fault::NoForm { kind: FormKind::Event, similar: similar.map(FormName::from) }])
    };
    assert_eq!(located(&[]), missing(None));
    assert_eq!(located(&[summary(1, "Diet", FormKind::Event)]), missing(None));
    for spelt in ["sleep", "Sleep ", "Sleep\u{a0}", "SLEEP", "Sleeep"] {
        assert_eq!(located(&[summary(1, spelt, FormKind::Event)]), missing(Some(spelt)), "{spelt:?}");
    }
    // A form of the other kind is not suggested.
    assert_eq!(located(&[summary(1, "sleep", FormKind::Profile)]), missing(None));
}

#[test]
fn a_form_of_the_other_kind_is_reported_as_such() {
    let other = summary(1, "Sleep", FormKind::Profile);
    assert_eq!(located(&[other]), (None, vec![Fault::WrongKind { kind: FormKind::Event }]));
}

#[test]
fn two_forms_with_one_name_are_reported_as_ambiguous() {
    let forms = [summary(1, "Sleep", FormKind::Event), summary(2, "Sleep", FormKind::Event)];
    assert_eq!(located(&forms), (None, vec![Fault::SeveralForms]));
    let kinds = [summary(1, "Sleep", FormKind::Event), summary(2, "Sleep", FormKind::Profile)];
    assert_eq!(located(&kinds), (Some(1), Vec::new()));
}

#[test]
fn the_fields_of_a_read_only_form_are_still_compared() {
    let form = FormSummary { read_only: true, ..summary(1, "Sleep", FormKind::Event) };
    assert_eq!(located(&[form]), (Some(1), vec![Fault::ReadOnly]));
}

#[test]
fn a_field_that_is_missing_is_looked_for_under_similar_labels() {
    let missing = |field: &str, similar: Option<&str>| {
        vec![Fault::NoField { field: field.to_owned(), similar: similar.map(str::to_owned) }]
    };
    let without = |label: &'static str| after(move |fields| fields.retain(|field| field.label != label));
    // The remaining names are not similar enough, or another field of ours has them.
    assert_eq!(without("Score"), missing("Score", None));
    for (label, spelt) in [
        ("Score", "score"),
        ("Score", "Score "),
        ("Latency (min)", "Latency  (min)"),
        ("Latency (min)", "Latency\u{a0}(min)"),
        ("Latency (min)", "Latency"),
        ("Latency (min)", "Latency (s)"),
        ("Bedtime", "Bed time"),
        ("Length", "Lenght"),
        ("Bedtime", "Bed\u{200b}time"),
    ] {
        let faults = after(|fields| spelt.clone_into(&mut at(fields, label).label));
        assert_eq!(faults, missing(label, Some(spelt)), "{spelt:?}");
    }
    let kept = Fault::NoKeptField { field: "Comment".to_owned(), similar: Some("Comments".to_owned()) };
    assert_eq!(after(|fields| "Comments".clone_into(&mut at(fields, "Comment").label)), [kept]);
    assert_eq!(without("Comment"), [Fault::NoKeptField { field: "Comment".to_owned(), similar: None }]);
}

#[test]
fn the_closest_unused_spelling_is_suggested() {
    let names = ["Latency (max)", "latency (min)", "Lateness"];
    assert_eq!(similar("Latency (min)", names.into_iter()), Some("latency (min)"));
    let file = FILE.replace("'Score'", "'Length2'");
    let forms = Forms::parse(&file).unwrap();
    let findings = compare(&forms.wanted()[0], &sound());
    assert_eq!(findings[0].fault, Fault::NoField { field: "Length2".to_owned(), similar: None });
}

#[test]
fn two_fields_with_one_label_are_reported_as_ambiguous() {
    for label in ["Score", "Comment"] {
        let faults = after(|fields| fields.push(field(label, FieldKind::Number)));
        assert_eq!(faults, [Fault::SeveralFields { field: label.to_owned() }]);
    }
    assert_eq!(after(|fields| fields.push(field("Sex", FieldKind::Linked))), []);
}

#[test]
fn a_field_that_the_site_fills_is_reported() {
    for label in ["Score", "Comment"] {
        for kind in [FieldKind::Linked, FieldKind::Calculated] {
            let faults = after(|fields| {
                let there = at(fields, label);
                // Its other problems are not reported.
                (there.kind, there.required) = (kind, true);
                "History Calculation".clone_into(&mut there.item_type);
            });
            let item_type = "History Calculation".to_owned();
            assert_eq!(faults, [Fault::FilledBySite { field: label.to_owned(), item_type }]);
        }
    }
}

#[test]
fn a_field_may_be_required_only_if_every_record_fills_it() {
    let required = |label: &'static str| after(|fields| at(fields, label).required = true);
    assert_eq!(required("Score"), [Fault::RequiredButBlank { field: "Score".to_owned() }]);
    assert_eq!(required("Comment"), [Fault::Required { field: "Comment".to_owned() }]);
    assert_eq!(required("Week"), [], "the site sees to that itself");
    let faults = after(|fields| fields.push(SchemaField { required: true, ..field("Coach", FieldKind::Choice) }));
    assert_eq!(faults, [Fault::Required { field: "Coach".to_owned() }]);

    let forms = forms();
    let link = SchemaField { required: true, ..field("Authorisation Link", FieldKind::Text) };
    assert_eq!(compare(&forms.wanted()[1], &FormSchema { fields: vec![link] }), []);
}

#[test]
fn a_field_has_to_be_able_to_hold_what_is_written_to_it() {
    use FieldKind::{Choice, Date, Number, Other, Text, Time};
    for (label, holds, fitting, unfit) in [
        ("Score", Holds::Number, &[Number, Text, Other][..], &[Date, Time, Choice][..]),
        ("Bedtime", Holds::TimeOfDay, &[Time, Text, Other], &[Number, Date, Choice]),
        ("Length", Holds::Text, &[Text, Other], &[Number, Date, Time, Choice]),
    ] {
        for kind in fitting {
            assert_eq!(after(|fields| at(fields, label).kind = *kind), [], "{label} in {kind:?}");
        }
        for kind in unfit {
            let faults = after(|fields| *at(fields, label) = field(label, *kind));
            let (field, item_type) = (label.to_owned(), format!("{kind:?}"));
            assert_eq!(faults, [Fault::CannotHold { field, item_type, holds }], "{label} in {kind:?}");
        }
    }
}

#[test]
fn every_finding_says_what_is_wrong_and_what_to_do() {
    let (form, field, item_type) = (FormName::from("Sleep"), "Score\u{a0}".to_owned(), "Date".to_owned());
    let kind = FormKind::Event;
    let faults = [
        Fault::NoForm { kind, similar: None },
        Fault::NoForm { kind, similar: Some("sleep".into()) },
        Fault::WrongKind { kind },
        Fault::SeveralForms,
        Fault::ReadOnly,
        Fault::NoField { field: field.clone(), similar: None },
        Fault::NoField { field: field.clone(), similar: Some("Score".to_owned()) },
        Fault::NoKeptField { field: field.clone(), similar: None },
        Fault::NoKeptField { field: field.clone(), similar: Some("Score".to_owned()) },
        Fault::SeveralFields { field: field.clone() },
        Fault::FilledBySite { field: field.clone(), item_type: item_type.clone() },
        Fault::Required { field: field.clone() },
        Fault::RequiredButBlank { field: field.clone() },
        Fault::CannotHold { field: field.clone(), item_type: item_type.clone(), holds: Holds::Number },
        Fault::CannotHold { field, item_type, holds: Holds::Text },
    ];
    let lines = faults.map(|fault| {
        let finding = Finding { form: form.clone(), fault };
        format!("{}: {finding}; {}\n", finding.name(), finding.remedy())
    });
    insta::assert_snapshot!(lines.concat());
}

proptest! {
    #[test]
    fn a_name_is_similar_to_itself_whatever_the_case_and_the_spaces(name in "[A-Za-z][a-z]{0,8}( [a-z()]{1,6}){0,3}") {
        for spelt in [name.to_uppercase(), name.replace(' ', "\u{a0}"), format!(" {name} "), name.replace(' ', "  ")] {
            prop_assert_eq!(similar(&name, [spelt.as_str()].into_iter()), Some(spelt.as_str()));
        }
    }

    #[test]
    fn comparing_any_two_names_works(name in any::<String>(), other in any::<String>()) {
        let _ = similar(&name, [other.as_str()].into_iter());
    }
}
