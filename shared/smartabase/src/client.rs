//! The API calls, one function each.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::error::{BuildError, Error};
use crate::event::{self, Event, StoredEvent, Wanted};
use crate::ids::{EventId, FormName, UserId};
use crate::import::{Import, ProfileImport, read_import, read_profile_import, state_of};
use crate::paging::Cursors;
use crate::profile::{self, Profile, read_profiles};
use crate::refusal::Refusal;
use crate::roster::{GroupBody, Roster, RosterPages, SynchroniseBody, read_members};
use crate::site::{Credentials, Site};
use crate::transport::{Purpose, Transport};

/// Most events in one import: the size of the vendor's own sample batches. No hard limit is known.
pub const MAX_EVENTS: usize = 25;
/// Most users in one profile search: the page size that the site uses for other lists.
const USERS_PER_SEARCH: usize = 100;

/// A client of one site. Build it once: it holds a connection pool, which its clones share.
///
/// No call waits past its deadline. No call is repeated, with one exception: a read is sent once more if its connection
/// breaks.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) transport: Transport,
}

impl Client {
    /// Makes a client of this site. Sends nothing.
    pub fn new(site: Site) -> Result<Client, BuildError> {
        Ok(Client { transport: Transport::new(site)? })
    }

    /// The site.
    #[must_use]
    pub fn site(&self) -> &Site {
        self.transport.site()
    }

    /// Opens a connection in advance, for a call in the next few seconds. Sends no credentials and ignores the result.
    pub async fn warm(&self, deadline: Instant) {
        self.transport.warm(deadline).await;
    }

    /// Checks whether the site accepts these credentials, with one request that reads no personal data. A 403 also
    /// means success: the site accepted the account, which only lacks permission for this request. A refusal with
    /// status 200 may be about the password, so it is an error.
    pub async fn sign_in(&self, credentials: &Credentials, deadline: Instant) -> Result<(), Error> {
        // Sent like an import, so that it is never repeated: wrong passwords may lock the account.
        match self.transport.post("listgroups", credentials, &GroupBody { name: "" }, Purpose::Import, deadline).await {
            Ok(None) | Err(Error::Forbidden) => Ok(()),
            Ok(Some(answer)) => match Refusal::find_in_read(&answer.json) {
                Some(refusal) => Err(refusal.into_error()),
                None if answer.json.is_object() => Ok(()),
                None => Err(Error::unexpected("listgroups: not an object")),
            },
            Err(error) => Err(error),
        }
    }

    /// All users that the account can see: all pages of `usersynchronise`. A missing user is not proof of a deletion;
    /// [`deleted_users`](Client::deleted_users) asks the site.
    pub async fn roster(&self, credentials: &Credentials, deadline: Instant) -> Result<Roster, Error> {
        self.roster_knowing(credentials, &[], deadline).await
    }

