//! The rules about any text, seen failing.

use tidy::words::{machine, named_path};

use crate::check;

#[test]
fn a_folder_of_one_machine_is_found() {
    check(
        machine,
        &[
            ("docs/a.md", concat!("run it\nin /wo", "rk/main\n")),
            ("scripts/b", concat!("cd /ro", "ot/here\n")),
            ("docs/c.md", concat!("src/wo", "rk/units.rs and ../wo", "rk/x\n")),
        ],
        &["docs/a.md:2: machine: ", "scripts/b:1: machine: "],
    );
}

#[test]
fn a_registry_of_one_network_is_found() {
    let public = "source = \"registry+https://github.com/rust-lang/crates.io-index\"\n";
    let private = "source = \"registry+https://packages.example.org/index\"\n";
    check(
        machine,
        &[
            (".cargo/config.toml", concat!("[source.crates-io]\nreplace", "-with = \"near\"\n")),
            ("Cargo.lock", &format!("{public}{private}")),
            ("scripts/a", concat!("pip install --index", "-url https://packages.example.org\n")),
        ],
        &[".cargo/config.toml:2: machine: ", "Cargo.lock:2: machine: ", "scripts/a:1: machine: "],
    );
}

#[test]
fn a_path_that_leads_nowhere_is_found() {
    check(
        named_path,
        &[
            (
                "ARCHITECTURE.md",
                "`services/a/src/http.rs`, `services/b/src/http.rs`, `services/a/`\n\
                 `services/a/src/{http,jobs}.rs` and `cargo test`, `/services/{id}`, `POST services/x`\n\
                 `elsewhere/c.rs`\n",
            ),
            ("docs/other.md", "`services/b/src/http.rs`\n"),
            ("services/a/src/http.rs", ""),
        ],
        &[
            "ARCHITECTURE.md:1: named-path: `services/b/src/http.rs`",
            "ARCHITECTURE.md:2: named-path: `services/a/src/jobs.rs`",
        ],
    );
}
