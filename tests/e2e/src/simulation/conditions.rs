//! Conditions that last longer than a tick: the site is down for a day, a CDN refuses everything for an hour, Oura's
//! revocation endpoint fails for a day, or the token server writes its answers in another form.
//!
//! Like all events, conditions are derived from the seed and the tick. Their rules are the first on each wire. They are
//! set again whenever a wire is healed, so they stay in force during a scene.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sim::oura::{LifetimeFormat, RevocationEnds, ScopeFormat, Settings, TokenErrorStatus};
use sim::wire::{Answer, Fault, Seen};

use super::check::Broken;
use super::story::{Break, Kind, Request, Scale, Tick};
use super::world::World;

const MINUTES_OF_A_DAY: u32 = 1440;

/// The site is down for one day out of this many.
const DAYS_PER_OUTAGE: u32 = 14;

/// A CDN refuses everything for an hour on one day out of this many.
const DAYS_PER_REFUSAL: u32 = 5;

/// How long a CDN refuses everything, in minutes.
const REFUSAL: u32 = 60;

/// The most requests for collections while the site is down, per athlete and tick: one sync and one retry. Their
/// documents cannot be delivered.
const REQUESTS_WHILE_DOWN: usize = 8;

/// The conditions at a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Conditions {
    /// How every request to the site fails.
    pub(crate) site_down: Option<Outage>,
    /// Whether a CDN refuses every request to Oura's API.
    pub(crate) cdn: Option<Refusal>,
    /// How requests to Oura's revocation endpoint fail.
    pub(crate) revocation: Option<Break>,
    /// How the token server writes its answers.
    pub(crate) token_answers: TokenAnswers,
}

/// How the token server writes its answers. None of these ends an athlete's consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenAnswers {
    /// As Oura documents it.
    Documented,
    /// The lifetime is not a number of seconds.
    Lifetime(LifetimeFormat),
    /// The scopes are not a list separated by spaces.
    Scopes(ScopeFormat),
    /// The answer to a refresh has no refresh token; the old one stays valid.
    KeptRefreshToken,
    /// Errors have status 200.
    ErrorsWithStatus200,
}

const ODD_TOKEN_ANSWERS: [TokenAnswers; 12] = [
    TokenAnswers::Lifetime(LifetimeFormat::Text),
    TokenAnswers::Lifetime(LifetimeFormat::Null),
    TokenAnswers::Lifetime(LifetimeFormat::Zero),
    TokenAnswers::Lifetime(LifetimeFormat::Absent),
    TokenAnswers::Scopes(ScopeFormat::Commas),
    TokenAnswers::Scopes(ScopeFormat::Pluses),
    TokenAnswers::Scopes(ScopeFormat::Capitals),
    TokenAnswers::Scopes(ScopeFormat::List),
    TokenAnswers::Scopes(ScopeFormat::Object),
    TokenAnswers::Scopes(ScopeFormat::Foreign),
    TokenAnswers::KeptRefreshToken,
    TokenAnswers::ErrorsWithStatus200,
];

/// How the site is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outage {
    /// It answers 503.
    Unwell,
    /// It answers with an HTML page.
    Html,
    /// It closes connections.
    NoConnection,
    /// All of these in turn.
    Mixed,
}

/// What a CDN refuses with 403 and an HTML page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The collections and the personal info.
    Api,
    /// The token server as well.
    ApiAndTokens,
}

/// How often Oura was asked for collections while the site was down.
#[derive(Debug, Default)]
pub(crate) struct Outages {
    asked: Arc<AtomicUsize>,
    ticks: usize,
}

impl Conditions {
    /// No faults.
    pub(crate) const FINE: Self =
        Self { site_down: None, cdn: None, revocation: None, token_answers: TokenAnswers::Documented };

    /// Whether workers must use the wires to meet these conditions.
    pub(crate) fn on_the_wires(self) -> bool {
        self.site_down.is_some() || self.cdn.is_some()
    }
}

impl Scale {
    /// The conditions at a tick.
    pub(crate) fn conditions(&self, tick: Tick) -> Conditions {
        Conditions {
            site_down: self.site_down(tick).filter(|_| self.has(Kind::Outages)),
            cdn: self.cdn(tick).filter(|_| self.has(Kind::Cdn)),
            revocation: self.revocation(tick.day).filter(|_| self.has(Kind::Revocations)),
            token_answers: self
                .token_answers(tick.day)
                .filter(|_| self.has(Kind::Answers))
                .unwrap_or(TokenAnswers::Documented),
        }
    }