    /// Returns those of the given users that the site says are deleted. The other users may still exist, or may only be
    /// invisible to the account. The site makes this distinction only for users that the request names (vendor's
    /// documentation of `usersynchronise`). The call costs as much as the roster.
    ///
    /// A user is not deleted if the same answer also lists the user or names the user in a merger. A merger without a
    /// readable user makes the whole answer an error.
    pub async fn deleted_users(
        &self,
        credentials: &Credentials,
        users: &[UserId],
        deadline: Instant,
    ) -> Result<Vec<UserId>, Error> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let roster = self.roster_knowing(credentials, users, deadline).await?;
        if let Some(merger) = roster.unreadable.iter().find(|unreadable| unreadable.is_unknown_merger()) {
            return Err(Error::unexpected(format!("usersynchronise: {}", merger.what)));
        }
        // A merged user is gone too, but not deleted.
        let deleted = roster.clearly_deleted();
        Ok(users.iter().copied().filter(|user| deleted.contains(user)).collect())
    }

    async fn roster_knowing(
        &self,
        credentials: &Credentials,
        known: &[UserId],
        deadline: Instant,
    ) -> Result<Roster, Error> {
        let mut cursors = Cursors::default();
        let mut pages = RosterPages::default();
        let mut cursor = None;
        loop {
            let body = SynchroniseBody::page(known, cursor);
            // Other lists may be missing if they are empty, but this one includes the account itself.
            let nobody = Error::NotJson { status: 200, starts: "empty" };
            let page = self.transport.post("usersynchronise", credentials, &body, Purpose::Read, deadline).await?;
            let page = page.ok_or(nobody)?;
            pages.read(&page)?;
            cursor = cursors.next(&page.json)?;
            if cursor.is_none() {
                return pages.finish();
            }
        }
    }

    /// The members of a group. An unknown group looks like an empty one. One unreadable member makes the whole answer
    /// an error: a member missing from the result would count as outside the group.
    pub async fn group_members(
        &self,
        credentials: &Credentials,
        group: &str,
        deadline: Instant,
    ) -> Result<Vec<UserId>, Error> {
        let answer = self.read("groupmembers", credentials, &GroupBody { name: group }, deadline).await?;
        answer.as_ref().map_or(Ok(Vec::new()), read_members)
    }

    /// Imports up to [`MAX_EVENTS`] events into one form, in one request. Put the oldest first, so that the site does
    /// not repeat calculations over an athlete's history.
    ///
    /// The API has no idempotency key. After a result other than [`Import::Imported`], or after an error in doubt
    /// ([`leaves_import_in_doubt`](Error::leaves_import_in_doubt)), look the records up with [`events`](Client::events)
    /// before sending again. Never send `First Name`, `Last Name`, or a field that the form links or calculates.
    pub async fn import(
        &self,
        credentials: &Credentials,
        form: &FormName,
        events: &[Event],
        deadline: Instant,
    ) -> Result<Import, Error> {
        if events.is_empty() || events.len() > MAX_EVENTS {
            return Err(Error::BatchSize { events: events.len() });
        }
        let body = event::ImportBody::new(form, events);
        let answer = self.write("eventsimport", credentials, &body, deadline).await?;
        read_import(&answer, events)
    }

    /// The events of one form and user that start on the days from `first` to `last`, both included, oldest first.
    ///
    /// Calls `eventsearch`. If the site can't answer that (404, 422, or a body that is not JSON), calls `synchronise`.
    /// An answer that is not fully understood, or may be incomplete, is an error. It never counts as "no events",
    /// because the caller would then store a record twice. There is one exception, because real sites answer so: an
    /// empty body with status 200 as the first page means "no events". It must arrive in full, with `Content-Length: 0`
    /// or as a complete chunked body.
    pub async fn events(
        &self,
        credentials: &Credentials,
        form: &FormName,
        user: UserId,
        first: Date,
        last: Date,
        deadline: Instant,
    ) -> Result<Vec<StoredEvent>, Error> {
        let wanted = Wanted { form, user, first, last };
        let search = |cursor| wanted.search(cursor);
        let found = match self.pages("eventsearch", credentials, &wanted, search, deadline).await {
            Err(Error::NotFound | Error::Rejected { status: 422 } | Error::NotJson { .. }) => {
                let synchronise = |cursor| wanted.synchronise(cursor);
                self.pages("synchronise", credentials, &wanted, synchronise, deadline).await?
            }
            found => found?,
        };
        let mut events: Vec<StoredEvent> = found.into_values().collect();
        events.sort_by_key(|event| (event.date, event.id));
        Ok(events)
    }

    async fn pages<B: Serialize>(
        &self,
        endpoint: &str,
        credentials: &Credentials,
        wanted: &Wanted<'_>,
        body: impl Fn(Option<String>) -> B,
        deadline: Instant,
    ) -> Result<BTreeMap<EventId, StoredEvent>, Error> {
        let mut cursors = Cursors::default();
        let mut found = BTreeMap::new();
        let mut cursor = None;
        loop {
            let first = cursor.is_none();
            let page = match self.read(endpoint, credentials, &body(cursor), deadline).await? {
                Some(page) => page,
                // Some sites answer with an empty body if there is no event. A follow-up page always has a body.
                None if first => return Ok(found),
                None => return Err(Error::NotJson { status: 200, starts: "empty" }),
            };
            wanted.read(&page, &mut found)?;
            // The caller retries a repeated cursor without a note to the operator, and reports an unexpected answer. So
            // it becomes unexpected here.
            cursor = cursors.next(&page).map_err(|error| match error {
                Error::CursorRepeats => Error::unexpected("`cursor` refers to a page that was read before"),
                error => error,
            })?;
            if cursor.is_none() {
                return Ok(found);
            }
        }
    }

    /// Deletes an event. This needs the site's delete permission and can't be undone. Returns whether the site
    /// confirmed the deletion.
    pub async fn delete_event(
        &self,
        credentials: &Credentials,
        event: EventId,
        deadline: Instant,
    ) -> Result<bool, Error> {
        let answer = self.write("deleteevent", credentials, &event::DeleteBody { event_id: event }, deadline).await?;
        let states = [state_of(Some(&answer)), state_of(answer.get("result"))];
        Ok(Refusal::find_in_read(&answer).is_none() && states.contains(&Some("SUCCESS".to_owned())))
    }

    /// Writes a user's record in a profile form. Each user has one record, so this call may be repeated. The site may
    /// clear fields that are not sent.
    pub async fn import_profile(
        &self,
        credentials: &Credentials,
        form: &FormName,
        user: UserId,
        fields: &[(String, String)],
        deadline: Instant,
    ) -> Result<ProfileImport, Error> {
        let body = profile::ImportBody::new(form, user, fields);
        let answer = self.write("profileimport", credentials, &body, deadline).await?;
        read_profile_import(&answer, fields)
    }

    /// The records of these users in a profile form. Users without a record are left out.
    pub async fn profiles(
        &self,
        credentials: &Credentials,
        form: &FormName,
        users: &[UserId],
        deadline: Instant,
    ) -> Result<Vec<Profile>, Error> {
        let mut profiles = Vec::new();
        for users in users.chunks(USERS_PER_SEARCH) {
            let body = profile::SearchBody { form_names: [form], user_ids: users };
            if let Some(answer) = self.read("profilesearch", credentials, &body, deadline).await? {
                profiles.extend(read_profiles(&answer, form, users)?);
            }
        }
        Ok(profiles)
    }

    async fn read<B: Serialize>(
        &self,
        endpoint: &str,
        credentials: &Credentials,
        body: &B,
        deadline: Instant,
    ) -> Result<Option<Value>, Error> {
        let answer = self.transport.post(endpoint, credentials, body, Purpose::Read, deadline).await?;
        Ok(answer.map(|body| body.json))
    }

    /// Sends a write. An empty body is an error here, because it does not confirm an import.
    async fn write<B: Serialize>(
        &self,
        endpoint: &str,
        credentials: &Credentials,
        body: &B,
        deadline: Instant,
    ) -> Result<Value, Error> {
        let answer = self.transport.post(endpoint, credentials, body, Purpose::Import, deadline).await?;
        answer.map(|body| body.json).ok_or(Error::NotJson { status: 200, starts: "empty" })
    }
}
