//! Names in the roster, messages from services and file names are untrusted text. They must not control the terminal:
//! they must not set its title, clear the screen or start a new line.

use store::{Service, Status};

use crate::aws::{Aws, STACK, keyring};
use crate::program::{Ended, Program};
use crate::squad::{self, ago, id, soon};

/// Control sequences that set the title, clear the screen, start a line, return to its start and reverse the text
/// direction. The C1 form, which needs no escape character, is included.
const EVIL: &str = "Eve\u{1b}]0;title\u{7}\u{1b}[2J\nAda\r\u{9b}2J\u{202e}";

/// The same text after escaping.
const SHOWN: &str = r"Eve\u001b]0;title\u0007\u001b[2J\u000aAda\u000d\u009b2J\u202e";

/// Our own styles.
const STYLES: [&str; 6] = ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[2m", "\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m"];

/// Whether the output contains no control sequence except our own styles.
#[track_caller]
fn harmless(ended: &Ended) {
    for output in [&ended.stdout, &ended.stderr] {
        let plain = STYLES.iter().fold(output.clone(), |text, style| text.replace(style, ""));
        let obeyed = |letter: char| (letter.is_control() && letter != '\n') || letter == '\u{202e}';
        assert!(!plain.contains(obeyed), "{plain:?}");
        assert!(!plain.lines().any(|line| line.starts_with("Ada")), "a line of somebody else's: {plain:?}");
    }
}

/// An athlete with that name and that note; the site has returned the same text as an error.
async fn eve() -> Aws {
    let aws = Aws::start().await;
    squad::enrol(&aws.store, "e-5", 35, EVIL, 500).await;
    squad::connect(&aws.store, &keyring(), "e-5", 35).await;
    aws.store.set_status(&id("e-5"), 1, Status::NeedsConsent, Some(EVIL), None, ago(30), soon()).await.unwrap();
    aws.store.set_hold(Service::Smartabase, ago(-1), EVIL, soon()).await.unwrap();
    aws
}

/// The program as if at a terminal: its output keeps the escape sequences, although it goes into a pipe.
async fn at_a_terminal(program: Program, arguments: &[&str]) -> Ended {
    program.with("CLICOLOR_FORCE", "1").run(arguments).await
}

#[tokio::test]
async fn a_name_or_a_message_with_escapes_is_shown() {
    let aws = eve().await;
    for command in [&["status"][..], &["show", "e-5"], &["link", "e-5"]] {
        let ended = at_a_terminal(aws.program(), &[&["--stack", STACK], command].concat()).await;
        harmless(&ended);
        assert!(format!("{}{}", ended.stdout, ended.stderr).contains(SHOWN), "{command:?} {ended:?}");
    }
}

#[tokio::test]
async fn json_keeps_the_text_without_control_characters() {
    let aws = eve().await;
    let ended = aws.run(&["status", "--json"]).await;
    harmless(&ended);
    assert_eq!(ended.json()["athletes"][0]["name"], EVIL);
    assert_eq!(ended.json()["holds"][0]["why"], EVIL);
}

#[tokio::test]
async fn a_dead_letter_with_escapes_is_shown() {
    let aws = eve().await;
    aws.queues(|queues| queues.bury("letter", EVIL, Some(EVIL)));
    let ended = at_a_terminal(aws.program(), &["--stack", STACK, "redrive"]).await;
    harmless(&ended);
    assert!(ended.stdout.contains(SHOWN), "{ended:?}");
}

#[tokio::test]
async fn an_error_of_aws_with_escapes_is_shown() {
    let aws = eve().await;
    // XML has no escape character, but it has the one that means "escape, bracket".
    let code = "Odd\u{9b}2J\u{202e}";
    aws.refuse(400, &format!("<ErrorResponse><Error><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"));
    for command in ["doctor", "redrive"] {
        let ended = at_a_terminal(aws.program(), &["--stack", STACK, command]).await;
        harmless(&ended);
        assert!(ended.stderr.contains(r"Odd\u009b2J\u202e"), "{ended:?}");
    }
}

#[tokio::test]
async fn an_argument_or_a_file_with_escapes_in_its_name_is_shown() {
    let aws = eve().await;
    let (unknown, state) = (format!("{EVIL}!"), EVIL.replace('\n', " "));
    for arguments in [
        &["--local", EVIL, "status"][..],
        &["--stack", STACK, "show", &unknown],
        &["--stack", STACK, "status", "--state", &state],
        &["--stack", STACK, "redrive", "drop", "--id", EVIL],
        &["forms", "spec", "--file", EVIL],
    ] {
        let ended = at_a_terminal(aws.program(), arguments).await;
        assert_ne!(ended.code, 0);
        harmless(&ended);
    }
}
