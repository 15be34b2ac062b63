use connector::forms::Forms;
use local::{Parts, Process, Stage};
use runtime::{Given, Secrets, Settings};

use crate::deadline;

/// Starts another process of the same installation, with a queue of its own. It has the same table, services, clock and
/// secrets; `forms` may differ, as after a deployment. Links still lead to the first process.
pub async fn beside(stage: &Stage, forms: Forms) -> Process {
    beside_with(stage, stage.process.connector.settings.clone(), forms).await
}

/// Like [`beside`], with other settings, as after an operator has changed a parameter.
pub async fn beside_with(stage: &Stage, settings: Settings, forms: Forms) -> Process {
    let connector = &stage.process.connector;
    let secrets = &connector.secrets;
    let given = Given::new(
        (*secrets.oura(deadline()).await.unwrap()).clone(),
        (*secrets.smartabase(deadline()).await.unwrap()).clone(),
        (*secrets.keyring(deadline()).await.unwrap()).clone(),
    );
    let parts = Parts {
        settings,
        public: true,
        forms,
        secrets: Secrets::Given(given),
        clock: stage.clock.clone(),
        database: stage.dynamo.client(),
        port: 0,
    };
    Process::start(parts).await.unwrap()
}
