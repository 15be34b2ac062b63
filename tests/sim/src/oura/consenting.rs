use jiff::Timestamp;
use url::Url;

use super::authorize::{self, Decision, Wrong};
use super::{Grant, Oura, Person, Tier, Violation, World};

/// Accounts and consent.
impl Oura {
    /// Adds an account.
    pub fn add_person(&self, person: Person) {
        self.world().people.push(person);
    }

    /// Changes a person, for example the time zone. Days that were generated before stay as they are.
    ///
    /// # Panics
    /// If there is no such person.
    pub fn change_person(&self, person: &str, change: impl FnOnce(&mut Person)) {
        change(self.world().person_mut(person));
    }

    /// Starts or ends a person's paid membership.
    ///
    /// # Panics
    /// If there is no such person.
    pub fn set_member(&self, person: &str, member: bool) {
        self.world().person_mut(person).member = member;
    }

    /// Marks the Oura app on the person's phone as too old, or as updated.
    ///
    /// # Panics
    /// If there is no such person.
    pub fn set_outdated_app(&self, person: &str, outdated: bool) {
        self.world().person_mut(person).outdated_app = outdated;
    }

    /// Does what the person would do on the consent page at `authorize_url`: chooses the account, leaves every box
    /// checked and approves. Returns the address to which the browser is redirected.
    ///
    /// # Panics
    /// If the page would show an error, with the text of that error.
    #[must_use]
    pub fn approve(&self, authorize_url: &str, person: &str) -> Url {
        let all = authorize::SCOPES.map(str::to_owned).into();
        self.decide(authorize_url, Decision::Approve { person: person.to_owned(), scopes: all })
    }

    /// Like [`Oura::approve`], with only these boxes checked.
    #[must_use]
    pub fn approve_only(&self, authorize_url: &str, person: &str, scopes: &[&str]) -> Url {
        let scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
        self.decide(authorize_url, Decision::Approve { person: person.to_owned(), scopes })
    }

    /// Like [`Oura::approve`], but the person declines.
    #[must_use]
    pub fn decline(&self, authorize_url: &str) -> Url {
        self.decide(authorize_url, Decision::Decline)
    }

    fn decide(&self, authorize_url: &str, decision: Decision) -> Url {
        let url = Url::parse(authorize_url).expect("an authorize URL");
        let pairs = authorize::pairs(url.query().unwrap_or_default().as_bytes());
        match self.world().consent(url.path(), &pairs, decision) {
            Ok(back) | Err(Wrong::Redirect(back)) => back,
            Err(Wrong::Page(what)) => panic!("no consent page: {what}"),
        }
    }

    /// The person withdraws every consent in the Oura app.
    pub fn withdraw(&self, person: &str) {
        for grant in self.world().grants.all.iter_mut().filter(|grant| grant.person == person) {
            grant.revoked = true;
        }
    }

    /// Removes one scope (name without prefix) from the person's grants, with effect on the next request and the next
    /// refresh.
    pub fn withdraw_scope(&self, person: &str, scope: &str) {
        for grant in self.world().grants.all.iter_mut().filter(|grant| grant.person == person) {
            grant.scopes.remove(scope);
        }
    }

    /// Lets the person's access tokens stop working, whatever lifetime was promised. The refresh tokens stay valid.
    pub fn expire_access_tokens(&self, person: &str) {
        self.world().grants.expire_access(person);
    }

    /// Every grant of a person, oldest first.
    #[must_use]
    pub fn grants(&self, person: &str) -> Vec<Grant> {
        self.world().grants.all.iter().filter(|grant| grant.person == person).cloned().collect()
    }

    /// Every code and token that was ever issued. A test checks that none leaks.
    #[must_use]
    pub fn issued(&self) -> Vec<String> {
        self.world().grants.issued.clone()
    }

    /// What the application did that it must not do, in order.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        self.world().grants.violations.clone()
    }

    /// Answers 429 until `until`: to the newest access tokens of one person, or to the whole application.
    pub fn throttle(&self, tier: Tier, person: &str, until: Timestamp) {
        let mut world = self.world();
        let World { grants, throttle, .. } = &mut *world;
        match tier {
            Tier::Application => throttle.close(None, until),
            Tier::Token => {
                for grant in grants.all.iter().filter(|grant| grant.person == person) {
                    throttle.close(grant.access_token.as_deref(), until);
                }
            }
        }
    }
}
