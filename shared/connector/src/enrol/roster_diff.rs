//! Decides who is an athlete, and whose a connection is after the site's users changed. Pure.
//!
//! A UUID identifies an athlete. A connection writes a ring's data into the forms of one user. While both are unchanged
//! since the athlete connected, there is nothing to decide. Otherwise the connection stays with the person, as far as
//! the site says who that is:
//!
//! | the user | the connection |
//! |---|---|
//! | merged into another | moves to that user |
//! | on the roster, without the UUID or with another one | stays under the UUID it was made with, and is reported |
//! | on the roster, and another user has the UUID | stays and is reported; the other user gets no link |
//! | merged into a user that the account does not see | stays and is reported |
//! | not on the roster | is missing: the enrolment asks the site whether the user was deleted |
//!
//! Only a merger says that two users are one person. A UUID does not: a site that uses shirt numbers may give it to
//! another person next season, and the ring must not follow it.
//!
//! Connected athletes outside the group keep their connection and their forms for staff, but get no new link.

use std::collections::{BTreeMap, HashMap, HashSet};

use smartabase::{Roster, User, UserId};
use store::AthleteId;

/// An athlete whom an enrolment is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Athlete {
    pub(crate) id: AthleteId,
    /// The user whose forms show this athlete.
    pub(crate) user: UserId,
    pub(crate) name: String,
    /// Whether the enrolment writes a link into those forms.
    pub(crate) link: bool,
}

/// Why a connected athlete is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RosterProblem {
    #[error("the user {0} no longer has the UUID under which they connected; their ring stays with them")]
    UuidGone(UserId),
    #[error(
        "the UUID was given to user {to} while the ring of user {from} is connected under it; it stays with user {from}, \
         and user {to} gets no link: give the UUID back, or disconnect the athlete"
    )]
    UuidElsewhere { from: UserId, to: UserId },
    #[error("the user {0} has another connection as well: disconnect this one")]
    Second(UserId),
    #[error(
        "the user {0} was merged into one whom the account does not see: let it see that one, or disconnect the athlete"
    )]
    MergedAway(UserId),
}

/// The result of comparing a roster with the connections.
#[derive(Debug, Default)]
pub(crate) struct RosterDiff {
    /// The athletes, by UUID.
    pub(crate) athletes: Vec<Athlete>,
    /// Users of the group with a unique UUID.
    pub(crate) named: usize,
    /// Users of the group without a usable UUID.
    pub(crate) without_uuid: usize,
    /// UUIDs that several users share, one of them in the group, and those users.
    pub(crate) shared: Vec<(AthleteId, Vec<UserId>)>,
    /// Connected athletes outside the group.
    pub(crate) outside_group: usize,
    /// Connections to move to another user.
    pub(crate) moved: Vec<(AthleteId, UserId)>,
    /// Connected athletes whose user is not on the roster.
    pub(crate) missing: Vec<(AthleteId, UserId)>,
    /// Connected athletes that the operator must check.
    pub(crate) odd: Vec<(AthleteId, RosterProblem)>,
}

impl RosterDiff {
    /// Compares a roster with the user of each connection. `group`, if set, limits who takes part.
    pub(crate) fn of(
        roster: &Roster,
        group: Option<&HashSet<UserId>>,
        connected: &BTreeMap<AthleteId, UserId>,
    ) -> Self {
        let mut census = Self::default();
        let people = People::of(roster, group, &mut census);
        let spoken_for = census.connections(&people, connected);
        for (id, user) in &people.named {
            let another_speaks = spoken_for.get(&user.id).is_some_and(|speaker| speaker != id);
            let feeds_another = connected.contains_key(id) && spoken_for.get(&user.id) != Some(id);
            if another_speaks || feeds_another {
                continue;
            }
            if people.takes_part(user.id) {
                census.athletes.push(Athlete::of(id, user, true));
            } else if connected.contains_key(id) {
                census.outside_group += 1;
                census.athletes.push(Athlete::of(id, user, false));
            }
        }
        census.athletes.sort_by(|one, other| one.id.cmp(&other.id));
        census
    }

    /// Decides which user each connection belongs to; returns the athlete whose status each user's forms show.
    fn connections(
        &mut self,
        people: &People<'_>,
        connected: &BTreeMap<AthleteId, UserId>,
    ) -> HashMap<UserId, AthleteId> {
        let mut feeding: BTreeMap<UserId, Vec<&AthleteId>> = BTreeMap::new();
        for (id, user) in connected {
            match people.home(*user) {
                Some(user) => feeding.entry(user).or_default().push(id),
                // The account does not see the user that this one was merged into. That does not mean a deletion.
                None if people.merged.contains_key(user) => {
                    self.odd.push((id.clone(), RosterProblem::MergedAway(*user)));
                }
                None => self.missing.push((id.clone(), *user)),
            }
        }
        let mut spoken_for = HashMap::new();
        for (user, ids) in feeding {
            let own = ids.iter().find(|id| people.named(id) == Some(user));
            let Some(speaker) = own.or(ids.first()).copied() else { continue };
            self.odd
                .extend(ids.iter().filter(|id| **id != speaker).map(|id| ((*id).clone(), RosterProblem::Second(user))));
            if connected.get(speaker) != Some(&user) {
                self.moved.push((speaker.clone(), user));
            }
            if own.is_none() {
                self.keep(people, speaker, user);
            }
            spoken_for.insert(user, speaker.clone());
        }
        spoken_for
    }

