//! `connector forms`: the forms the site must have, and how its forms differ.

use sim::smartabase::{Form, Kind, Schemas};
use sim::wire::{self, Fault, When};
use store::Service;

use crate::pilot::Pilot;
use crate::program::{Ended, Program};
use crate::squad::{ago, soon};
use crate::world::World;

const SLEEP: &str = "Oura Readiness and Sleep Summary";
const LINKS: &str = "Authorise Oura Data";

/// A finding: name, form, field.
fn findings(ended: &Ended) -> Vec<(String, String, String)> {
    let json = ended.json();
    let entries = json["findings"].as_array().unwrap().iter();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    entries.map(|entry| (text(&entry["finding"]), text(&entry["form"]), text(&entry["field"]))).collect()
}

/// The findings on a site whose sleep form was changed.
async fn with_sleep_form(change: impl FnOnce(Form) -> Form) -> Ended {
    change_and_check(&World::new().await, change).await
}

async fn change_and_check(world: &World, change: impl FnOnce(Form) -> Form) -> Ended {
    let forms = local::site_forms(&world.stage.process.connector.forms);
    let form = forms.into_iter().find(|form| form.name == SLEEP).unwrap();
    world.stage.smartabase.remove_form(SLEEP);
    world.stage.smartabase.set_form(change(form));
    world.run(&["forms", "check", "--json"]).await
}

fn renamed(mut form: Form, field: &str, name: &str) -> Form {
    let place = form.fields.iter().position(|other| other == field).unwrap();
    name.clone_into(&mut form.fields[place]);
    form
}

#[track_caller]
fn finds(ended: &Ended, finding: &str, field: &str, parts: &[&str]) {
    assert_eq!(findings(ended), [(finding.to_owned(), SLEEP.to_owned(), field.to_owned())], "{ended:?}");
    assert_eq!((ended.code, ended.stderr.as_str()), (3, ""));
    for part in parts {
        assert!(ended.stdout.contains(part), "{part:?} is not in {ended:?}");
    }
}

#[tokio::test]
async fn site_built_as_specified_has_no_findings() {
    let world = World::new().await;
    let ended = world.run(&["forms", "check", "--json"]).await;
    assert_eq!((findings(&ended), ended.code), (Vec::new(), 0), "{ended:?}");
    let ended = world.run(&["forms", "check"]).await;
    assert!(ended.code == 0 && ended.stdout.contains("as forms.toml has them"), "{ended:?}");
}

#[tokio::test]
async fn a_form_that_is_missing() {
    let world = World::new().await;
    world.stage.smartabase.remove_form(SLEEP);
    finds(&world.run(&["forms", "check", "--json"]).await, "form-missing", "", &["connector forms spec"]);
}

#[tokio::test]
async fn a_form_that_is_misspelt() {
    let misspelt = "Oura Readiness and sleep summary";
    let ended = with_sleep_form(|form| Form { name: misspelt.to_owned(), ..form }).await;
    finds(&ended, "form-missing", "", &[&format!("spelt \\\"{misspelt}\\\"")]);
}

#[tokio::test]
async fn a_form_of_the_other_kind() {
    let ended = with_sleep_form(|form| Form { kind: Kind::Profile, ..form }).await;
    finds(&ended, "form-of-wrong-kind", "", &["is not an event form"]);
}

#[tokio::test]
async fn a_form_that_the_account_may_only_read() {
    let ended = with_sleep_form(|form| Form { read_only: true, ..form }).await;
    finds(&ended, "form-read-only", "", &["permission to write"]);
}

#[tokio::test]
async fn a_field_that_is_missing() {
    let ended = with_sleep_form(|mut form| {
        form.fields.retain(|field| field != "Restless Periods");
        form
    })
    .await;
    finds(&ended, "field-missing", "Restless Periods", &["add the field"]);
}

