use connector::forms::Forms;
use local::{Parts, Process, Stage};
use runtime::{Given, Secrets};

use crate::deadline;

/// Another process of the same installation, with a queue of its own: the same table, services, time and secrets, as they
/// are now; `forms` may differ, as after a deployment. Links keep leading to the first one.
pub async fn beside(stage: &Stage, forms: Forms) -> Process {
    let connector = &stage.process.connector;
    let secrets = &connector.secrets;
    let given = Given::new(
        (*secrets.oura(deadline()).await.unwrap()).clone(),
        (*secrets.smartabase(deadline()).await.unwrap()).clone(),
        (*secrets.keyring(deadline()).await.unwrap()).clone(),
    );
    let parts = Parts {
        settings: connector.settings.clone(),
        public: true,
        forms,
        secrets: Secrets::Given(given),
        clock: stage.clock.clone(),
        database: stage.dynamo.client(),
        port: 0,
    };
    Process::start(parts).await.unwrap()
}
