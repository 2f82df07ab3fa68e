//! A program as CGI has it, on Rust's own library alone. Its path says what it does, right or wrong.

mod wrong;

use std::{
    env, fs,
    io::{self, Read as _, Write as _},
    process,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, SystemTime},
};

/// A response of plain text begins so.
const PLAIN: &str = "Content-Type: text/plain\n\n";

fn main() -> io::Result<()> {
    let path = env::var("PATH_INFO").unwrap_or_default();
    let query = env::var("QUERY_STRING").unwrap_or_default();
    let number = query.parse().unwrap_or(0);
    match path.as_str() {
        "/environment" => print(&format!("{PLAIN}{}", environment())),
        "/arguments" => print(&format!("{PLAIN}{:?}", env::args().collect::<Vec<_>>())),
        "/echo" => echo(),
        "/hears" => hears(),
        "/count" => print(&format!("{PLAIN}{}", count())),
        "/reads" => print(&format!("{PLAIN}{}", reads(&query))),
        "/status" => print(&format!(
            "Status: {query}\nContent-Type: text/plain\n\nstatus {query}"
        )),
        "/status-alone" => print(&format!("Status: {query}\n\n")),
        "/redirect" => print(&format!("Location: {query}\n\n")),
        "/fields" => {
            print("Content-Type: text/plain\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nConnection: close\r\n\r\n")
        }
        "/lines" => lines(number),
        "/zeros" => zeros(number),
        "/says" => says(&query),
        "/world" => print(&format!("{PLAIN}{}", world())),
        "/sleeps" => {
            print(&format!("{PLAIN}before "))?;
            std::thread::sleep(Duration::from_millis(u64::from(number)));
            print("after")
        }
        "/exits" => {
            print(&format!("{PLAIN}a whole answer"))?;
            process::exit(i32::try_from(number).unwrap_or(1))
        }
        path => wrong::run(path, number),
    }
}

/// Prints, and has it sent.
fn print(text: &str) -> io::Result<()> {
    let mut output = io::stdout();
    output.write_all(text.as_bytes())?;
    output.flush()
}

fn environment() -> String {
    let mut lines: Vec<_> = env::vars()
        .map(|(name, value)| format!("{name}={value}\n"))
        .collect();
    lines.sort();
    lines.concat()
}

/// Copies its input, each part as it comes.
fn echo() -> io::Result<()> {
    let kind = env::var("CONTENT_TYPE").unwrap_or_else(|_| "text/plain".to_owned());
    print(&format!("Content-Type: {kind}\n\n"))?;
    let (mut part, mut input, mut output) = (vec![0; 64 << 10], io::stdin(), io::stdout());
    loop {
        let length = input.read(&mut part)?;
        let Some(read) = part.get(..length).filter(|read| !read.is_empty()) else {
            return Ok(());
        };
        output.write_all(read)?;
        output.flush()?;
    }
}

/// Says how much it was sent, or what broke.
fn hears() -> io::Result<()> {
    let mut all = Vec::new();
    let heard = match io::stdin().read_to_end(&mut all) {
        Ok(bytes) => format!("{bytes} bytes"),
        Err(error) => {
            eprintln!("its input broke off: {error}");
            "a break".to_owned()
        }
    };
    print(&format!("{PLAIN}{heard}"))
}

/// What is in a file, or why nothing is.
fn reads(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| format!("{:?}", error.kind()))
}

/// Of this instance: 1 where each request has one of its own.
fn count() -> usize {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    COUNT.fetch_add(1, Ordering::Relaxed) + 1
}

fn lines(number: u32) -> io::Result<()> {
    print(PLAIN)?;
    (0..number).try_for_each(|line| print(&format!("line {line}\n")))
}

/// So many mebibytes.
fn zeros(number: u32) -> io::Result<()> {
    print("Content-Type: application/octet-stream\n\n")?;
    let mebibyte = vec![0; 1 << 20];
    (0..number).try_for_each(|_| io::stdout().write_all(&mebibyte))
}

/// Says something on its standard error.
fn says(text: &str) -> io::Result<()> {
    eprintln!("the program says {text}");
    print(&format!("{PLAIN}said"))
}

/// What it can reach of the machine.
fn world() -> String {
    let files = ["/etc/passwd", "/", ".", "../../../etc/passwd"].map(|path| fs::metadata(path).is_ok());
    let connected = std::net::TcpStream::connect("127.0.0.1:80").is_ok();
    let has_time = SystemTime::UNIX_EPOCH
        .elapsed()
        .is_ok_and(|time| time.as_secs() > 0);
    let has_written = fs::write("left-behind", "x").is_ok();
    format!("files {files:?} written {has_written} connected {connected} time {has_time}")
}
