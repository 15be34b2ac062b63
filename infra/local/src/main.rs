//! `cargo demo` shows the product with simulated services; `cargo run -p local -- serve` runs it for a small club.

mod demo;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "The Oura connector for Smartabase, in one process")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Demonstrate the product with simulated services, then keep running for a look around.
    Demo(demo::Options),
    /// Serve the real Oura and Smartabase, configured by environment variables.
    Serve(serve::Options),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let ended = match Arguments::parse().what {
        What::Demo(options) => demo::run(&options).await,
        What::Serve(options) => serve::run(&options).await,
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The error may quote text from a service or a file.
            eprintln!("{}", runtime::visible(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}
