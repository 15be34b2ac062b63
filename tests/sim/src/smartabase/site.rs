use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::Clock;

/// Everything that a [`Smartabase`](super::Smartabase) starts with.
#[derive(Debug, Clone)]
pub struct Config {
    /// The clock of the site.
    pub clock: Clock,
    /// The path of the site, such as `/site` or `/app/live`. Its last part is the name of the app.
    pub path: String,
    /// The username of the one account that may log in; not an e-mail address.
    pub username: String,
    /// Its password.
    pub password: String,
    /// The forms of the site.
    pub forms: Vec<Form>,
    /// The users whom the account sees.
    pub users: Vec<User>,
    /// How the site behaves. Can be changed while it runs.
    pub settings: Settings,
    /// How long an idle connection stays open: five seconds on the real service.
    pub keep_alive: Duration,
}

impl Default for Config {
    /// The machine's clock, `/site`, account `api.account` with password `api-password`, no forms and no users.
    fn default() -> Self {
        Self {
            clock: Clock::system(),
            path: "/site".to_owned(),
            username: "api.account".to_owned(),
            password: "api-password".to_owned(),
            forms: Vec::new(),
            users: Vec::new(),
            settings: Settings::default(),
            keep_alive: Duration::from_secs(5),
        }
    }
}

/// One form of the site. Names are exact and case-sensitive.
#[derive(Debug, Clone)]
pub struct Form {
    /// The display name, by which the API addresses the form.
    pub name: String,
    /// Whether a user has many records or one.
    pub kind: Kind,
    /// The fields that can be written.
    pub fields: Vec<String>,
    /// The fields that must not be empty.
    pub required: BTreeSet<String>,
    /// Number fields that the site returns as Java writes a double: `"1.78432026E9"`.
    pub doubles: BTreeSet<String>,
    /// Fields of a table on the form. Only these may occur in several rows.
    pub table: BTreeSet<String>,
    /// The type of a field in the schema, such as `Linked Option`, if it is not a plain number or text.
    pub types: BTreeMap<String, String>,
    /// Whether the account may only read it, as the list of forms says.
    pub read_only: bool,
}

impl Form {
    /// An event form with these single-value fields, none of them required.
    #[must_use]
    pub fn event<F: Into<String>>(name: &str, fields: impl IntoIterator<Item = F>) -> Self {
        Self {
            name: name.to_owned(),
            kind: Kind::Event,
            fields: fields.into_iter().map(Into::into).collect(),
            required: BTreeSet::new(),
            doubles: BTreeSet::new(),
            table: BTreeSet::new(),
            types: BTreeMap::new(),
            read_only: false,
        }
    }

    /// A profile form with these fields, none of them required.
    #[must_use]
    pub fn profile<F: Into<String>>(name: &str, fields: impl IntoIterator<Item = F>) -> Self {
        Self { kind: Kind::Profile, ..Self::event(name, fields) }
    }

    /// The same form, on which these fields must not be empty.
    #[must_use]
    pub fn requiring<F: Into<String>>(mut self, fields: impl IntoIterator<Item = F>) -> Self {
        self.required.extend(fields.into_iter().map(Into::into));
        self
    }

    /// The same form, with another type for a field in the schema.
    #[must_use]
    pub fn typed(mut self, field: &str, item_type: &str) -> Self {
        self.types.insert(field.to_owned(), item_type.to_owned());
        self
    }

    pub(super) fn has(&self, field: &str) -> bool {
        self.fields.iter().any(|other| other == field) || self.table.contains(field)
    }
}

/// The two kinds of form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Many records per user, each with its dates.
    Event,
    /// Exactly one record per user.
    Profile,
}

/// A user of the site.
#[derive(Debug, Clone)]
pub struct User {
    /// The number by which the API addresses the user.
    pub id: i64,
    /// A free text that the organisation assigns. `None` is returned as null, an empty text as `""`.
    pub uuid: Option<String>,
    /// First name.
    pub first_name: String,
    /// Last name.
    pub last_name: String,
    /// Login name.
    pub username: String,
    /// E-mail address.
    pub email: String,
    /// Date of birth, `dd/MM/yyyy`.
    pub dob: String,
    /// `MALE` or `FEMALE`.
    pub sex: String,
    /// The groups in which they are an athlete.
    pub groups: BTreeSet<String>,
}

