//! `connector forms check` compares the site's forms with forms.toml.

use std::fmt::Write;

use connector::forms::Forms;
use connector::forms::check::{Finding, compare, locate};
use jiff::Timestamp;
use runtime::visible_on_one_line;
use serde::Serialize;
use smartabase::{Client, Credentials, Error};
use store::Service;

use crate::failure::Failure;
use crate::installation::{Installation, soon};
use crate::progress::Progress;
use crate::remote_errors::{self, Keeper};
use crate::report::{Ending, Report};
use crate::table::{BAD, GOOD, QUIET, styled};
use crate::time_format;

/// The `--json` output.
#[derive(Serialize)]
struct Printed<'a> {
    /// How many forms were compared.
    forms: usize,
    /// Every difference found.
    findings: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    /// The name of the finding, for scripts; docs/reference.md lists them.
    finding: &'static str,
    form: &'a str,
    /// The label of the field, if the finding is about a field.
    field: Option<&'a str>,
    says: String,
    remedy: String,
}

pub(super) async fn run(forms: &Forms, installation: &Installation, json: bool) -> Result<Report, Failure> {
    let connector = installation.connector()?;
    let (site, secrets) = (&connector.smartabase, &connector.secrets);
    let credentials = secrets.smartabase(soon()).await.map_err(|error| crate::secrets::unusable(&error))?;
    // Don't retry a refused password while a hold is in force because of it.
    let (hold, now) = (installation.store.hold(Service::Smartabase, soon().instant()).await?, Timestamp::now());
    if let Some(hold) = hold.filter(|hold| hold.until > now) {
        let until = time_format::time(hold.until, now, &installation.zone());
        return Err(Failure::Failed(format!(
            "nobody calls Smartabase until {until}: {}: mend what it says, and ask again then",
            hold.why
        )));
    }
    let failed = |error: &Error| remote_errors::site(site.site(), Keeper::of(secrets), error);
    let progress = Progress::of(json);
    progress.now("signing in to Smartabase");
    // Begin with one request whose failure is unambiguous: a wrong password is tried exactly once.
    site.sign_in(&credentials, soon().instant()).await.map_err(|error| failed(&error))?;
    progress.now("reading the forms");
    match survey(site, &credentials, forms).await {
        Ok(findings) => Ok(report(forms.wanted().len(), &findings)),
        Err(error) if unoffered(&error) => Err(Failure::Failed(format!(
            "{} does not show its forms to this account ({error}): compare them by eye with `connector forms spec`, or ask \
             Teamworks support for the v3 interface",
            site.site()
        ))),
        Err(error) => Err(failed(&error).into()),
    }
}

/// Reads those of the site's forms that the connector writes, and compares them. It changes nothing on the site.
pub(crate) async fn survey(site: &Client, credentials: &Credentials, forms: &Forms) -> Result<Vec<Finding>, Error> {
    let deadline = soon().instant();
    let session = site.open_session(credentials, deadline).await?;
    let there = session.forms(deadline).await?;
    let mut findings = Vec::new();
    for wanted in forms.wanted() {
        let (form, wrong) = locate(&wanted, &there);
        findings.extend(wrong);
        if let Some(form) = form {
            findings.extend(compare(&wanted, &session.schema(form, deadline).await?));
        }
    }
    Ok(findings)
}

/// Whether an error means that the site does not offer the form-schema interface, or not to this account. Call it only
/// after the account could sign in. The site's refusal differs from version to version.
pub(crate) fn unoffered(error: &Error) -> bool {
    matches!(
        error,
        Error::NotFound
            | Error::Forbidden
            | Error::WrongCredentials
            | Error::NotJson { .. }
            | Error::Rejected { .. }
            | Error::Refused { .. }
            | Error::Unexpected { .. }
    )
}

fn report(forms: usize, findings: &[Finding]) -> Report {
    let mut text = String::new();
    for finding in findings {
        let name = format!("  [{}]", finding.name());
        let (says, remedy) = (finding.to_string(), finding.remedy());
        let (says, remedy) = (visible_on_one_line(&says), visible_on_one_line(&remedy));
        let _ = writeln!(text, "{} {says}{}\n  → {remedy}", styled("✗", BAD), styled(&name, QUIET));
    }
    match findings.len() {
        0 => text += &styled(&format!("{forms} forms are as forms.toml has them"), GOOD),
        1 => text += "\n1 finding",
        several => {
            let _ = write!(text, "\n{several} findings");
        }
    }
    let entries = findings.iter().map(|finding| Entry {
        finding: finding.name(),
        form: finding.form.as_str(),
        field: finding.field(),
        says: finding.to_string(),
        remedy: finding.remedy(),
    });
    let ending = if findings.is_empty() { Ending::Fine } else { Ending::Attention };
    Report::new(ending, &Printed { forms, findings: entries.collect() }, text)
}
