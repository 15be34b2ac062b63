use local::Stage;
use sim::wire::Seen;

/// A request to Smartabase that was answered with an error, and that the site carries out later.
#[derive(Clone, Debug)]
pub struct LateRequest {
    path: String,
    body: Vec<u8>,
}

impl LateRequest {
    /// Copies a request that a wire has seen.
    #[must_use]
    pub fn of(seen: &Seen) -> Self {
        Self { path: format!("{}?{}", seen.path, seen.query), body: seen.body.to_vec() }
    }

    /// Sends the request to the site.
    pub async fn carry_out(self, stage: &Stage) {
        let site = stage.smartabase.url().trim_end_matches("/site").to_owned();
        let request = stage.browser.post(format!("{site}{}", self.path)).body(self.body);
        let request =
            request.basic_auth("api.account", Some("api-password")).header("content-type", "application/json");
        assert_eq!(request.send().await.unwrap().status(), 200);
    }
}
