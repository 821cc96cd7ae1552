//! `up`: the whole platform in one process on one data directory.

use std::path::Path;

use store::Location;

use crate::{
    cli::Up,
    exit::Outcome,
    first_start::{Credentials, FILE},
    site::{Options, Part, Site},
};

/// Runs until a signal asks to stop.
pub fn run(arguments: Up) -> Outcome {
    let part = Part::whole(arguments.run.sandbox);
    let site = Site::start(Options {
        location: Location::Directory(arguments.data.clone()),
        data: arguments.data,
        listen: arguments.listen,
        run: arguments.run,
        shards: arguments.shards,
        part,
    })?;
    if let Some(credentials) = &site.credentials {
        super::print(&welcome(credentials, &site.data));
    }
    let ended = site.wait();
    site.stop();
    ended
}

/// Where it is, where the key is, and a first request to paste.
pub fn welcome(credentials: &Credentials, data: &Path) -> String {
    let file = data.join(FILE);
    let mut text = format!(
        "switchyard is ready at {0}\ncredentials are in {1}\nthe dashboard is at {0}/dashboard\n",
        credentials.base_url,
        file.display()
    );
    let wallet = credentials.wallet_payment_method_id.as_deref();
    match (wallet, credentials.method("moov-wallet")) {
        (Some(from), Some(to)) => {
            text.push_str("a first transfer:\n");
            text.push_str(&format!(
                "  curl -s -u {} -H \"X-Idempotency-Key: $(date +%s)-$RANDOM\" \\\n    \
                 -H 'Content-Type: application/json' -H 'X-Wait-For: rail-response' \\\n    \
                 -d '{{\"source\":{{\"paymentMethodID\":\"{from}\"}},\
                 \"destination\":{{\"paymentMethodID\":\"{to}\"}},\
                 \"amount\":{{\"currency\":\"USD\",\"value\":1204}}}}' \\\n    \
                 {}/accounts/{}/transfers\n",
                credentials.key(),
                credentials.base_url,
                credentials.account_id
            ));
        }
        _ => text.push_str(&format!(
            "a first request:\n  curl -s -u PUBLIC:SECRET {}/accounts/{}\n",
            credentials.base_url, credentials.account_id
        )),
    }
    text
}
