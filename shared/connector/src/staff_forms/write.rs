//! Writing a user's record in a profile form.

use std::time::Duration;

use runtime::Deadline;
use smartabase::{Error, FormName, ProfileImport, UserId};
use store::{AthleteId, StoreError};

use crate::credential_guard::{Permit, PermitError};
use crate::{Connector, JobError};

/// The longest that one record may take: those who measured real sites wait so long (public integrations).
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Why a profile form was not written. What happened is logged.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// Our name and password are refused: nobody else's can be written either.
    NotLetIn(JobError),
    /// This record was not written, or not all of it, or it is not known whether it was.
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
    /// Writes the record. A record written twice is written once, so whatever is in doubt may be repeated.
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
