//! switchyard: the one binary. Every command is a file in `commands/`; `compose.rs` alone knows
//! all services, `listen.rs` and `routes.rs` are the public listener.

mod bench;
mod cli;
mod client;
mod commands;
mod compose;
mod config;
mod counterparties;
mod exit;
mod first_start;
mod listen;
mod logs;
mod memory;
mod moment;
mod open_files;
mod process;
mod render;
mod routes;
mod site;
mod verify;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    memory::in_small_pages();
    let cli = match config::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    logs::start(&cli.logging);
    match commands::run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
