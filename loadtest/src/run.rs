//! `wasmgate-loadtest run`: one scenario, one result.

use anyhow::{Context, bail};

use crate::{
    cli::RunArgs,
    client,
    plan::Plan,
    progress::Progress,
    report::table,
    scenario::{self, Scenario},
    target::Target,
};

/// Runs the scenario and prints its result.
///
/// # Errors
/// Everything that keeps the load from being a measurement, with its remedy.
pub fn run(arguments: &RunArgs) -> anyhow::Result<()> {
    let plan = arguments.load.plan();
    plan.check()?;
    match arguments.scenario {
        Scenario::Hello | Scenario::Json | Scenario::Body { .. } => one_request(arguments, &plan),
        _ => bail!("not yet"),
    }
}

fn one_request(arguments: &RunArgs, plan: &Plan) -> anyhow::Result<()> {
    let url = arguments
        .url
        .as_deref()
        .context("this scenario needs a URL, for example http://127.0.0.1:3000/hello")?;
    let target = Target::parse(url)?;
    let scenario = arguments.scenario;
    let mut exchange = scenario::workload(scenario, &target, arguments.direction)
        .context("this scenario has no single request")?;
    exchange.expected.status = arguments.expect_status;
    let workload = scenario::learn(&target, exchange, scenario, plan.protocol, plan.timeout)?;
    if !arguments.warmup.is_zero() {
        let warmup = Plan {
            duration: arguments.warmup,
            ..plan.clone()
        };
        client::drive(&target, &workload, &warmup, Progress::Silent)?;
    }
    let seen = client::drive(&target, &workload, plan, Progress::on_terminal())?;
    let summary = seen.summary();
    if arguments.json {
        let whole = serde_json::json!({"plan": plan, "url": url, "result": summary});
        println!("{}", serde_json::to_string_pretty(&whole)?);
    } else {
        print!("{}", table::summary(&summary, plan));
    }
    Ok(())
}
