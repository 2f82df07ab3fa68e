//! The Common Gateway Interface (RFC 3875): variables describe the request, the body is standard input, and standard
//! output is the response: header lines, an empty line, and the body.

mod environment;
mod head;
mod input;
mod output;
mod pipe;

use http::request::Parts;
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi_http::WasiBody;

use crate::account::Account;
use input::Input;

pub(crate) use environment::Mount;
pub(super) use environment::ZeroByte;
pub(super) use head::BadOutput;
pub(super) use output::Output;

/// What a program is started with.
pub(super) struct Script {
    variables: Vec<(String, String)>,
    input: Input,
    output: Output,
}

impl Script {
    /// For a request with this body.
    ///
    /// # Errors
    /// When it cannot be represented in variables.
    pub(super) fn new(parts: &Parts, body: WasiBody, output: Output, account: &Account) -> Result<Self, ZeroByte> {
        Ok(Self {
            variables: environment::variables(parts, account)?,
            input: Input::new(body),
            output,
        })
    }

    /// Sets up the program's WASI context. The only arguments are the program's name and those of its package: a
    /// client's query is never passed as arguments (RFC 3875, 4.4 allows that).
    pub(super) fn furnish(&self, account: &Account, wasi: &mut WasiCtxBuilder) {
        wasi.arg(account.name().as_str())
            .args(&account.config.args)
            .envs(&self.variables)
            .stdin(self.input.clone())
            .stdout(self.output.clone());
    }
}
