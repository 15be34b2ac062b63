use std::collections::HashSet;

use serde::Deserialize;
use smartabase::FormName;
use toml::Spanned;

use super::configuration::{Forms, FormsError, Reader};

/// The profile form that an athlete sees.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Its exact name on the site.
    pub name: FormName,
    /// The label of the field that receives the link.
    pub link: String,
}

/// The profile form that shows an athlete's status. It has at least one label; each field receives text.
#[derive(Clone, Debug)]
pub struct StatusForm {
    /// Its exact name on the site.
    pub name: FormName,
    /// The label for when the athlete last authorised.
    pub connected_since: Option<String>,
    /// The label for the scopes granted.
    pub scopes: Option<String>,
    /// The label for the status, in words.
    pub status: Option<String>,
    /// The label for the cause, and who does what about it.
    pub reason: Option<String>,
    /// The label for the evening on which the last night received began.
    pub last_night: Option<String>,
}

/// The profile form that shows when the tokens were last refreshed. It has at least one label; each field receives
/// text.
#[derive(Clone, Debug)]
pub struct RotationForm {
    /// Its exact name on the site.
    pub name: FormName,
    /// The label for when the token pair was issued.
    pub rotated: Option<String>,
    /// The label for when its access token expires.
    pub expires: Option<String>,
    /// The label for the token pair's short name.
    pub fingerprint: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AuthoriseRow {
    pub(super) form: Spanned<String>,
    link: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StatusRow {
    pub(super) form: Spanned<String>,
    connected_since: Option<Spanned<String>>,
    scopes: Option<Spanned<String>>,
    status: Option<Spanned<String>>,
    reason: Option<Spanned<String>>,
    last_night: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RotationRow {
    pub(super) form: Spanned<String>,
    rotated: Option<Spanned<String>>,
    expires: Option<Spanned<String>>,
    fingerprint: Option<Spanned<String>>,
}

impl Forms {
    /// The profile forms that an administrator has to build, with their fields' labels, in the file's order.
    pub fn profiles(&self) -> impl Iterator<Item = (&FormName, Vec<&str>)> {
        let authorise = (&self.authorise.name, vec![self.authorise.link.as_str()]);
        let status = self.status.iter().map(|form| (&form.name, form.labels()));
        let rotation = self.rotation.iter().map(|form| (&form.name, form.labels()));
        [authorise].into_iter().chain(status).chain(rotation)
    }
}

impl StatusForm {
    fn labels(&self) -> Vec<&str> {
        let labels = [&self.connected_since, &self.scopes, &self.status, &self.reason, &self.last_night];
        labels.into_iter().flatten().map(String::as_str).collect()
    }
}

impl RotationForm {
    fn labels(&self) -> Vec<&str> {
        [&self.rotated, &self.expires, &self.fingerprint].into_iter().flatten().map(String::as_str).collect()
    }
}

impl AuthoriseRow {
    pub(super) fn read(&self, reader: &Reader<'_>) -> Result<Profile, FormsError> {
        let name = FormName::new(reader.filled(&self.form)?);
        Ok(Profile { name, link: reader.label(&self.link, &mut HashSet::new())? })
    }
}

impl StatusRow {
    pub(super) fn read(&self, reader: &Reader<'_>) -> Result<StatusForm, FormsError> {
        let name = FormName::new(reader.filled(&self.form)?);
        let mut labels = HashSet::new();
        let mut label =
            |row: &Option<Spanned<String>>| row.as_ref().map(|text| reader.label(text, &mut labels)).transpose();
        let form = StatusForm {
            name,
            connected_since: label(&self.connected_since)?,
            scopes: label(&self.scopes)?,
            status: label(&self.status)?,
            reason: label(&self.reason)?,
            last_night: label(&self.last_night)?,
        };
        if form.labels().is_empty() { Err(reader.without_fields(&self.form)) } else { Ok(form) }
    }
}

impl RotationRow {
    pub(super) fn read(&self, reader: &Reader<'_>) -> Result<RotationForm, FormsError> {
        let name = FormName::new(reader.filled(&self.form)?);
        let mut labels = HashSet::new();
        let mut label =
            |row: &Option<Spanned<String>>| row.as_ref().map(|text| reader.label(text, &mut labels)).transpose();
        let form = RotationForm {
            name,
            rotated: label(&self.rotated)?,
            expires: label(&self.expires)?,
            fingerprint: label(&self.fingerprint)?,
        };
        if form.labels().is_empty() { Err(reader.without_fields(&self.form)) } else { Ok(form) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The file with these sections inserted after its first form, which ends on line 9.
    fn with(sections: &str) -> Result<Forms, FormsError> {
        let event = "[[event]]\nform = 'F'\ndate = 'same-day'\nstart = '12:00'\nfinish = '13:00'\n\
                     fields = [{ label = 'X', source = 'daily_sleep.score' }]\n";
        Forms::parse(&format!("[authorise]\nform = 'A'\nlink = 'L'\n{event}{sections}"))
    }

    #[test]
    fn the_shipped_file_has_the_forms_of_the_vendors_connector() {
        let forms = Forms::shipped().unwrap();
        let profiles: Vec<_> = forms.profiles().map(|(name, labels)| (name.to_string(), labels.join(", "))).collect();
        let expected = [
            ("Authorise Oura Data", "Authorisation Link"),
            ("Oura Refresh Token", "Connected Since, Scopes, Status, Reason, Last Night Received"),
            ("Current Refresh Token", "Last Rotation, Expires, Fingerprint"),
        ];
        assert_eq!(profiles, expected.map(|(name, labels)| (name.to_owned(), labels.to_owned())));
    }

    #[test]
    fn the_forms_for_staff_and_each_of_their_labels_may_be_left_out() {
        let forms = with("").unwrap();
        assert!(forms.status.is_none() && forms.rotation.is_none());
        let forms = with("[status]\nform = 'S'\nstatus = 'How'\n").unwrap();
        let status = forms.status.unwrap();
        assert_eq!((status.labels(), &status.reason), (vec!["How"], &None));
        let forms = with("[rotation]\nform = 'R'\nexpires = 'When'\n").unwrap();
        assert_eq!(forms.rotation.unwrap().labels(), ["When"]);
    }

    #[test]
    fn an_error_gives_its_line() {
        for (sections, line, expected) in [
            ("[status]\nform = 'S'\n", 11, "at least one field"),
            ("[rotation]\nform = 'R'\n", 11, "at least one field"),
            ("[status]\nform = 'S'\nstatus = 'A'\nreason = 'A'\n", 13, "used twice"),
            ("[status]\nform = 'S'\nstatus = 'UUID'\n", 12, "reserved"),
            ("[rotation]\nform = 'R'\nrotated = ' A'\n", 12, "begin or end with a space"),
            ("[status]\nform = 'A'\nstatus = 'X'\n", 11, "the form \"A\" is named twice"),
            ("[rotation]\nform = 'F'\nrotated = 'X'\n", 11, "the form \"F\" is named twice"),
            ("[status]\nform = 'S'\nstatus = 'X'\n[rotation]\nform = 'S'\nrotated = 'X'\n", 14, "is named twice"),
            ("[status]\nform = 'S'\ntoken = 'X'\n", 12, "unknown field `token`"),
            ("[status]\nstatus = 'X'\n", 10, "missing field `form`"),
        ] {
            let error = with(sections).unwrap_err();
            assert_eq!((error.line, error.fault.contains(expected)), (line, true), "{error}\n{sections}");
        }
    }
}