    /// Keeps a connected athlete whose UUID does not identify their user.
    fn keep(&mut self, people: &People<'_>, id: &AthleteId, user: UserId) {
        let Some(person) = people.users.get(&user) else { return };
        // A link opens the connection stored under its UUID, so give none while the UUID belongs to another or to
        // several users.
        let anybodys = match people.named(id) {
            Some(other) => {
                self.odd.push((id.clone(), RosterProblem::UuidElsewhere { from: user, to: other }));
                false
            }
            None if people.shared.contains(id) => false,
            None => {
                self.odd.push((id.clone(), RosterProblem::UuidGone(user)));
                true
            }
        };
        self.athletes.push(Athlete::of(id, person, anybodys && people.takes_part(user)));
    }
}

impl Athlete {
    fn of(id: &AthleteId, user: &User, link: bool) -> Self {
        let name = format!("{} {}", user.first_name, user.last_name).trim().to_owned();
        Self { id: id.clone(), user: user.id, name, link }
    }
}

/// The roster, indexed for look-ups.
struct People<'a> {
    users: HashMap<UserId, &'a User>,
    /// The user of each unique UUID.
    named: BTreeMap<AthleteId, &'a User>,
    /// UUIDs that several users have.
    shared: HashSet<AthleteId>,
    merged: HashMap<UserId, UserId>,
    group: Option<&'a HashSet<UserId>>,
}

impl<'a> People<'a> {
    fn of(roster: &'a Roster, group: Option<&'a HashSet<UserId>>, census: &mut RosterDiff) -> Self {
        let mut people = Self {
            users: roster.users.iter().map(|user| (user.id, user)).collect(),
            named: BTreeMap::new(),
            shared: HashSet::new(),
            merged: roster.merged.iter().copied().collect(),
            group,
        };
        let mut by_uuid: BTreeMap<AthleteId, Vec<&User>> = BTreeMap::new();
        for user in &roster.users {
            match user.uuid.as_deref().map(AthleteId::parse) {
                Some(Ok(id)) => by_uuid.entry(id).or_default().push(user),
                Some(Err(_)) | None => census.without_uuid += usize::from(people.takes_part(user.id)),
            }
        }
        // An unreadable user may have the same UUID as a readable one.
        let unread: HashSet<&str> = roster.unreadable.iter().filter_map(|unread| unread.uuid.as_deref()).collect();
        for (id, users) in by_uuid {
            let takes_part = users.iter().any(|user| people.takes_part(user.id));
            if let [user] = users.as_slice()
                && !unread.contains(id.as_str())
            {
                census.named += usize::from(takes_part);
                people.named.insert(id, user);
            } else {
                if takes_part {
                    census.shared.push((id.clone(), users.iter().map(|user| user.id).collect()));
                }
                people.shared.insert(id);
            }
        }
        people
    }

    fn takes_part(&self, user: UserId) -> bool {
        self.group.is_none_or(|group| group.contains(&user))
    }

    fn named(&self, id: &AthleteId) -> Option<UserId> {
        self.named.get(id).map(|user| user.id)
    }

