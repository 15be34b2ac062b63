//! The content of the forms for staff. Pure.

use aws_lc_rs::digest::{SHA256, digest};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use smartabase::{FormName, UserId};
use store::{Connection, Enrolment, StaffForm, Status};

use crate::athlete_status::{AthleteStatus, shortened};
use crate::forms::{Forms, RotationForm, StatusForm, content_digest};

/// How long the form shows staff that the athlete may have connected another ring.
const TOLD_OF_CHANGE: SignedDuration = SignedDuration::from_hours(7 * 24);

/// One form's content for one athlete.
pub(crate) struct FormContent<'a> {
    pub(crate) form: StaffForm,
    pub(crate) name: &'a FormName,
    /// The user whose form this is: the connection's user, or else the link's.
    pub(crate) user: UserId,
    /// Label and text of every field that the site's form has; a blank text clears the field.
    pub(crate) fields: Vec<(String, String)>,
    /// The digest of the fields, the form and the user: equal exactly when the site would hold the same content.
    pub(crate) digest: String,
}

/// The forms whose content differs from what the table says they hold.
pub(crate) fn outdated_forms<'a>(
    forms: &'a Forms,
    enrolment: &Enrolment,
    connection: Option<&Connection>,
    now: Timestamp,
    zone: &TimeZone,
) -> Vec<FormContent<'a>> {
    // Ignore an ended connection of a user who had this UUID before: it says nothing about the present user.
    let connection = connection
        .filter(|connection| connection.status != Status::Disconnected || connection.user_id == enrolment.user_id);
    let user = connection.map_or(enrolment.user_id, |connection| connection.user_id);
    let mut sayings = Vec::new();
    if let Some(form) = &forms.status {
        sayings.push(FormContent::new(
            StaffForm::Status,
            &form.name,
            status(form, forms.nights(), connection, now, zone),
            user,
        ));
    }
    // Without earlier tokens, the form about tokens has no content.
    if let (Some(form), Some(connection)) = (&forms.rotation, connection) {
        sayings.push(FormContent::new(StaffForm::Rotation, &form.name, rotation(form, connection, zone), user));
    }
    sayings.retain(|saying| enrolment.staff.of(saying.form) != Some(saying.digest.as_str()));
    sayings
}

impl<'a> FormContent<'a> {
    fn new(form: StaffForm, name: &'a FormName, fields: Vec<(String, String)>, user: u64) -> Self {
        let whose = [(name.to_string(), user.to_string())];
        let digest = content_digest(&[&whose[..], &fields].concat());
        Self { form, name, user: UserId(user), fields, digest }
    }
}

fn status(
    form: &StatusForm,
    nights: bool,
    connection: Option<&Connection>,
    now: Timestamp,
    zone: &TimeZone,
) -> Vec<(String, String)> {
    let standing = AthleteStatus::of(connection, zone.to_datetime(now).date());
    let standing = if nights { standing } else { standing.without_nights() };
    let granted = connection.filter(|connection| connection.grant.is_some());
    written([
        (&form.connected_since, granted.map(|connection| instant(connection.connected_at, zone))),
        (&form.scopes, granted.map(|connection| connection.scopes.clone())),
        (&form.status, Some(standing.to_string())),
        (&form.reason, Some(reason(&standing, granted, now, zone))),
        (&form.last_night, connection.and_then(|connection| connection.last_day).map(night)),
    ])
}

/// The cause of a status, and a warning that another ring may be connected. A personal link is enough to connect a
/// ring, so staff, who know the athlete, should check whether it is the athlete's own.
fn reason(standing: &AthleteStatus, granted: Option<&Connection>, now: Timestamp, zone: &TimeZone) -> String {
    let changed = granted.and_then(|connection| connection.account_changed_at);
    let Some(changed) = changed.filter(|changed| now.duration_since(*changed) < TOLD_OF_CHANGE) else {
        return standing.reason();
    };
    let changed = format!(
        "since {} perhaps another Oura account: ask the athlete; if it was somebody else, tell your administrator",
        instant(changed, zone)
    );
    match standing.reason() {
        behind if behind.is_empty() => changed,
        behind => shortened(&format!("{changed}; {behind}")),
    }
}

