//! Codes and tokens: which were issued, and which were used.

use std::collections::{BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};

use super::{RevocationEnds, TokenServer};
use crate::draw;

/// How long a code is valid.
const CODE_LIFETIME: SignedDuration = SignedDuration::from_mins(10);

/// Something that a correct application never does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// A code was sent a second time.
    CodeReused {
        /// Who gave the consent.
        person: String,
    },
    /// A refresh token was sent again to the server that had already exchanged it.
    RefreshTokenReused {
        /// Whose grant it is.
        person: String,
        /// How often the grant had been refreshed when this token was issued: 0 for the first.
        generation: u64,
    },
    /// A code was sent to the token server to which the application does not belong. The code is no longer valid.
    CodeAtWrongServer {
        /// Who gave the consent.
        person: String,
    },
    /// A refresh token was sent to another token server than the one that issued it.
    RefreshTokenAtWrongServer {
        /// Whose grant it is.
        person: String,
    },
    /// A code came with the wrong PKCE verifier, or without one.
    WrongVerifier {
        /// Who gave the consent.
        person: String,
    },
}

/// What the service knows of one consent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Who consented.
    pub person: String,
    /// The server that issued it.
    pub server: TokenServer,
    /// Names without prefix, for both servers.
    pub scopes: BTreeSet<String>,
    /// How often it has been refreshed.
    pub generation: u64,
    /// Whether it was revoked, by the application or by the person.
    pub revoked: bool,
    /// The newest access token, if one was issued.
    pub access_token: Option<String>,
    /// The newest refresh token, if one was issued. It is used up once a newer one exists or the wrong server received
    /// it.
    pub refresh_token: Option<String>,
}

/// A new token pair, or only a new access token.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) access_token: String,
    /// `None` if the refresh token that was sent stays valid.
    pub(super) refresh_token: Option<String>,
    pub(super) scopes: BTreeSet<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Code {
    pub(super) person: String,
    pub(super) server: TokenServer,
    pub(super) scopes: BTreeSet<String>,
    pub(super) redirect_uri: String,
    pub(super) challenge: Option<Challenge>,
    expires: Timestamp,
    spent: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Challenge {
    Sha256(String),
    Plain(String),
}

#[derive(Debug)]
struct Access {
    grant: usize,
    expires: Timestamp,
}

#[derive(Debug)]
struct Refresh {
    grant: usize,
    generation: u64,
    spent: bool,
}

/// Why a code or token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// Unknown, expired, used or revoked.
    Invalid,
    /// It belongs to the other server.
    WrongServer,
}

#[derive(Debug, Default)]
pub(super) struct Grants {
    seed: u64,
    drawn: u64,
    codes: HashMap<String, Code>,
    access: HashMap<String, Access>,
    refresh: HashMap<String, Refresh>,
    pub(super) all: Vec<Grant>,
    pub(super) violations: Vec<Violation>,
    /// Every code and token ever issued.
    pub(super) issued: Vec<String>,
}

impl Grants {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    pub(super) fn issue_code(
        &mut self,
        now: Timestamp,
        person: &str,
        server: TokenServer,
        scopes: BTreeSet<String>,
        redirect_uri: &str,
        challenge: Option<Challenge>,
    ) -> String {
        let code = self.token("code");
        let entry = Code {
            person: person.to_owned(),
            server,
            scopes,
            redirect_uri: redirect_uri.to_owned(),
            challenge,
            expires: now + CODE_LIFETIME,
            spent: false,
        };
        self.codes.insert(code.clone(), entry);
        code
    }

    /// Removes a code, so that it cannot be used again, and returns it if it is valid.
    pub(super) fn spend_code(&mut self, now: Timestamp, code: &str, at: TokenServer) -> Result<Code, Refused> {
        let entry = self.codes.get_mut(code).ok_or(Refused::Invalid)?;
        let person = entry.person.clone();
        if std::mem::replace(&mut entry.spent, true) {
            self.violations.push(Violation::CodeReused { person });
            return Err(Refused::Invalid);
        }
        if entry.server != at {
            self.violations.push(Violation::CodeAtWrongServer { person });
            return Err(Refused::WrongServer);
        }
        if entry.expires <= now { Err(Refused::Invalid) } else { Ok(entry.clone()) }
    }