#[tokio::test]
async fn a_field_that_is_misspelt_to_the_eye_or_only_to_the_letter() {
    let world = World::new().await;
    for (misspelt, shown) in [
        ("Avarage HRV", r"Avarage HRV"),
        ("Average Hrv", r"Average Hrv"),
        // A non-breaking space, which a form builder pastes from a document.
        ("Average\u{a0}HRV", r"Average\\u{a0}HRV"),
        ("Average HRV ", r"Average HRV "),
    ] {
        let ended = change_and_check(&world, |form| renamed(form, "Average HRV", misspelt)).await;
        finds(&ended, "field-missing", "Average HRV", &[&format!("spelt \\\"{shown}\\\"")]);
    }
}

#[tokio::test]
async fn a_field_that_is_there_twice() {
    let ended = with_sleep_form(|mut form| {
        form.fields.push("Average HRV".to_owned());
        form
    })
    .await;
    finds(&ended, "field-twice", "Average HRV", &[]);
}

#[tokio::test]
async fn a_field_that_the_site_fills_itself() {
    let world = World::new().await;
    for item_type in ["History Calculation", "Linked Value"] {
        let ended = change_and_check(&world, |form| form.typed("Sleep Score", item_type)).await;
        finds(&ended, "field-filled-by-site", "Sleep Score", &[item_type]);
    }
}

#[tokio::test]
async fn required_field_that_the_connector_does_not_fill() {
    let ended = with_sleep_form(|mut form| {
        form.fields.push("Coach's Comment".to_owned());
        form.requiring(["Coach's Comment"])
    })
    .await;
    finds(&ended, "field-required", "Coach's Comment", &["optional"]);
}

#[tokio::test]
async fn a_required_field_that_can_be_blank() {
    let ended = with_sleep_form(|form| form.requiring(["Average HRV"])).await;
    finds(&ended, "field-required-but-blank", "Average HRV", &["optional"]);
}

#[tokio::test]
async fn a_field_that_cannot_hold_what_is_written_to_it() {
    let world = World::new().await;
    let options = |form: Form| form.typed("Sleep Score", "Dropdown").typed("Average HRV", "Number");
    let ended = change_and_check(&world, options).await;
    finds(&ended, "field-of-wrong-type", "Sleep Score", &["a number", "Dropdown"]);
    let ended = change_and_check(&world, |form| form.typed("Bedtime Start", "Number")).await;
    finds(&ended, "field-of-wrong-type", "Bedtime Start", &["a time of day"]);
}

#[tokio::test]
async fn each_fault_is_a_finding_with_its_remedy() {
    let world = World::new().await;
    world.stage.smartabase.remove_form(SLEEP);
    world.stage.smartabase.set_form(Form::profile(LINKS, ["Authorization Link"]));
    let ended = world.run(&["forms", "check"]).await;
    assert_eq!(ended.code, 3, "{ended:?}");
    for part in ["form-missing", "field-missing", "spelt \"Authorization Link\"", "2 findings"] {
        assert!(ended.stdout.contains(part), "{part:?} is not in {ended:?}");
    }
}

#[tokio::test]
async fn file_that_is_not_built_in_can_be_checked() {
    let world = World::new().await;
    let program = world.program();
    let file = program.home().join("forms.toml");
    let path = file.to_str().unwrap().to_owned();
    let text = include_str!("../../../forms.toml").replace("\"Average HRV\"", "\"Mean HRV\"");
    std::fs::write(&file, &text).unwrap();
    let check = ["--stack", "oura-connector", "forms", "check", "--json", "--file", &path];
    finds(&program.run(&check).await, "field-missing", "Mean HRV", &[]);

    std::fs::write(&file, text.replace("\"Mean HRV\"", "\"DOB\"")).unwrap();
    program
        .run(&["--stack", "oura-connector", "forms", "check", "--file", &path])
        .await
        .refused(1, &["line ", "\"DOB\" is reserved"]);
    program.run(&["forms", "spec", "--file", "nowhere.toml"]).await.refused(2, &["nowhere.toml", "--file"]);
}

#[tokio::test]
async fn site_that_hides_its_forms_gives_an_alternative() {
    let world = World::new().await;
    for schemas in [Schemas::Absent, Schemas::Forbidden, Schemas::Html] {
        world.stage.smartabase.configure(|site| site.schemas = schemas);
        world.run(&["forms", "check"]).await.refused(1, &["does not show its forms", "connector forms spec"]);
    }
}