fn rotation(form: &RotationForm, connection: &Connection, zone: &TimeZone) -> Vec<(String, String)> {
    let grant = connection.grant.as_ref();
    written([
        (&form.rotated, grant.map(|_| instant(issued(connection), zone))),
        (&form.expires, grant.map(|grant| instant(grant.expires_at, zone))),
        (&form.fingerprint, grant.map(|_| fingerprint(connection))),
    ])
}

/// The fields that the site's form has, blank where there is no content.
fn written<const N: usize>(fields: [(&Option<String>, Option<String>); N]) -> Vec<(String, String)> {
    fields.into_iter().filter_map(|(label, text)| Some((label.clone()?, text.unwrap_or_default()))).collect()
}

/// When the present token pair was issued.
fn issued(connection: &Connection) -> Timestamp {
    connection.rotated_at.unwrap_or(connection.connected_at)
}

/// A short name of the present token pair, to see whether two places show the same pair. It is computed from the
/// athlete, the number of pairs so far and the time of issue, never from a token, so it helps no attacker to guess one.
fn fingerprint(connection: &Connection) -> String {
    let named = format!("{}\0{}\0{}", connection.athlete, connection.generation, issued(connection));
    let hash = digest(&SHA256, named.as_bytes());
    hex::encode(hash.as_ref().get(..4).unwrap_or_default())
}

/// An instant in the site's time zone. The month is a word, because readers disagree on which day `03/04` is.
fn instant(instant: Timestamp, zone: &TimeZone) -> String {
    zone.to_datetime(instant).strftime("%-d %B %Y, %H:%M").to_string()
}

