//! `topology`: the declared edges, and beside them those seen in traffic.

use runtime::Topology as Graph;

use crate::{
    cli::{Topology, TopologyFormat},
    client::Client,
    compose,
    exit::{Context, Failure, Outcome},
    first_start::Credentials,
    render,
};

/// Prints the graph; wrong where an edge was seen that is not declared.
pub fn run(arguments: &Topology) -> Outcome {
    let graph = match &arguments.observed {
        None => compose::declared()?,
        Some(url) => super::alone()?.block_on(observed(arguments, url))?,
    };
    let seen = arguments.observed.is_some();
    super::print(&match arguments.format {
        TopologyFormat::Text => render::graph_text(&graph, seen),
        TopologyFormat::Mermaid => render::graph_mermaid(&graph),
        TopologyFormat::Markdown => render::graph_markdown(&graph),
        TopologyFormat::Svg => dashboard::graph(&graph, dashboard::Dress::Alone),
        TopologyFormat::Json => {
            serde_json::to_string_pretty(&graph).expect("the graph is plain data") + "\n"
        }
    });
    let undeclared = graph.edges.iter().filter(|edge| !edge.declared);
    let undeclared: Vec<_> = undeclared
        .inspect(|edge| {
            eprintln!("not declared: {} -> {} {}", edge.from, edge.to, edge.name);
        })
        .collect();
    if undeclared.is_empty() { Ok(()) } else { Err(Failure::Wrong) }
}

/// This binary's declared edges with what the platform saw; what it saw beside them is undeclared.
async fn observed(arguments: &Topology, url: &str) -> Outcome<Graph> {
    let key = match &arguments.key {
        Some(key) => key.clone(),
        None => Credentials::read(&arguments.data)?.key(),
    };
    let mut client = Client::new(url, Some(&key))?;
    let value = client.get("/operations/topology").await?.ok()?;
    let theirs: Graph = serde_json::from_value(value).context("the topology has another shape")?;
    let mut graph = compose::declared()?;
    for mut edge in theirs.edges {
        let known = graph.edges.iter_mut().find(|own| {
            own.from == edge.from
                && own.to == edge.to
                && own.kind == edge.kind
                && own.name == edge.name
        });
        match known {
            Some(known) => {
                edge.declared = true;
                *known = edge;
            }
            None if edge.observed > 0 => {
                edge.declared = false;
                graph.edges.push(edge);
            }
            None => {}
        }
    }
    Ok(graph)
}