    /// Creates a grant and returns its first token pair.
    pub(super) fn open(&mut self, code: Code, expires: Timestamp) -> Pair {
        self.all.push(Grant {
            person: code.person,
            server: code.server,
            scopes: code.scopes,
            generation: 0,
            revoked: false,
            access_token: None,
            refresh_token: None,
        });
        self.issue_pair(self.all.len() - 1, expires)
    }

    /// Exchanges a refresh token for a new pair. Without rotation, returns only an access token, and the refresh token
    /// stays valid.
    pub(super) fn refresh(
        &mut self,
        token: &str,
        at: TokenServer,
        wrong_server_burns: bool,
        rotates: bool,
        expires: Timestamp,
    ) -> Result<Pair, Refused> {
        let entry = self.refresh.get_mut(token).ok_or(Refused::Invalid)?;
        let index = entry.grant;
        let grant = self.all.get_mut(index).ok_or(Refused::Invalid)?;
        let person = grant.person.clone();
        if grant.server != at {
            entry.spent |= wrong_server_burns;
            self.violations.push(Violation::RefreshTokenAtWrongServer { person });
            return Err(Refused::WrongServer);
        }
        if entry.spent {
            let generation = entry.generation;
            self.violations.push(Violation::RefreshTokenReused { person, generation });
            return Err(Refused::Invalid);
        }
        if grant.revoked {
            return Err(Refused::Invalid);
        }
        if !rotates {
            let scopes = grant.scopes.clone();
            return Ok(Pair { access_token: self.issue_access_token(index, expires), refresh_token: None, scopes });
        }
        entry.spent = true;
        grant.generation += 1;
        Ok(self.issue_pair(index, expires))
    }

    /// The grant of an access token that still works.
    pub(super) fn bearer(&self, now: Timestamp, token: &str) -> Option<&Grant> {
        let access = self.access.get(token).filter(|access| access.expires > now)?;
        self.all.get(access.grant).filter(|grant| !grant.revoked)
    }

    /// Revokes the grant of a token of either kind, and what else that ends. Returns whether there was a grant to
    /// revoke.
    pub(super) fn revoke(&mut self, token: &str, ends: RevocationEnds) -> bool {
        let access = self.access.get(token).map(|access| access.grant);
        let index = access.or_else(|| self.refresh.get(token).map(|refresh| refresh.grant));
        let Some(grant) = index.and_then(|index| self.all.get_mut(index)) else { return false };
        let revoked = !std::mem::replace(&mut grant.revoked, true);
        if ends == RevocationEnds::Consent {
            let person = grant.person.clone();
            self.all.iter_mut().filter(|other| other.person == person).for_each(|other| other.revoked = true);
        }
        revoked
    }

    /// Ends every access token of a person at once. The refresh tokens stay valid.
    pub(super) fn expire_access(&mut self, person: &str) {
        let grants = &self.all;
        self.access.retain(|_, access| grants.get(access.grant).is_none_or(|grant| grant.person != person));
    }

    fn issue_pair(&mut self, index: usize, expires: Timestamp) -> Pair {
        let access_token = self.issue_access_token(index, expires);
        let refresh_token = self.token("refresh");
        let mut scopes = BTreeSet::new();
        if let Some(grant) = self.all.get_mut(index) {
            grant.refresh_token = Some(refresh_token.clone());
            scopes.clone_from(&grant.scopes);
            let generation = grant.generation;
            self.refresh.insert(refresh_token.clone(), Refresh { grant: index, generation, spent: false });
        }
        Pair { access_token, refresh_token: Some(refresh_token), scopes }
    }

    fn issue_access_token(&mut self, index: usize, expires: Timestamp) -> String {
        let access_token = self.token("access");
        if let Some(grant) = self.all.get_mut(index) {
            grant.access_token = Some(access_token.clone());
        }
        self.access.insert(access_token.clone(), Access { grant: index, expires });
        access_token
    }

    /// A token about as long as Oura's real ones. It begins with its kind, so a test can find it where it must not be.
    fn token(&mut self, kind: &str) -> String {
        self.drawn += 1;
        let token = format!("{kind}.{}", draw::digits(self.seed, &[kind, &self.drawn.to_string()], 20));
        self.issued.push(token.clone());
        token
    }
}
