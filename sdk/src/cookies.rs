//! Cookies (RFC 6265).

use std::{fmt, time::Duration};

use http::HeaderValue;

use crate::{IntoHeaders, Response, percent};

/// A cookie to set, for the header `set-cookie`: `HttpOnly`, `Secure`, `SameSite=Lax` and of the whole site, unless
/// told otherwise. A value is percent-encoded, so that it may be any text.
///
/// ```
/// use std::time::Duration;
/// use wasmgate_sdk::{Request, Router, SetCookie, testing};
///
/// let app = Router::new()
///     .post("/login", |_| (SetCookie::new("session", "a b").max_age(Duration::from_secs(3600)), "welcome"))
///     .post("/logout", |_| (SetCookie::removal("session"), "bye"))
///     .get("/", |request| request.cookie("session").map(String::from));
/// let reply = testing::call(&app, Request::post("/login"));
/// let cookie = "session=a%20b; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax";
/// assert_eq!(reply.header("set-cookie"), Some(cookie));
/// let home = testing::call(&app, Request::get("/").with_header("cookie", "theme=dark; session=a%20b"));
/// assert_eq!(home.text(), "a b");
/// ```
#[derive(Clone, Debug)]
pub struct SetCookie {
    name: &'static str,
    value: String,
    path: &'static str,
    max_age: Option<Duration>,
    same_site: SameSite,
    is_for_scripts: bool,
    is_for_plain_http: bool,
}

/// With which requests from other sites a browser sends a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// None.
    Strict,
    /// When a person follows a link.
    Lax,
    /// All; the cookie has to be `Secure`.
    None,
}

impl SetCookie {
    /// A cookie for as long as the browser runs.
    pub fn new(name: &'static str, value: impl Into<String>) -> Self {
        SetCookie {
            name,
            value: value.into(),
            path: "/",
            max_age: None,
            same_site: SameSite::Lax,
            is_for_scripts: false,
            is_for_plain_http: false,
        }
    }

    /// One that takes a cookie of this name from the browser.
    pub fn removal(name: &'static str) -> Self {
        SetCookie::new(name, "").max_age(Duration::ZERO)
    }

    /// The time that the browser keeps it, in whole seconds.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// The part of the site that it is for.
    pub fn path(mut self, path: &'static str) -> Self {
        self.path = path;
        self
    }

    /// With which requests from other sites it is sent.
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// Lets the page's scripts read it.
    pub fn for_scripts(mut self) -> Self {
        self.is_for_scripts = true;
        self
    }

    /// Lets it go over plain HTTP: for a laptop, where `localhost` most often counts as safe anyway.
    pub fn for_plain_http(mut self) -> Self {
        self.is_for_plain_http = true;
        self
    }
}

/// The value of `set-cookie`.
impl fmt::Display for SetCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = percent::percent_encode(&self.value);
        write!(f, "{}={value}; Path={}", self.name, self.path)?;
        if let Some(age) = self.max_age {
            write!(f, "; Max-Age={}", age.as_secs())?;
        }
        if !self.is_for_scripts {
            f.write_str("; HttpOnly")?;
        }
        if !self.is_for_plain_http || self.same_site == SameSite::None {
            f.write_str("; Secure")?;
        }
        write!(f, "; SameSite={:?}", self.same_site)
    }
}

/// Beside other cookies that the answer sets.
impl IntoHeaders for SetCookie {
    fn add_to(self, response: &mut Response) {
        match HeaderValue::try_from(self.to_string()) {
            Ok(value) => {
                response.headers_mut().append("set-cookie", value);
            }
            Err(_) => response.fail(format!(
                "the cookie `{}` is none that HTTP can carry",
                self.name
            )),
        }
    }
}

/// The cookies of one header, in order, as they stand there.
pub(crate) fn pairs(header: &str) -> impl Iterator<Item = (&str, &str)> {
    header.split(';').filter_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        let bare = value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'));
        Some((name, bare.unwrap_or(value)))
    })
}
