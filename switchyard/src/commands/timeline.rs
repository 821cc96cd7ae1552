//! `timeline`: a transfer's own sequence diagram, from a running platform.

use contracts::{exchanges::Timeline as Recorded, ids::TransferId};

use crate::{
    cli::{DiagramFormat, Timeline},
    client::Client,
    exit::{Context, Failure, Outcome},
    render,
};

/// Prints the diagram.
pub async fn run(arguments: &Timeline) -> Outcome {
    let transfer: TransferId = arguments
        .transfer
        .parse()
        .map_err(|_| Failure::Usage(format!("{} is no transfer's id", arguments.transfer)))?;
    let (mut client, own) = super::client(&arguments.target)?;
    let account = arguments.account.clone().or(own).ok_or_else(|| {
        Failure::Usage("whose transfer? name the key's account with --account".to_owned())
    })?;
    let recorded = fetch(&mut client, &account, transfer).await?;
    super::print(&drawn(&recorded, arguments.format));
    Ok(())
}

/// The recorded exchanges of a transfer.
pub async fn fetch(client: &mut Client, account: &str, transfer: TransferId) -> Outcome<Recorded> {
    let path = format!("/accounts/{account}/transfers/{transfer}/timeline");
    let value = client.get(&path).await?.ok()?;
    serde_json::from_value(value).context("the timeline has another shape")
}

/// The diagram in a form, with its end of line.
pub fn drawn(recorded: &Recorded, format: DiagramFormat) -> String {
    match format {
        DiagramFormat::Text => render::sequence_text(recorded),
        DiagramFormat::Mermaid => render::sequence_mermaid(recorded),
        DiagramFormat::Svg => dashboard::sequence(recorded, dashboard::Dress::Alone),
        DiagramFormat::Json => {
            let text = serde_json::to_string_pretty(recorded).expect("timelines are plain data");
            text + "\n"
        }
    }
}
