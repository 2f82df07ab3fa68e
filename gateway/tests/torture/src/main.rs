//! `wasmgate-torture`: hostile guests and clients beside a good package, and a long run with faults.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use wasmgate_torture::{BRIEF, Programs, Verdict, WHOLE, faults, report, run, shapes, table};

/// Hostile guests and clients beside a good package.
#[derive(Parser)]
struct Arguments {
    /// The gateway.
    #[arg(long, default_value = "target/release/wasmgate")]
    gateway: PathBuf,
    /// The folder of the test guests.
    #[arg(long, default_value = "target/wasm32-wasip2/release/examples")]
    guests: PathBuf,
    /// A folder for compiled code.
    #[arg(long, default_value = "target/torture")]
    cache: PathBuf,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Every case in the tables.
    Cases {
        /// Forty requests beside each case instead of a thousand.
        #[arg(long)]
        brief: bool,
        /// Cases that have this in their names.
        #[arg(long, default_value = "")]
        only: String,
    },
    /// Components that are hostile before they are run.
    Shapes,
    /// Many requests while everything fails now and then.
    Faults {
        #[arg(long, default_value_t = 200_000)]
        requests: usize,
        /// The same seed brings the same faults in the same order.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

#[tokio::main]
async fn main() -> Result<()> {
    let Arguments {
        gateway,
        guests,
        cache,
        what,
    } = Arguments::parse();
    let programs = Programs {
        gateway: gateway.canonicalize()?,
        guests: guests.canonicalize()?,
        cache: Some(std::path::absolute(cache)?),
    };
    match what {
        What::Cases { brief, only } => {
            let pace = if brief { BRIEF } else { WHOLE };
            let rows = run(&programs, pace, &only, |row| {
                eprintln!("{}", report::line(row))
            })
            .await?;
            println!("{}", table(&rows));
            let broken = rows.iter().filter(|row| row.verdict() == Verdict::Broken);
            let broken: Vec<_> = broken.map(|row| row.case.name).collect();
            if !broken.is_empty() {
                bail!("the gateway does not bear {broken:?}");
            }
        }
        What::Shapes => {
            for shape in shapes::all()? {
                let look = shapes::look(&programs.gateway, &shape).await?;
                println!("{}: {} -> {look:?}", shape.name, shape.does);
            }
        }
        What::Faults { requests, seed } => {
            let told = faults::run(&programs, requests, seed).await?;
            println!("{told}");
            if !told.wrong.is_empty() {
                bail!("{} things went wrong", told.wrong.len());
            }
        }
    }
    Ok(())
}
