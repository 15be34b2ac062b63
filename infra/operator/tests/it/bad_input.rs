//! Wrong input and a broken environment: each gives one sentence with what to do, and an exit code.

use crate::aws::{Aws, STACK, keyring, refused};
use crate::program::Program;
use crate::squad;

#[tokio::test]
async fn missing_installation_is_refused() {
    Program::new().run(&["status"]).await.refused(2, &["--stack NAME", "--local FILE"]);
}

#[tokio::test]
async fn unknown_stack_is_named_with_its_region() {
    let aws = Aws::start().await;
    let ended = aws.program().run(&["--stack", "typo", "status"]).await;
    ended.refused(2, &["there is no stack “typo” in eu-west-2", "--stack, --region and --profile"]);
    let ended = aws.program().run(&["--stack", "typo", "--region", "us-east-1", "status"]).await;
    ended.refused(2, &["in us-east-1"]);
}

#[tokio::test]
async fn invalid_stack_name_is_reported_as_unknown_stack() {
    let aws = Aws::start().await;
    let message = "1 validation error detected: Value 'my stack' at 'stackName' failed to satisfy constraint";
    aws.refuse(400, &refused("ValidationError", message));
    let ended = aws.program().run(&["--stack", "my stack", "status"]).await;
    ended.refused(2, &["there is no stack “my stack” in eu-west-2", "--stack, --region and --profile"]);
}

#[tokio::test]
async fn stack_of_another_product_is_refused() {
    let aws = Aws::start().await;
    aws.lose_output("TableName");
    aws.run(&["status"]).await.refused(2, &["is not an installation of this connector"]);
}

#[tokio::test]
async fn without_credentials_it_says_how_to_sign_in() {
    let aws = Aws::start().await;
    let program = aws.program().without("AWS_ACCESS_KEY_ID").without("AWS_SECRET_ACCESS_KEY");
    program.run(&["--stack", STACK, "status"]).await.refused(1, &["no AWS credentials", "aws sso login"]);
}

#[tokio::test]
async fn without_a_region_it_asks_for_one() {
    let aws = Aws::start().await;
    let program = aws.program().without("AWS_REGION");
    program.run(&["--stack", STACK, "status"]).await.refused(2, &["--region"]);
}

#[tokio::test]
async fn unknown_profile_is_named() {
    let aws = Aws::start().await;
    // Keys in the environment make no difference.
    let ended = aws.run(&["--profile", "typo", "status"]).await;
    ended.refused(1, &["no profile “typo”", "--profile, ~/.aws/config"]);
    let program = aws.program().without("AWS_REGION");
    let ended = program.run(&["--stack", STACK, "--profile", "typo", "status"]).await;
    ended.refused(2, &["no AWS region", "profile “typo”"]);
}

#[tokio::test]
async fn named_profile_takes_precedence_over_environment_keys() {
    let aws = Aws::start().await;
    let program = aws.program().without("AWS_REGION");
    let folder = program.home().join(".aws");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("config"), "[profile club]\nregion = ap-southeast-2\n").unwrap();
    std::fs::write(folder.join("credentials"), "[club]\naws_access_key_id = club\naws_secret_access_key = x\n")
        .unwrap();
    assert_eq!(program.run(&["--stack", STACK, "--profile", "club", "status"]).await.code, 0);
    assert_eq!(aws.signed_by(), ["club in ap-southeast-2"]);
    assert_eq!(aws.run(&["status"]).await.code, 0);
    assert_eq!(aws.signed_by(), ["someone in eu-west-2"]);
}

#[tokio::test]
async fn refused_credentials_say_what_is_wrong_with_them() {
    for (code, part) in [
        ("ExpiredToken", "have expired: sign in again"),
        ("InvalidClientTokenId", "does not know these credentials"),
        ("AccessDenied", "not allowed to describe the stack"),
        ("Throttling", "try again in a minute"),
    ] {
        let aws = Aws::start().await;
        aws.refuse(403, &refused(code, "no"));
        aws.run(&["status"]).await.refused(1, &[part]);
    }
}

#[tokio::test]
async fn web_page_in_place_of_aws_is_recognised() {
    for status in [200, 403, 502] {
        let aws = Aws::start().await;
        aws.refuse(status, "<!doctype html><html><body>Sign in to the hotel’s network</body></html>");
        aws.run(&["status"]).await.refused(1, &["is not AWS", "proxy"]);
    }
}

#[tokio::test]
async fn without_a_network_it_says_so() {
    let aws = Aws::start().await;
    // No server listens on the discard port.
    let program = aws.program().without("AWS_ENDPOINT_URL").with("AWS_ENDPOINT_URL", "http://127.0.0.1:9");
    program.run(&["--stack", STACK, "status"]).await.refused(1, &["can’t be reached", "check the network"]);
    let program = aws.program().without("AWS_ENDPOINT_URL_DYNAMODB");
    let program = program.with("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:9");
    program.run(&["--stack", STACK, "status"]).await.refused(1, &["the table did not answer", "check the network"]);
}

#[tokio::test]
async fn file_of_no_pilot_is_refused_and_none_is_created() {
    let program = Program::new();
    let missing = program.home().join("missing.sqlite");
    let ended = program.run(&["--local", missing.to_str().unwrap(), "status"]).await;
    ended.refused(2, &["there is no file", "serve --table"]);
    assert!(!missing.exists());
    let other = program.home().join("letter.txt");
    std::fs::write(&other, "Dear Sir or Madam").unwrap();
    program.run(&["--local", other.to_str().unwrap(), "status"]).await.refused(2, &["is not the file of a pilot"]);
}

#[tokio::test]
async fn unknown_or_ambiguous_athlete_is_refused() {
    let aws = Aws::start().await;
    squad::fill(&aws.store, &keyring()).await;
    aws.run(&["link", "zoe"]).await.refused(2, &["no athlete is called “zoe”", "connector status"]);
    aws.run(&["link", "de"]).await.refused(2, &["may be Ben Ødegaard (UUID b-2, user 32), Dee Ndiaye"]);
}

#[tokio::test]
async fn usage_error_is_json_on_request() {
    let program = Program::new();
    for (arguments, part) in [
        (&["--json", "statsu"][..], "unrecognized subcommand 'statsu'"),
        (&["--stack", "s", "status", "--json", "--state", "dizzy"], "invalid value 'dizzy'"),
        (&["--stack", "s", "show", "--json"], "not provided: <ATHLETE>"),
        (&["--json"], "requires a subcommand"),
    ] {
        let ended = program.run(arguments).await;
        let error = &ended.json()["error"];
        let message = error["message"].as_str().unwrap();
        assert_eq!((ended.code, error["kind"].as_str()), (2, Some("usage")), "{ended:?}");
        assert!(message.contains(part) && !message.contains('\n'), "{message:?}");
        assert!(!ended.stderr.is_empty());
    }
    for arguments in [&["--help", "--json"][..], &["--json", "status", "--help"], &["--version"]] {
        let ended = program.run(arguments).await;
        assert!(ended.code == 0 && ended.stderr.is_empty() && !ended.stdout.is_empty(), "{ended:?}");
    }
    let ended = program.run(&["statsu"]).await;
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{ended:?}");
}

#[tokio::test]
async fn failure_is_json_on_request() {
    let aws = Aws::start().await;
    let ended = aws.program().run(&["--stack", "typo", "status", "--json"]).await;
    assert_eq!((ended.code, ended.json()["error"]["kind"].as_str()), (2, Some("usage")));
    assert!(ended.json()["error"]["message"].as_str().unwrap().contains("no stack “typo”"));
    assert!(ended.stderr.contains("no stack “typo”"));
}
