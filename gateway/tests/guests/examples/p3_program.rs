//! A program of WASI 0.3, run as CGI has it: its path says what it does, right or wrong.
#![cfg(target_arch = "wasm32")]

use std::{
    env,
    hint::black_box,
    io::{self, Write as _},
};

use wasip3::{
    cli::{exit, stdin, stdout},
    clocks::monotonic_clock::wait_for,
    http::types::{Fields, Method},
    wit_bindgen::{StreamWriter, spawn_local},
    wit_stream,
};
use wasmgate_test_guests::p3::{self, chunk, taken_of_response};

const PLAIN: &str = "Content-Type: text/plain\n\n";
const SECOND: u64 = 1_000_000_000;

struct Program;

wasip3::cli::command::export!(Program);

impl wasip3::exports::cli::run::Guest for Program {
    async fn run() -> Result<(), ()> {
        let path = env::var("PATH_INFO").unwrap_or_default();
        let query = env::var("QUERY_STRING").unwrap_or_default();
        match path.as_str() {
            "/environment" => print(&format!("{PLAIN}{:?}", env::vars().collect::<Vec<_>>())).await,
            "/echo" => echo().await,
            "/std" => {
                print!("{PLAIN}by Rust's own library");
                io::stdout().flush().map_err(|_| ())
            }
            "/later" => later(),
            "/says" => {
                print(&format!("{PLAIN}said")).await?;
                says(&query).await
            }
            "/fetch" => fetch(&query).await,
            "/fails" => {
                print(&format!("{PLAIN}half")).await?;
                Err(())
            }
            "/exits" => {
                print(&format!("{PLAIN}whole")).await?;
                exit::exit_with_code(query.parse().unwrap_or_default());
                Ok(())
            }
            "/nothing" => Ok(()),
            "/no-response" => {
                let _ = print("this is no header line\n\nbody").await;
                Ok(())
            }
            "/too-much" => {
                let _ = print("Content-Type: text/plain\nContent-Length: 2\n\nabc").await;
                Ok(())
            }
            "/traps" => core::arch::wasm32::unreachable(),
            "/spins" => loop {
                black_box(());
            },
            "/sleeps" => {
                print(PLAIN).await?;
                wait_for(3600 * SECOND).await;
                Ok(())
            }
            "/streams" => {
                let mut kept = Vec::new();
                loop {
                    kept.extend((0..1000).map(|_| wit_stream::new::<u8>()));
                    wait_for(1).await;
                }
            }
            other => print(&format!("Status: 404\n{PLAIN}{other}")).await,
        }
    }
}

fn open() -> StreamWriter<u8> {
    let (output, printed) = wit_stream::new();
    drop(stdout::write_via_stream(printed));
    output
}

async fn print(text: &str) -> Result<(), ()> {
    write(&mut open(), text.as_bytes().to_vec()).await
}

async fn write(output: &mut StreamWriter<u8>, bytes: Vec<u8>) -> Result<(), ()> {
    match output.write_all(bytes).await.is_empty() {
        true => Ok(()),
        false => Err(()),
    }
}

async fn echo() -> Result<(), ()> {
    let (mut input, end) = stdin::read_via_stream();
    let mut output = open();
    write(&mut output, PLAIN.into()).await?;
    while let Some(part) = chunk(&mut input).await {
        write(&mut output, part).await?;
    }
    end.await.map_err(|_| ())
}

/// Prints when its main function has returned.
fn later() -> Result<(), ()> {
    spawn_local(async {
        wait_for(1000).await;
        let _ = print(&format!("{PLAIN}later")).await;
    });
    Ok(())
}

async fn says(text: &str) -> Result<(), ()> {
    let (mut output, said) = wit_stream::new();
    drop(wasip3::cli::stderr::write_via_stream(said));
    write(&mut output, format!("the program says {text}\n").into()).await
}

/// Prints what an origin answers.
async fn fetch(url: &str) -> Result<(), ()> {
    let response = match p3::fetch(url, &Method::Get, Fields::new(), b"").await {
        Ok(response) => response,
        Err(code) => return print(&format!("Status: 502\n{PLAIN}{code:?}")).await,
    };
    let mut output = open();
    write(&mut output, PLAIN.into()).await?;
    let (mut body, end) = taken_of_response(response);
    while let Some(part) = chunk(&mut body).await {
        write(&mut output, part).await?;
    }
    end.await.map(|_| ()).map_err(|_| ())
}