#[tokio::test]
async fn unreachable_site_gives_one_sentence() {
    let world = World::new().await;
    let page = When::every().path("/site/api");
    world.stage.smartabase_wire.inject(page, Fault::Answer(wire::Answer::html()));
    world.run(&["forms", "check"]).await.refused(1, &["answers with a web page"]);

    world.stage.smartabase_wire.heal();
    world.stage.smartabase.set_password("another");
    world.run(&["forms", "check"]).await.refused(1, &["refuses the username or the password"]);
    assert_eq!(world.stage.smartabase.refused_logins(), 1);

    world.cloud(|cloud| cloud.parameters.insert("SmartabaseUrl", "http://127.0.0.1:1/site".to_owned()));
    world.run(&["forms", "check"]).await.refused(1, &["can’t be reached", "check the network"]);
}

#[tokio::test]
async fn a_site_on_hold_is_left_alone() {
    let world = World::new().await;
    let store = &world.stage.process.connector.store;
    store.set_hold(Service::Smartabase, ago(-1), "it refuses our password", soon()).await.unwrap();
    let _before = world.stage.cost();
    world.run(&["forms", "check"]).await.refused(1, &["nobody calls Smartabase until", "it refuses our password"]);
    assert_eq!(world.stage.cost().smartabase.len(), 0, "a wrong password is not tried again");
}

#[tokio::test]
async fn pilots_wrong_password_names_where_it_is_stored() {
    let mut pilot = Pilot::start().await;
    pilot.program = pilot.program.without("SMARTABASE_PASSWORD").with("SMARTABASE_PASSWORD", "another");
    let ended = pilot.run(&["forms", "check"]).await;
    ended.refused(1, &["refuses the username or the password", "SMARTABASE_USERNAME and SMARTABASE_PASSWORD"]);
    assert!(!ended.stderr.contains("secrets set"), "{ended:?}");
}

#[tokio::test]
async fn specification_lists_every_field_without_an_installation() {
    let program = Program::new();
    let forms = connector::forms::Forms::shipped().unwrap();
    let (csv, text) = (program.run(&["forms", "spec", "--csv"]).await, program.run(&["forms", "spec"]).await);
    assert_eq!((csv.code, text.code), (0, 0));
    let mut lines = csv.stdout.lines();
    assert_eq!(lines.next(), Some("form,kind,field,type,unit,source,example,notes"));
    let json = program.run(&["forms", "spec", "--json"]).await.json();
    let mut entries = json.as_array().unwrap().iter();
    for form in forms.wanted() {
        for field in &form.fields {
            let (line, entry) = (lines.next().unwrap(), entries.next().unwrap());
            let begins = format!("{},{},{},", form.form, form.kind.as_str(), field.label);
            assert!(line.starts_with(&begins), "{line}");
            assert_eq!(
                (entry["form"].as_str(), entry["field"].as_str()),
                (Some(form.form.as_str()), Some(field.label))
            );
            assert!(text.stdout.contains(field.label), "{}", field.label);
        }
    }
    assert_eq!((lines.next(), entries.next()), (None, None));
}

/// Builds the site from the printed specification, and expects no finding.
#[tokio::test]
async fn a_site_built_from_the_specification_passes_the_check() {
    let world = World::new().await;
    let rows = world.run(&["forms", "spec", "--json"]).await.json();
    let text = |row: &serde_json::Value, name: &str| row[name].as_str().unwrap().to_owned();
    let mut forms: std::collections::BTreeMap<String, Form> = std::collections::BTreeMap::new();
    for row in rows.as_array().unwrap() {
        let name = text(row, "form");
        let kind = if text(row, "kind") == "event" { Kind::Event } else { Kind::Profile };
        let form = forms.entry(name.clone()).or_insert_with(|| Form { kind, ..Form::event(&name, [""; 0]) });
        form.fields.push(text(row, "field"));
        form.types.insert(text(row, "field"), text(row, "type"));
    }
    for form in forms.into_values() {
        world.stage.smartabase.set_form(form);
    }
    let ended = world.run(&["forms", "check", "--json"]).await;
    assert_eq!((findings(&ended), ended.code), (Vec::new(), 0), "{ended:?}");
}
