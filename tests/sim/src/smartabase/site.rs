use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::Clock;

/// Everything a [`Smartabase`](super::Smartabase) starts with.
#[derive(Debug, Clone)]
pub struct Config {
    /// The time at the site.
    pub clock: Clock,
    /// The path of the site, such as `/site` or `/app/live`; its last part is the name of the app.
    pub path: String,
    /// The one account that may log in. A username, not an e-mail address.
    pub username: String,
    /// Its password.
    pub password: String,
    /// The forms of the site.
    pub forms: Vec<Form>,
    /// Who the account sees.
    pub users: Vec<User>,
    /// How the site behaves; can be changed while it runs.
    pub settings: Settings,
    /// How long an idle connection is kept: five seconds on the real service.
    pub keep_alive: Duration,
}

impl Default for Config {
    /// The machine's clock, `/site`, account `api.account` with password `api-password`, no form and no user.
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
    /// The display name, which is how the interface addresses it.
    pub name: String,
    /// Many records per user, or one.
    pub kind: Kind,
    /// The fields that can be written.
    pub fields: Vec<String>,
    /// Those of them that must not be empty.
    pub required: BTreeSet<String>,
    /// Number fields that read back as Java writes a double: `"1.78432026E9"`.
    pub doubles: BTreeSet<String>,
    /// Fields of a table on the form: the only ones that may stand in several rows.
    pub table: BTreeSet<String>,
    /// What the schema calls a field, such as `Linked Option`, where it is not a plain number or text.
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

    /// The same form, on which the schema calls a field by this type.
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

/// Somebody on the site.
#[derive(Debug, Clone)]
pub struct User {
    /// The number by which the interface addresses them.
    pub id: i64,
    /// The free string that an organisation gives them; `None` reads as null, an empty one as `""`.
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
    /// The groups they are an athlete of.
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
    /// Users, or events, per page, at least one.
    pub page_size: usize,
    /// Under which name the next page's cursor is given.
    pub cursor: CursorName,
    /// Where in an answer that cursor is.
    pub cursor_place: CursorPlace,
    /// Whether the searches give an event's user as `{"userId": 1009}`, as imports have it.
    pub users_as_objects: bool,
    /// Whether the roster gives the same cursor, and the same page, for ever.
    pub cursor_repeats: bool,
    /// Whether `eventimport` answers every request with a page of HTML and 422, as on one real site.
    pub singular_import_refused: bool,
    /// When an update makes a new event instead.
    pub update_elsewhere: UpdateElsewhere,
    /// Users who cannot receive a form, by form: their events vanish from an import that succeeds.
    pub cannot_receive: BTreeMap<String, BTreeSet<i64>>,
    /// What a search without result looks like.
    pub empty: Empty,
    /// Forms that the account may not read by `synchronise`: 403.
    pub forbidden: BTreeSet<String>,
    /// Whether the site tells what its forms look like.
    pub schemas: Schemas,
}

impl Default for Settings {
    /// Pages of 100, `cursor`, an update of a deleted event makes a new one, and nothing out of the ordinary.
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

/// The names under which a cursor was seen.
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

/// Where a cursor was seen.
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
    /// Every place.
    pub const ALL: [Self; 4] = [Self::Top, Self::Pagination, Self::Export, Self::ExportPagination];
}

/// How v3 answers those who want to know what the forms look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schemas {
    /// As it should.
    Offered,
    /// 404: a version of the product without them.
    Absent,
    /// 403: not this account.
    Forbidden,
    /// A web page.
    Html,
}

/// When an update succeeds under another id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateElsewhere {
    /// When the event is deleted, another user's or another form's.
    WhenGone,
    /// Always.
    Always,
}

/// What a search without result looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Empty {
    /// `{"events":[]}`
    List,
    /// `{}`
    Object,
    /// An empty body.
    Nothing,
}
