//! The result of an import.

use std::collections::HashSet;

use serde_json::Value;

use crate::error::Error;
use crate::event::Event;
use crate::ids::EventId;
use crate::message::{counts_fewer, message_text, repeatable, text, unknown_fields};
use crate::refusal::Refusal;
use crate::rows::list;

/// The only state that means success. Every other state, known or not, is a failure.
const IMPORTED: &str = "SUCCESSFULLY_IMPORTED";

/// The result of one import as the site reports it. Only the first variant is a success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Import {
    /// Every event is stored, and every update has kept its id.
    Imported {
        /// The ids of the events, in the order in which they were sent.
        ids: Vec<EventId>,
        /// Fields that the form does not have; the site dropped their values. Empty: everything is stored.
        unknown_fields: Vec<String>,
    },
    /// Every event is stored, but the site stored an update under another id: it has become a second event.
    OtherIds {
        /// The ids of the events, in the order in which they were sent.
        ids: Vec<EventId>,
        /// As above.
        unknown_fields: Vec<String>,
    },
    /// The site reports success, but for fewer events than were sent. It is unknown which are stored: look them up.
    FewerIds {
        /// How many events were sent.
        sent: usize,
        /// The different ids that the site returned.
        ids: Vec<EventId>,
    },
    /// The site reports a failure. Batches are documented as all or nothing, but some records may be stored. Look them
    /// up, then send the others one by one to find the bad record.
    ///
    /// All texts are the site's own, on one line, at most 300 characters, and without the values that were sent.
    NotImported {
        /// The state, such as `UNEXPECTED_ERROR`; `error` or `__is_rpc_exception__` if the answer has that instead.
        state: String,
        /// The message, often empty.
        message: String,
        /// The site's messages about single records.
        errors: Vec<String>,
    },
}

/// The result of a profile import as the site reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProfileImport {
    /// The profile is stored.
    Imported {
        /// Fields that the form does not have; the site dropped their values.
        unknown_fields: Vec<String>,
    },
    /// The site reports a failure; texts as in [`Import::NotImported`].
    NotImported {
        /// The state, such as `UNEXPECTED_ERROR`.
        state: String,
        /// The message, often empty.
        message: String,
        /// The site's messages about single records.
        errors: Vec<String>,
    },
}

/// The part of the request that the answer is compared with.
struct Sent<'a> {
    names: Vec<&'a str>,
    values: Vec<&'a str>,
}

impl<'a> Sent<'a> {
    fn new(fields: impl Iterator<Item = &'a (String, String)>) -> Sent<'a> {
        let (mut names, mut values): (Vec<_>, Vec<_>) =
            fields.map(|(name, value)| (name.as_str(), value.as_str())).unzip();
        // Events of one form have the same names, and often the same values.
        for words in [&mut names, &mut values] {
            words.sort_unstable();
            words.dedup();
        }
        Sent { names, values }
    }

    /// The refusal with texts that are safe to log.
    fn clean(&self, refusal: &Refusal) -> Refusal {
        let clean = |text: &String| repeatable(text, &self.names, &self.values);
        Refusal {
            state: clean(&refusal.state),
            message: clean(&refusal.message),
            errors: refusal.errors.iter().map(clean).collect(),
        }
    }

    /// The fields that do not exist according to these messages, each once.
    fn unknown(&self, messages: &[String]) -> Vec<String> {
        let mut known = HashSet::new();
        let names = messages.iter().flat_map(|message| unknown_fields(message, &self.names));
        names.filter(|name| known.insert(name.clone())).collect()
    }
}

/// Reads the answer of `eventsimport` to `events`.
pub(crate) fn read_import(answer: &Value, events: &[Event]) -> Result<Import, Error> {
    let sent = Sent::new(events.iter().flat_map(|event| &event.fields));
    let not_imported = |refusal: &Refusal| {
        let Refusal { state, message, errors } = sent.clean(refusal);
        Ok(Import::NotImported { state, message, errors })
    };
    if let Some(refusal) = Refusal::find(answer) {
        return not_imported(&refusal);
    }
    let forms = FormResults::read(answer)?;
    if let Some(refusal) = forms.failure(answer)? {
        return not_imported(&refusal);
    }

    // The same id twice means one event where there should be two.
    let mut known = HashSet::new();
    let ids: Vec<EventId> = forms.ids.iter().copied().filter(|id| known.insert(*id)).collect();
    if ids.len() != events.len() {
        return Ok(Import::FewerIds { sent: events.len(), ids });
    }
    if let Some(message) = forms.messages.iter().find(|message| counts_fewer(message)) {
        return not_imported(&Refusal { state: IMPORTED.to_owned(), message: message.clone(), errors: Vec::new() });
    }
    let unknown_fields = sent.unknown(&forms.messages);
    let moved = events.iter().zip(&ids).any(|(event, id)| event.existing.is_some_and(|existing| existing != *id));
    Ok(if moved { Import::OtherIds { ids, unknown_fields } } else { Import::Imported { ids, unknown_fields } })
}

/// The results of all forms, in their order. One import has one form, but the code does not depend on that.
#[derive(Default)]
struct FormResults {
    states: Vec<Option<String>>,
    messages: Vec<String>,
    ids: Vec<EventId>,
    errors: Vec<String>,
}

impl FormResults {
    fn read(answer: &Value) -> Result<FormResults, Error> {
        let mut results = FormResults::default();
        results.messages.extend(message_of(answer.get("result")));
        for form in list(answer, "eventImportResultForForm", "eventsimport")? {
            let result = form.get("eventImportResults");
            results.states.push(state_of(result));
            results.messages.extend(message_of(result));
            let Some(result) = result else { continue };
            let ids = list(result, "ids", "eventImportResults")?;
            results.ids.extend(ids.iter().filter_map(|id| EventId::read(Some(id))));
            for record in list(result, "error", "eventImportResults")? {
                results.errors.push(record_error(record)?);
            }
        }
        Ok(results)
    }