    /// What still holds after the faults have stopped: a server may answer errors with status 200 for ever.
    pub(crate) fn habits(&self) -> Conditions {
        let errors = self.has(Kind::Answers) && self.draw("habits", &[]).bool();
        let token_answers = if errors { TokenAnswers::ErrorsWithStatus200 } else { TokenAnswers::Documented };
        Conditions { token_answers, ..Conditions::FINE }
    }

    /// What a revocation ends at Oura. In three of four stories it ends the whole consent.
    pub(crate) fn revocation_ends(&self) -> RevocationEnds {
        let whole = self.draw("whole consent", &[]).u8(0..4) > 0 && self.has(Kind::Revocations);
        if whole { RevocationEnds::Consent } else { RevocationEnds::Grant }
    }

    fn site_down(&self, tick: Tick) -> Option<Outage> {
        let now = tick.day * MINUTES_OF_A_DAY + tick.minute;
        let period = tick.day / DAYS_PER_OUTAGE;
        (period.saturating_sub(1)..=period).find_map(|period| {
            let mut draw = self.draw("outage", &[period.into()]);
            let day = period * DAYS_PER_OUTAGE + draw.u32(2..DAYS_PER_OUTAGE);
            let begins = day * MINUTES_OF_A_DAY + draw.u32(0..MINUTES_OF_A_DAY);
            let all = [Outage::Unwell, Outage::Html, Outage::NoConnection, Outage::Mixed];
            let how = all[draw.usize(0..all.len())];
            (begins..begins + MINUTES_OF_A_DAY).contains(&now).then_some(how)
        })
    }

    fn cdn(&self, tick: Tick) -> Option<Refusal> {
        let period = tick.day / DAYS_PER_REFUSAL;
        let mut draw = self.draw("cdn", &[period.into()]);
        let day = period * DAYS_PER_REFUSAL + draw.u32(0..DAYS_PER_REFUSAL);
        let ticks = self.ticks(day);
        let first = ticks[draw.usize(0..ticks.len())];
        let how = if draw.bool() { Refusal::Api } else { Refusal::ApiAndTokens };
        let hour = first.minute..first.minute + REFUSAL;
        (tick.day == day && hour.contains(&tick.minute)).then_some(how)
    }

    fn revocation(&self, day: u32) -> Option<Break> {
        let mut draw = self.draw("revocation", &[day.into()]);
        let all = [Break::NeverArrives, Break::AnswerLost, Break::Unwell, Break::UnwellAfterwards];
        let how = all[draw.usize(0..all.len())];
        (draw.u8(0..100) < 30).then_some(how)
    }

    /// How the token server answers on a day. Odd answers begin on 15 % of days and last for up to three days.
    fn token_answers(&self, day: u32) -> Option<TokenAnswers> {
        let begun = |since: u32| {
            let mut draw = self.draw("token answers", &[since.into()]);
            let odd = ODD_TOKEN_ANSWERS[draw.usize(0..ODD_TOKEN_ANSWERS.len())];
            let (begins, days) = (draw.u8(0..100) < 15, draw.u32(1..=3));
            (begins && day < since + days).then_some(odd)
        };
        (day.saturating_sub(2)..=day).find_map(begun)
    }
}

impl World {
    /// Replaces the conditions that are in force.
    pub(crate) fn set_conditions(&mut self, conditions: Conditions) {
        if conditions.site_down.is_none() {
            self.outages = Outages::default();
        }
        if conditions != self.conditions {
            let now = self.now();
            for one in &mut self.athletes {
                one.tell(now, format!("from now on: {conditions:?}"));
            }
        }
        self.conditions = conditions;
        self.stage.oura.configure(|settings| conditions.token_answers.configure(settings));
        super::scene::heal(self);
    }

    /// Injects the rules of the current conditions. The wires must have no rules.
    pub(crate) fn apply_conditions(&self) {
        let Conditions { site_down, cdn, revocation, .. } = self.conditions;
        let oura = &self.stage.oura_wire;
        if let Some(outage) = site_down {
            self.stage.smartabase_wire.decide(move |seen| Some(outage.fault(seen)));
            let asked = Arc::clone(&self.outages.asked);
            oura.decide(move |seen| {
                asked.fetch_add(usize::from(seen.path.starts_with(COLLECTIONS)), Ordering::Relaxed);
                None
            });
        }
        if let Some(refusal) = cdn {
            oura.decide(move |seen| refusal.covers(seen).then(|| Fault::Answer(blocked())));
        }
        if let Some(how) = revocation {
            oura.decide(move |seen| Request::Revocation.is(seen).then(|| how.fault(Request::Revocation, seen)));
        }
    }

