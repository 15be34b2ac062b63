//! The console's filters. They are part of the address, so they survive a refresh.

use super::view::Row;
use crate::athlete_state::State;

/// The filters, as the query of the address holds them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    /// The form, by index.
    pub(crate) form: usize,
    /// Only athletes for whom the athlete or the operator has to act.
    pub(crate) attention: bool,
    /// Only athletes in this state, by its name.
    pub(crate) state: Option<State>,
    /// Only athletes whose name, UUID or user id contains this text.
    pub(crate) search: String,
    /// Whether automatic refresh is off.
    pub(crate) still: bool,
}

impl Choice {
    /// Parses a query, and ignores invalid values.
    pub(crate) fn read(query: &str) -> Self {
        let mut choice = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "form" => choice.form = value.parse().unwrap_or(0),
                "show" => {
                    choice.attention = value == "attention";
                    choice.state = <State as clap::ValueEnum>::from_str(&value, false).ok();
                }
                "find" => value.trim().clone_into(&mut choice.search),
                "refresh" => choice.still = value == "off",
                _ => {}
            }
        }
        choice
    }

    /// The address of the page with these filters.
    pub(crate) fn address(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        if self.form > 0 {
            query.append_pair("form", &self.form.to_string());
        }
        if self.attention {
            query.append_pair("show", "attention");
        }
        if let Some(state) = self.state.and_then(|state| clap::ValueEnum::to_possible_value(&state)) {
            query.append_pair("show", state.get_name());
        }
        if !self.search.is_empty() {
            query.append_pair("find", &self.search);
        }
        if self.still {
            query.append_pair("refresh", "off");
        }
        format!(".?{}", query.finish())
    }

    pub(crate) fn wants(&self, row: &Row<'_>) -> bool {
        let search = self.search.to_lowercase();
        let named = || {
            row.athlete.name().to_lowercase().contains(&search)
                || row.athlete.id.as_str().to_lowercase().contains(&search)
                || row.athlete.user_id().is_some_and(|user| user.to_string().contains(&search))
        };
        (!self.attention || row.needs_somebody())
            && self.state.is_none_or(|state| row.stand.state == state)
            && (search.is_empty() || named())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filter_survives_the_round_trip_through_its_address() {
        let choice = Choice {
            form: 1,
            attention: false,
            state: Some(State::NeedsToReconnect),
            search: "Ø & co".to_owned(),
            still: true,
        };
        for choice in [choice, Choice::default(), Choice { attention: true, ..Choice::default() }] {
            assert_eq!(Choice::read(choice.address().trim_start_matches(".?")), choice);
        }
    }

    #[test]
    fn invalid_query_shows_all_athletes() {
        assert_eq!(Choice::read("form=-3&show=%FF%00&refresh=perhaps&find=%20&x"), Choice::default());
    }
}
