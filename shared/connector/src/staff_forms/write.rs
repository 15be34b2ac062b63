//! Writing a user's record in a profile form.

use std::time::Duration;

use runtime::Deadline;
use smartabase::{Error, FormName, ProfileImport, UserId};
use store::{AthleteId, StoreError};

use crate::credential_guard::{Permit, PermitError};
use crate::{Connector, JobError};

/// The longest that writing one record may take. Public integrations with real sites wait as long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Why a profile form was not written. The cause is already logged.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// Smartabase refused our name and password, so no other form can be written either.
    NotLetIn(JobError),
    /// The record was not written, or only in part, or the outcome is unknown.
    Failed,
}

impl From<StoreError> for WriteError {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "a profile form is left for the next time");
        Self::Failed
    }
}

impl From<PermitError> for WriteError {
    fn from(not: PermitError) -> Self {
        match not {
            PermitError::Refused(setback) => Self::NotLetIn(setback),
            PermitError::NotNow(setback) => {
                tracing::warn!(%setback, "a profile form is left for the next time");
                Self::Failed
            }
        }
    }
}

impl Connector {
    /// Writes the record. The write is idempotent, so it may be repeated when its outcome is unknown.
    pub(crate) async fn write_profile(
        &self,
        permit: &Permit<'_>,
        athlete: &AthleteId,
        user: UserId,
        form: &FormName,
        fields: &[(String, String)],
        deadline: Deadline,
    ) -> Result<(), WriteError> {
        let credentials = permit.credentials(deadline).await.map_err(WriteError::NotLetIn)?;
        let patience = deadline.at_most(PATIENCE).instant();
        match self.smartabase.import_profile(credentials, form, user, fields, patience).await {
            Ok(ProfileImport::Imported { unknown_fields }) if unknown_fields.is_empty() => return Ok(()),
            Ok(ProfileImport::Imported { unknown_fields }) => {
                let fields = unknown_fields.join(", ");
                tracing::error!(%athlete, %form, fields, "the profile form does not have these fields");
            }
            Ok(ProfileImport::NotImported { state, .. }) => {
                tracing::error!(%athlete, %form, state, "Smartabase refused the profile: does the form exist?");
            }
            Err(Error::WrongCredentials) => return Err(WriteError::NotLetIn(permit.refused(deadline).await)),
            Err(error) => tracing::warn!(%athlete, %form, %error, "the profile could not be written"),
        }
        Err(WriteError::Failed)
    }
}