    /// Checks after a tick that syncs did not keep asking Oura for documents that cannot be delivered.
    pub(crate) fn outage_is_spared(&mut self) -> Result<(), Broken> {
        if self.conditions.site_down.is_none() {
            return Ok(());
        }
        self.outages.ticks += 1;
        let asked = self.outages.asked.load(Ordering::Relaxed);
        let most = REQUESTS_WHILE_DOWN * self.athletes.len() * self.outages.ticks;
        if asked <= most {
            return Ok(());
        }
        let how = format!("{asked} requests for collections in {} ticks, at most {most}", self.outages.ticks);
        Err(Broken { promise: "Oura is spared while the site is down", athlete: None, how })
    }
}

const COLLECTIONS: &str = "/v2/usercollection/";

impl TokenAnswers {
    fn configure(self, settings: &mut Settings) {
        settings.lifetime_format = LifetimeFormat::Number;
        settings.scope_format = ScopeFormat::Spaces;
        settings.rotates_refresh_tokens = self != Self::KeptRefreshToken;
        settings.token_error_status =
            if self == Self::ErrorsWithStatus200 { TokenErrorStatus::Ok } else { TokenErrorStatus::Documented };
        match self {
            Self::Lifetime(format) => settings.lifetime_format = format,
            Self::Scopes(format) => settings.scope_format = format,
            Self::Documented | Self::KeptRefreshToken | Self::ErrorsWithStatus200 => {}
        }
    }
}

impl Outage {
    fn fault(self, seen: &Seen) -> Fault {
        let turns = [Self::Unwell, Self::Html, Self::NoConnection];
        match self {
            Self::Unwell => Fault::Answer(Answer::status(503)),
            Self::Html => Fault::Answer(Answer::html()),
            Self::NoConnection => Fault::DropBefore,
            Self::Mixed => turns[usize::try_from(seen.number).unwrap_or_default() % turns.len()].fault(seen),
        }
    }
}

impl Refusal {
    fn covers(self, seen: &Seen) -> bool {
        let tokens = Request::Token.is(seen) || Request::Revocation.is(seen);
        seen.path.starts_with(COLLECTIONS) || (self == Self::ApiAndTokens && tokens)
    }
}

/// The answer of a CDN to a client that it takes for a bot.
fn blocked() -> Answer {
    let page = "<!DOCTYPE html><html><head><title>403 Forbidden</title></head><body><h1>Request blocked</h1>\
                <p>If you have a membership, contact the owner of the site.</p></body></html>";
    Answer::status(403).header("content-type", "text/html; charset=UTF-8").body(page)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The conditions at every tick of 60 days.
    fn season(seed: u64) -> Vec<(Tick, Conditions)> {
        let scale = Scale::full(seed, 1, 60);
        let ticks = (0..scale.days).flat_map(|day| scale.ticks(day));
        ticks.map(|tick| (tick, scale.conditions(tick))).collect()
    }

    #[test]
    fn sixty_days_have_outage_cdn_hours_and_failing_revocations() {
        for seed in 0..20 {
            let season = season(seed);
            let down = season.iter().filter(|(_, conditions)| conditions.site_down.is_some()).count();
            let refused = season.iter().filter(|(_, conditions)| conditions.cdn.is_some()).count();
            let failing = season.iter().filter(|(_, conditions)| conditions.revocation.is_some()).count();
            assert!(down >= 6, "seed {seed}: the site is down at {down} ticks");
            assert!(refused >= 12, "seed {seed}: a CDN refuses everything at {refused} ticks");
            assert!(failing >= 10, "seed {seed}: revocations fail at {failing} ticks");
        }
    }

    #[test]
    fn twenty_seeds_have_every_odd_token_answer() {
        let answers: BTreeSet<_> =
            (0..20).flat_map(season).map(|(_, conditions)| format!("{:?}", conditions.token_answers)).collect();
        assert_eq!(answers.len(), ODD_TOKEN_ANSWERS.len() + 1);
    }

    #[test]
    fn leaving_out_a_kind_does_not_change_the_other_conditions() {
        let mut without = Scale::full(3, 1, 60);
        without.kinds.remove(&Kind::Outages);
        for (tick, conditions) in season(3) {
            assert_eq!(without.conditions(tick), Conditions { site_down: None, ..conditions });
        }
    }
}