    /// The failure that the answer reports, if any. It is an error if the answer reports neither a failure nor success
    /// at both levels.
    fn failure(&self, answer: &Value) -> Result<Option<Refusal>, Error> {
        let overall =
            state_of(answer.get("result")).or_else(|| state_of(Some(answer)).filter(|state| state != IMPORTED));
        let mut states = std::iter::once(&overall).chain(&self.states);
        let failed = states.clone().flatten().find(|state| *state != IMPORTED);
        if failed.is_none() && self.errors.is_empty() {
            return match states.find(|state| state.is_none()) {
                Some(_) => Err(Error::unexpected("eventsimport: an answer without a state")),
                None => Ok(None),
            };
        }
        let state = failed.or(overall.as_ref()).cloned().unwrap_or_default();
        let own = message_of(Some(answer));
        let message = self.messages.first().cloned().or(own).unwrap_or_default();
        Ok(Some(Refusal { state, message, errors: self.errors.clone() }))
    }
}

pub(crate) fn state_of(result: Option<&Value>) -> Option<String> {
    Some(text(result?.get("state"))).filter(|state| !state.is_empty())
}

fn message_of(result: Option<&Value>) -> Option<String> {
    Some(message_text(result?.get("message"))).filter(|message| !message.is_empty())
}

/// The reason in an entry of the older format, where each failed record is a list of pairs. Only the pair `Error` is
/// read, because the others name the athlete.
fn record_error(record: &Value) -> Result<String, Error> {
    let pairs = list(record, "pairs", "error")?;
    let error = pairs.iter().find(|pair| pair.get("key").and_then(Value::as_str) == Some("Error"));
    let reason = message_text(error.and_then(|pair| pair.get("value")));
    Ok(if reason.is_empty() { "no reason given".to_owned() } else { reason })
}

/// Reads the answer of `profileimport`, which has its state at the top level.
pub(crate) fn read_profile_import(answer: &Value, fields: &[(String, String)]) -> Result<ProfileImport, Error> {
    let sent = Sent::new(fields.iter());
    let places = [Some(answer), answer.get("result")];
    let messages: Vec<String> = places.into_iter().filter_map(message_of).collect();
    let states: Vec<String> = places.into_iter().filter_map(state_of).collect();
    let state = states.iter().find(|state| *state != IMPORTED).or(states.first());

    let fewer = messages.iter().any(|message| counts_fewer(message));
    let refusal = match (Refusal::find(answer), state) {
        (Some(refusal), _) => refusal,
        (None, None) => return Err(Error::unexpected("profileimport: an answer without a state")),
        (None, Some(state)) if state == IMPORTED && !fewer => {
            return Ok(ProfileImport::Imported { unknown_fields: sent.unknown(&messages) });
        }
        (None, Some(state)) => {
            Refusal { state: state.clone(), message: messages.first().cloned().unwrap_or_default(), errors: Vec::new() }
        }
    };
    let Refusal { state, message, errors } = sent.clean(&refusal);
    Ok(ProfileImport::NotImported { state, message, errors })
}

#[cfg(test)]
mod tests;