impl User {
    /// A user with a UUID, in no group, born on 1 January 2000.
    #[must_use]
    pub fn new(id: i64, uuid: &str, first_name: &str, last_name: &str) -> Self {
        let username = format!("{first_name}.{last_name}").to_lowercase();
        Self {
            id,
            uuid: Some(uuid.to_owned()),
            first_name: first_name.to_owned(),
            last_name: last_name.to_owned(),
            email: format!("{username}@example.org"),
            username,
            dob: "01/01/2000".to_owned(),
            sex: "FEMALE".to_owned(),
            groups: BTreeSet::new(),
        }
    }

    /// The same user, in one more group.
    #[must_use]
    pub fn in_group(mut self, group: &str) -> Self {
        self.groups.insert(group.to_owned());
        self
    }
}

/// How the site behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Users or events per page, at least one.
    pub page_size: usize,
    /// The name of the field that holds the next page's cursor.
    pub cursor: CursorName,
    /// Where in an answer that cursor is.
    pub cursor_place: CursorPlace,
    /// Whether the searches return an event's user as `{"userId": 1009}`, as imports send it.
    pub users_as_objects: bool,
    /// Whether the roster returns the same cursor and the same page for ever.
    pub cursor_repeats: bool,
    /// Whether `eventimport` answers every request with an HTML page and 422, as on one real site.
    pub singular_import_refused: bool,
    /// When an update makes a new event instead.
    pub update_elsewhere: UpdateElsewhere,
    /// Users who cannot receive a form, by form. Their events are dropped from an import that reports success.
    pub cannot_receive: BTreeMap<String, BTreeSet<i64>>,
    /// The answer of a search without result.
    pub empty: Empty,
    /// Forms that the account may not read by `synchronise`: 403.
    pub forbidden: BTreeSet<String>,
    /// Whether the site offers the schemas of its forms.
    pub schemas: Schemas,
}

impl Default for Settings {
    /// Pages of 100, `cursor`, an update of a deleted event makes a new one, and no other oddity.
    fn default() -> Self {
        Self {
            page_size: 100,
            cursor: CursorName::Cursor,
            cursor_place: CursorPlace::Top,
            users_as_objects: false,
            cursor_repeats: false,
            singular_import_refused: false,
            update_elsewhere: UpdateElsewhere::WhenGone,
            cannot_receive: BTreeMap::new(),
            empty: Empty::List,
            forbidden: BTreeSet::new(),
            schemas: Schemas::Offered,
        }
    }
}

/// The names of the cursor that were seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CursorName {
    /// `cursor`
    Cursor,
    /// `nextCursor`; under `export` when changed events are read
    NextCursor,
    /// `next_cursor`
    NextCursorSnake,
}

impl CursorName {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cursor => "cursor",
            Self::NextCursor => "nextCursor",
            Self::NextCursorSnake => "next_cursor",
        }
    }
}

/// The places of the cursor that were seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CursorPlace {
    /// At the top; `nextCursor` under `export` when changed events are read
    Top,
    /// `{"pagination": {"cursor": ...}}`, where the vendor's newest client reads it
    Pagination,
    /// `{"export": {"cursor": ...}}`
    Export,
    /// `{"export": {"pagination": {"cursor": ...}}}`
    ExportPagination,
}

impl CursorPlace {
    /// All places.
    pub const ALL: [Self; 4] = [Self::Top, Self::Pagination, Self::Export, Self::ExportPagination];
}

/// How v3 answers requests for the schemas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schemas {
    /// With the schemas.
    Offered,
    /// 404: this version of the product has none.
    Absent,
    /// 403: this account may not read them.
    Forbidden,
    /// An HTML page.
    Html,
}

/// When an update stores the event under another id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateElsewhere {
    /// If the event was deleted, or belongs to another user or form.
    WhenGone,
    /// Always.
    Always,
}

/// The answer of a search without result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Empty {
    /// `{"events":[]}`
    List,
    /// `{}`
    Object,
    /// An empty body.
    Nothing,
}
