//! The rules about files, seen failing.

use tidy::layout::{file_length, file_name, lints, map_length, module_doc, service_files};

use crate::check;

#[test]
fn a_file_without_its_first_line_is_found() {
    check(
        module_doc,
        &[
            ("contracts/src/a.rs", "//! Says what it is for.\n"),
            ("contracts/src/b.rs", "use std::fmt;\n"),
            ("contracts/src/c.rs", "\n//! Too late.\n"),
            ("contracts/src/d.rs", "//!\n//! Says it too late.\n"),
            ("contracts/src/e.rs", ""),
            ("docs/page.md", "# Not Rust\n"),
        ],
        &[
            "contracts/src/b.rs:1: module-doc: ",
            "contracts/src/c.rs:1: module-doc: ",
            "contracts/src/d.rs:1: module-doc: ",
            "contracts/src/e.rs:1: module-doc: ",
        ],
    );
}

#[test]
fn a_long_file_is_found() {
    let (most, over) = ("\n".repeat(600), "\n".repeat(601));
    check(
        file_length,
        &[
            ("contracts/src/a.rs", &most),
            ("contracts/src/b.rs", &over),
            ("contracts/src/b/tests.rs", &over),
            ("contracts/tests/it.rs", &over),
            ("tests/simulation/src/lib.rs", &over),
            ("docs/long.md", &over),
        ],
        &["contracts/src/b.rs: file-length: 601 lines, at most 600"],
    );
}

#[test]
fn a_long_map_is_found() {
    let (most, over) = ("\n".repeat(80), "\n".repeat(81));
    check(
        map_length,
        &[
            ("services/a/src/lib.rs", &most),
            ("services/b/src/lib.rs", &over),
            ("services/b/src/store.rs", &over),
            ("rails/c/src/lib.rs", &over),
            ("platform/store/src/lib.rs", &over),
        ],
        &["services/b/src/lib.rs: map-length: 81", "rails/c/src/lib.rs: map-length: 81"],
    );
}

#[test]
fn a_name_that_says_nothing_is_found() {
    check(
        file_name,
        &[
            ("contracts/src/types.rs", ""),
            ("platform/store/src/error.rs", ""),
            ("platform/utils/src/lib.rs", ""),
            ("services/a/src/store/error.rs", ""),
            ("services/a/src/store/common/b.rs", ""),
            ("sandbox/src/bank/mod.rs", ""),
            ("formats/a/tests/samples/mod.rs", ""),
            ("contracts/src/common_names.rs", ""),
            ("docs/types.md", ""),
        ],
        &[
            "contracts/src/types.rs: file-name: `types`",
            "platform/utils/src/lib.rs: file-name: `utils`",
            "services/a/src/store/error.rs: file-name: `error`",
            "services/a/src/store/common/b.rs: file-name: `common`",
            "sandbox/src/bank/mod.rs: file-name: ",
        ],
    );
}

#[test]
fn a_file_that_no_service_has_is_found() {
    check(
        service_files,
        &[
            ("services/a/Cargo.toml", ""),
            ("services/a/migrations/0001_init.sql", ""),
            ("services/a/migrations/0001_init.rs", ""),
            ("services/a/src/lib.rs", ""),
            ("services/a/src/lib/more.rs", ""),
            ("services/a/src/domain.rs", ""),
            ("services/a/src/domain/tests.rs", ""),
            ("services/a/src/store/rows.rs", ""),
            ("services/a/src/wire.rs", ""),
            ("services/a/src/sweeps.rs", ""),
            ("services/a/src/http", ""),
            ("services/a/tests/it.rs", ""),
            ("services/a/notes.md", ""),
            ("rails/b/Cargo.toml", ""),
            ("rails/b/src/lib.rs", ""),
            ("rails/b/src/wire.rs", ""),
            ("rails/b/src/link/reconnect.rs", ""),
            ("rails/b/src/connector.rs", ""),
        ],
        &[
            "services/a/migrations/0001_init.rs: service-files: ",
            "services/a/src/lib/more.rs: service-files: ",
            "services/a/src/wire.rs: service-files: ",
            "services/a/src/sweeps.rs: service-files: ",
            "services/a/src/http: service-files: ",
            "services/a/notes.md: service-files: ",
            "rails/b/src/connector.rs: service-files: ",
        ],
    );
}

#[test]
fn a_service_without_its_map_is_found() {
    check(
        service_files,
        &[("services/a/Cargo.toml", ""), ("services/a/src/domain.rs", "")],
        &["services/a/src/lib.rs: service-files: a service begins with its map"],
    );
}

#[test]
fn a_crate_without_the_lints_is_found() {
    check(
        lints,
        &[
            ("Cargo.toml", "[workspace]\n"),
            ("contracts/Cargo.toml", "[package]\n\n[lints]\nworkspace = true\n"),
            ("sandbox/Cargo.toml", "[package]\n\n[lints.rust]\nunsafe_code = \"allow\"\n"),
        ],
        &["sandbox/Cargo.toml: lints: "],
    );
}
