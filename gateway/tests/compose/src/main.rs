//! Composes a component with the one that provides what it imports, as `wac plug` does: `compose FRONT BEHIND MADE`.

use std::{env, error::Error, fs};

use wac_graph::{CompositionGraph, EncodeOptions, plug, types::Package};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(front), Some(behind), Some(made)) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err("compose FRONT BEHIND MADE".into());
    };
    let mut graph = CompositionGraph::new();
    let front = Package::from_file("front", None, front, graph.types_mut())?;
    let front = graph.register_package(front)?;
    let behind = Package::from_file("behind", None, behind, graph.types_mut())?;
    let behind = graph.register_package(behind)?;
    plug(&mut graph, vec![behind], front)?;
    fs::write(made, graph.encode(EncodeOptions::default())?)?;
    Ok(())
}