/// A night, named by the evening on which it began.
fn night(evening: Date) -> String {
    evening.strftime("%A %-d %B %Y").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::athlete_status::tests::connection;
    use proptest::prelude::*;
    use store::{AthleteId, KeyVersion, Keyring, SealPurpose, StoredGrant, Told};

    fn now() -> Timestamp {
        "2026-03-03T08:30:00Z".parse().unwrap()
    }

    fn enrolment() -> Enrolment {
        Enrolment {
            athlete: AthleteId::parse("ada").unwrap(),
            user_id: 17,
            name: "Ada".to_owned(),
            link_expires: now(),
            basis: String::new(),
            told: now(),
            links_from: None,
            staff: Told::default(),
        }
    }

    fn granted(tokens: &str) -> Connection {
        let keyring = Keyring::new(KeyVersion { id: "one".to_owned(), secret: "root".into() });
        let athlete = AthleteId::parse("ada").unwrap();
        let grant = StoredGrant {
            sealed: keyring.seal(SealPurpose::Grant, &athlete, tokens.as_bytes()).unwrap(),
            token_url: "https://oura.test/token".parse().unwrap(),
            expires_at: "2026-03-04T07:15:00Z".parse().unwrap(),
        };
        let rotated_at = Some("2026-03-03T07:15:00Z".parse().unwrap());
        Connection { grant: Some(grant), rotated_at, ..connection(Status::Active) }
    }

    fn say(connection: Option<&Connection>, zone: &str) -> Vec<Vec<(String, String)>> {
        let (forms, zone) = (Forms::shipped().unwrap(), TimeZone::get(zone).unwrap());
        outdated_forms(&forms, &enrolment(), connection, now(), &zone).into_iter().map(|saying| saying.fields).collect()
    }

    fn texts(fields: &[(String, String)]) -> Vec<&str> {
        fields.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn a_connected_athlete_is_described_in_the_sites_own_time() {
        let said = say(Some(&granted("tokens")), "Australia/Brisbane");
        assert_eq!(texts(&said[0]), ["1 February 2026, 19:30", "daily", "connected", "", "Monday 2 March 2026"]);
        let [rotated, expires, fingerprint] = texts(&said[1])[..] else { panic!("{said:?}") };
        assert_eq!((rotated, expires), ("3 March 2026, 17:15", "4 March 2026, 17:15"));
        assert!(fingerprint.len() == 8 && fingerprint.chars().all(|digit| digit.is_ascii_hexdigit()), "{fingerprint}");
    }

    #[test]
    fn a_changed_oura_account_is_shown_to_staff_for_a_week() {
        let changed = |hours| Some(now() - SignedDuration::from_hours(hours));
        let reason = |connection: &Connection| say(Some(connection), "UTC")[0][3].1.clone();
        let fresh = Connection { account_changed_at: changed(1), ..granted("tokens") };
        assert_eq!(
            reason(&fresh),
            "since 3 March 2026, 07:30 perhaps another Oura account: ask the athlete; if it was somebody else, tell your \
             administrator"
        );
        let nightless = Connection { last_day: None, ..fresh.clone() };
        assert!(reason(&nightless).ends_with("your administrator; no night received yet"), "{}", reason(&nightless));
        let long = Connection { note: Some("x".repeat(400)), ..fresh.clone() };
        assert!(reason(&long).chars().count() <= 301 && reason(&long).starts_with("since 3 March"));
        assert_eq!(reason(&Connection { account_changed_at: changed(7 * 24), ..fresh.clone() }), "");
        let ended = Connection { grant: None, status: Status::Disconnected, ..fresh };
        assert_eq!(reason(&ended), AthleteStatus::Disconnected.reason());
    }

    #[test]
    fn without_a_grant_its_fields_are_cleared() {
        let said = say(None, "UTC");
        let [status] = &said[..] else { panic!("{said:?}") };
        assert_eq!(texts(status), ["", "", "not connected yet", AthleteStatus::NotConnected.reason().as_str(), ""]);
        let said = say(Some(&connection(Status::Disconnected)), "UTC");
        assert_eq!(texts(&said[0])[..3], ["", "", "disconnected"]);
        assert_eq!(texts(&said[1]), ["", "", ""]);
    }

    #[test]
    fn a_former_users_connection_is_not_shown_for_the_new_user() {
        let (forms, heir) = (Forms::shipped().unwrap(), Enrolment { user_id: 18, ..enrolment() });
        let left = connection(Status::Disconnected);
        let said = outdated_forms(&forms, &heir, Some(&left), now(), &TimeZone::UTC);
        let [status] = &said[..] else { panic!("their forms have nothing to clear") };
        assert_eq!((status.user, texts(&status.fields)[2]), (UserId(18), "not connected yet"));
        let living = outdated_forms(&forms, &heir, Some(&granted("tokens")), now(), &TimeZone::UTC);
        assert!(living.iter().all(|saying| saying.user == UserId(17)), "a ring speaks in the forms it feeds");
    }

    #[test]
    fn today_is_in_the_sites_time_zone() {
        let active = Connection { last_day: Some(jiff::civil::date(2026, 2, 28)), ..granted("tokens") };
        let status = |zone| say(Some(&active), zone)[0][2].1.clone();
        assert_eq!(status("Pacific/Honolulu"), "connected", "it is still Monday there");
        assert_eq!(status("Europe/Berlin"), "has not opened the Oura app since Sunday");
    }

    #[test]
    fn without_a_form_for_nights_no_night_is_missing() {
        let forms = include_str!("../../../../infra/forms.toml").replace("\"evening-before\"", "\"same-day\"");
        let said = |forms: &Forms| {
            let without = Connection { last_sync: Some(now()), ..granted("tokens") };
            let without = Connection { last_day: None, ..without };
            texts(&outdated_forms(forms, &enrolment(), Some(&without), now(), &TimeZone::UTC)[0].fields)[2].to_owned()
        };
        assert_eq!(said(&Forms::shipped().unwrap()), "no night received yet: has the ring been worn?");
        assert_eq!(said(&Forms::parse(&forms).unwrap()), "connected");
    }

    #[test]
    fn only_fields_of_the_sites_forms_are_written() {
        let event = "[[event]]\nform = 'F'\ndate = 'same-day'\nstart = '12:00'\nfinish = '13:00'\n\
                     fields = [{ label = 'X', source = 'daily_sleep.score' }]\n";
        let parse = |sections: &str| Forms::parse(&format!("[authorise]\nform = 'A'\nlink = 'L'\n{event}{sections}"));
        let granted = granted("tokens");
        let say = |sections: &str| {
            let forms = parse(sections).unwrap();
            let said = outdated_forms(&forms, &enrolment(), Some(&granted), now(), &TimeZone::UTC);
            said.into_iter().map(|saying| saying.fields).collect::<Vec<_>>()
        };
        assert!(say("").is_empty());
        let field = |label: &str, text: &str| vec![(label.to_owned(), text.to_owned())];
        assert_eq!(say("[status]\nform = 'S'\nstatus = 'How'\n"), [field("How", "connected")]);
        assert_eq!(say("[rotation]\nform = 'R'\nexpires = 'Until'\n"), [field("Until", "4 March 2026, 07:15")]);
    }

    #[test]
    fn a_form_is_written_again_only_after_a_change() {
        let (forms, granted) = (Forms::shipped().unwrap(), granted("tokens"));
        let said = |forms: &Forms, enrolment: &Enrolment, connection: &Connection, now: Timestamp| {
            let sayings = outdated_forms(forms, enrolment, Some(connection), now, &TimeZone::UTC);
            sayings.into_iter().map(|saying| (saying.form, saying.digest)).collect::<Vec<_>>()
        };
        let first = said(&forms, &enrolment(), &granted, now());
        let [(StaffForm::Status, status), (StaffForm::Rotation, rotation)] = &first[..] else { panic!("{first:?}") };
        let staff = Told { status: Some(status.clone()), rotation: Some(rotation.clone()) };
        let told = Enrolment { staff, ..enrolment() };
        assert_eq!(said(&forms, &told, &granted, now() + SignedDuration::from_hours(20)), [], "a day without news");
        let heard = |connection: &Connection| {
            said(&forms, &told, connection, now()).into_iter().map(|(form, _)| form).collect::<Vec<_>>()
        };
        let slept = Connection { last_day: Some(jiff::civil::date(2026, 3, 3)), ..granted.clone() };
        assert_eq!(heard(&slept), [StaffForm::Status]);
        let rotated = Connection { generation: 4, rotated_at: Some(now()), ..granted.clone() };
        assert_eq!(heard(&rotated), [StaffForm::Rotation]);
        let merged = Connection { user_id: 18, ..granted.clone() };
        assert_eq!(heard(&merged).len(), 2, "the other user's forms were told nothing");
        let mut renamed = forms.clone();
        renamed.status.as_mut().unwrap().reason = Some("Why".to_owned());
        assert_eq!(said(&renamed, &told, &granted, now()).len(), 1);
    }

    #[test]
    fn the_fingerprint_depends_on_the_pair_and_not_the_tokens() {
        let one = granted("one pair");
        assert_eq!(fingerprint(&one), fingerprint(&granted("another pair")), "no token has a part in it");
        let others = [
            Connection { generation: 4, ..one.clone() },
            Connection { rotated_at: Some(now()), ..one.clone() },
            Connection { athlete: AthleteId::parse("ben").unwrap(), ..one.clone() },
        ];
        assert!(others.iter().all(|other| fingerprint(other) != fingerprint(&one)));
    }

    proptest! {
        #[test]
        fn forms_never_hold_a_token(tokens in "[a-zA-Z0-9]{20,60}", generation in 1u64..1_000_000) {
            let connection = Connection { generation, ..granted(&tokens) };
            let said = say(Some(&connection), "Europe/Berlin").concat();
            for (_, text) in said {
                prop_assert!(!tokens.as_bytes().windows(6).any(|part| text.as_bytes().windows(6).any(|seen| seen == part)));
            }
        }
    }
}