    /// The user on the roster that this user is now, after any number of mergers.
    fn home(&self, mut user: UserId) -> Option<UserId> {
        // Circular mergers lead to no user.
        for _ in 0..=self.merged.len() {
            match self.merged.get(&user) {
                Some(into) => user = *into,
                None => return self.users.contains_key(&user).then_some(user),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use smartabase::Unreadable;

    fn user(id: u64, uuid: &str) -> User {
        let uuid = Some(uuid.to_owned()).filter(|uuid| !uuid.is_empty());
        User { id: UserId(id), uuid, first_name: "User".to_owned(), last_name: id.to_string() }
    }

    fn id(uuid: &str) -> AthleteId {
        AthleteId::parse(uuid).unwrap()
    }

    fn roster(users: &[(u64, &str)], merged: &[(u64, u64)]) -> Roster {
        Roster {
            users: users.iter().map(|(id, uuid)| user(*id, uuid)).collect(),
            merged: merged.iter().map(|(old, new)| (UserId(*old), UserId(*new))).collect(),
            ..Roster::default()
        }
    }

    fn census(users: &[(u64, &str)], merged: &[(u64, u64)], connected: &[(&str, u64)]) -> RosterDiff {
        let connected = connected.iter().map(|(uuid, user)| (id(uuid), UserId(*user))).collect();
        RosterDiff::of(&roster(users, merged), None, &connected)
    }

    /// UUID, user, whether with a link.
    fn athletes(census: &RosterDiff) -> Vec<(&str, u64, bool)> {
        census.athletes.iter().map(|athlete| (athlete.id.as_str(), athlete.user.0, athlete.link)).collect()
    }

    fn is_calm(census: &RosterDiff) -> bool {
        census.moved.is_empty() && census.missing.is_empty() && census.odd.is_empty()
    }

    #[test]
    fn only_a_user_with_a_unique_uuid_is_an_athlete() {
        let too_long = "x".repeat(AthleteId::MAX_CHARS + 1);
        let users = [(2, "b"), (1, "a"), (3, ""), (4, &too_long), (5, "shared"), (6, "shared")];
        let census = census(&users, &[], &[("a", 1)]);
        assert_eq!(athletes(&census), [("a", 1, true), ("b", 2, true)]);
        assert_eq!((census.named, census.without_uuid), (2, 2));
        assert_eq!(census.shared, [(id("shared"), vec![UserId(5), UserId(6)])]);
        assert_eq!(census.athletes[0].name, "User 1");
        assert!(is_calm(&census));
    }

    #[test]
    fn a_uuid_that_an_unreadable_user_has_too_gives_no_link() {
        let mut roster = roster(&[(1, "a"), (2, "b")], &[]);
        roster.unreadable.push(Unreadable::user("page 1, users[2]: `userId` can't be read", Some("a")));
        let census = RosterDiff::of(&roster, None, &BTreeMap::new());
        assert_eq!(athletes(&census), [("b", 2, true)]);
        assert_eq!(census.shared, [(id("a"), vec![UserId(1)])]);
        let connected = BTreeMap::from([(id("a"), UserId(1))]);
        assert_eq!(athletes(&RosterDiff::of(&roster, None, &connected)), [("a", 1, false), ("b", 2, true)]);
    }

    #[test]
    fn outside_the_group_only_connected_athletes_are_kept() {
        let roster = roster(&[(1, "a"), (2, "b"), (3, ""), (4, "d"), (5, "d")], &[]);
        let group: HashSet<_> = [UserId(2)].into();
        let connected = BTreeMap::from([(id("a"), UserId(1))]);
        let census = RosterDiff::of(&roster, Some(&group), &connected);
        assert_eq!(athletes(&census), [("a", 1, false), ("b", 2, true)]);
        assert_eq!((census.named, census.without_uuid, census.outside_group), (1, 0, 1));
        assert!(census.shared.is_empty() && is_calm(&census));
        // A UUID that names one user in the group and one outside names neither.
        let group: HashSet<_> = [UserId(4)].into();
        let census = RosterDiff::of(&roster, Some(&group), &BTreeMap::new());
        assert_eq!((athletes(&census), census.shared.len()), (vec![], 1));
    }

    #[test]
    fn a_merged_user_takes_the_connection_along() {
        for merged in [&[(1, 9)][..], &[(1, 5), (5, 9)]] {
            let kept = census(&[(9, "a")], merged, &[("a", 1)]);
            assert_eq!((athletes(&kept), &kept.moved[..]), (vec![("a", 9, true)], &[(id("a"), UserId(9))][..]));
            assert!(kept.odd.is_empty());
            // The user has another UUID now. The ring stays with the person, under the UUID it was connected with.
            let renamed = census(&[(9, "z")], merged, &[("a", 1)]);
            assert_eq!((athletes(&renamed), &renamed.moved[..]), (vec![("a", 9, true)], &[(id("a"), UserId(9))][..]));
            assert_eq!(renamed.odd, [(id("a"), RosterProblem::UuidGone(UserId(9)))]);
        }
    }

    #[test]
    fn of_two_rings_on_one_user_the_one_under_their_uuid_counts() {
        let census = census(&[(9, "z")], &[(1, 9)], &[("a", 1), ("z", 9)]);
        assert_eq!((athletes(&census), census.moved.len()), (vec![("z", 9, true)], 0));
        assert_eq!(census.odd, [(id("a"), RosterProblem::Second(UserId(9)))]);
    }

    #[test]
    fn a_reassigned_uuid_gives_no_link_while_a_ring_uses_it() {
        let inherited = census(&[(9, "a")], &[], &[("a", 1)]);
        assert_eq!((athletes(&inherited), inherited.moved.len()), (vec![], 0));
        assert_eq!(inherited.missing, [(id("a"), UserId(1))]);
    }

    #[test]
    fn a_user_whose_uuid_is_removed_or_changed_keeps_the_ring() {
        for uuid in ["", "z"] {
            let census = census(&[(1, uuid)], &[], &[("a", 1)]);
            assert_eq!((athletes(&census), census.moved.len()), (vec![("a", 1, true)], 0));
            assert_eq!(census.odd, [(id("a"), RosterProblem::UuidGone(UserId(1)))]);
        }
    }

    #[test]
    fn a_uuid_given_to_another_user_does_not_move_the_ring() {
        let given = census(&[(1, ""), (2, "a")], &[], &[("a", 1)]);
        assert_eq!(athletes(&given), [("a", 1, false)], "no link for either");
        assert_eq!(given.odd, [(id("a"), RosterProblem::UuidElsewhere { from: UserId(1), to: UserId(2) })]);
        let swapped = census(&[(1, "b"), (2, "a")], &[], &[("a", 1), ("b", 2)]);
        assert_eq!(athletes(&swapped), [("a", 1, false), ("b", 2, false)]);
        assert_eq!((swapped.odd.len(), swapped.moved.len()), (2, 0));
        // After a disconnect, the UUID belongs to its new user.
        let free = census(&[(1, ""), (2, "a")], &[], &[]);
        assert_eq!(athletes(&free), [("a", 2, true)]);
    }

    #[test]
    fn a_connected_athlete_with_a_shared_uuid_gets_no_link() {
        let census = census(&[(1, "a"), (2, "a")], &[], &[("a", 1)]);
        assert_eq!((athletes(&census), census.shared.len()), (vec![("a", 1, false)], 1));
    }

    #[test]
    fn a_user_not_on_the_roster_is_only_reported_missing() {
        let census = census(&[(2, "b")], &[(7, 8), (8, 7)], &[("a", 1), ("b", 2), ("c", 7)]);
        assert_eq!(census.missing, [(id("a"), UserId(1))]);
        assert_eq!(
            census.odd,
            [(id("c"), RosterProblem::MergedAway(UserId(7)))],
            "of a merger nobody asks whether it is a deletion"
        );
        assert_eq!((athletes(&census), census.moved.len()), (vec![("b", 2, true)], 0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// For any change of users: no user's forms show two athletes, no link opens another user's ring, and every
        /// connection is accounted for.
        #[test]
        fn no_user_gets_another_users_ring(
            users in prop::collection::btree_map(1u64..7, 0usize..5, 0..6),
            merged in prop::collection::btree_map(1u64..7, 1u64..7, 0..3),
            connected in prop::collection::btree_map(0usize..5, 1u64..7, 0..5),
            group in prop::option::of(prop::collection::hash_set(1u64..7, 0..6)),
        ) {
            const UUIDS: [&str; 5] = ["", "a", "b", "c", "d"];
            let users: Vec<_> = users.iter().map(|(user, uuid)| (*user, UUIDS[*uuid])).collect();
            let merged: Vec<_> = merged.into_iter().collect();
            let mut roster = roster(&users, &merged);
            // As the client returns it.
            roster.users.retain(|user| !merged.iter().any(|(old, _)| user.id.0 == *old));
            let connected: BTreeMap<_, _> =
                connected.iter().filter(|(uuid, _)| **uuid > 0).map(|(uuid, user)| (id(UUIDS[*uuid]), UserId(*user))).collect();
            let group: Option<HashSet<_>> = group.map(|group| group.into_iter().map(UserId).collect());
            let census = RosterDiff::of(&roster, group.as_ref(), &connected);

            let spoken_of: HashSet<_> = census.athletes.iter().map(|athlete| athlete.user).collect();
            prop_assert_eq!(spoken_of.len(), census.athletes.len(), "two athletes in one user's forms: {:?}", census);
            let ids: HashSet<_> = census.athletes.iter().map(|athlete| &athlete.id).collect();
            prop_assert_eq!(ids.len(), census.athletes.len(), "an athlete in two users' forms: {:?}", census);
            let after = |id: &AthleteId| {
                let moved = census.moved.iter().find(|(moved, _)| moved == id).map(|(_, user)| *user);
                moved.or(connected.get(id).copied())
            };
            for athlete in &census.athletes {
                prop_assert!(after(&athlete.id).is_none_or(|feeds| feeds == athlete.user), "another's ring: {census:?}");
                prop_assert!(!athlete.link || group.as_ref().is_none_or(|group| group.contains(&athlete.user)));
            }
            for id in connected.keys() {
                let accounted = ids.contains(id)
                    || census.missing.iter().any(|(missing, _)| missing == id)
                    || census.odd.iter().any(|(odd, _)| odd == id);
                prop_assert!(accounted, "{id} is lost: {census:?}");
            }
            for (id, _) in &census.moved {
                prop_assert!(merged.iter().any(|(old, _)| *old == connected[id].0), "no merger says so: {census:?}");
            }
        }
    }
}
